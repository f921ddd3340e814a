"""Whole episodes of agents in scenarios, on common held-out seeds."""

import pickle
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from functools import lru_cache
from itertools import product
from pathlib import Path
from typing import Any, Literal, Protocol

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from splitgym.evaluation.episodes import Episode
from splitgym.evaluation.frame import write_frames
from splitgym.evaluation.kept import KeptEpisodes
from splitgym.evaluation.log import EpisodeLog
from splitgym.evaluation.processes import interrupts_ignored, worker_pool
from splitgym.inputs import InputError
from splitgym.scenario import build, file_name
from splitgym.scenario.names import LONGEST_NAME
from splitgym.types import Decision, RoundState

HELD_OUT = 1_000_000
"""The first seed of comparisons; training stays below."""

IN_HAND = 2
"""Episodes that are given out for each process, so that it never waits for the next one."""

Until = Literal["target", "budget"]
"""When an episode ends: at the target or when a budget is spent, whichever comes first; or only with the budget."""


class Acts(Protocol):
    """A scheduler that answers observations with actions; one with `decide(state)` has its decisions played exactly."""

    def act(self, observation: NDArray[np.float32], info: dict[str, Any]) -> NDArray[Any]:
        """The action for the round that is about to begin."""
        ...


AgentFactory = Callable[[gym.Env[Any, Any]], Acts]
"""Makes a scheduler for an environment; must be picklable to run in other processes."""


def compare(
    agents: Mapping[str, AgentFactory],
    scenarios: Sequence[Any],
    seeds: Sequence[int],
    settings: Mapping[str, Any],
    until: Until = "target",
    workers: int = 1,
    kept: KeptEpisodes | None = None,
    log: Path | None = None,
) -> Iterator[Episode]:
    """Runs every scheduler in every scenario on every seed, in several processes; yields episodes as they end.

    Each process trains with one torch thread, so that results do not depend on the number of processes.

    Args:
        agents: Schedulers by name.
        scenarios: Each as the environment's argument `scenario`; their names must differ.
        seeds: Of the episodes: the same seed is the same cell, data and initial weights for every scheduler.
        settings: Other keyword arguments of the environment.
        until: See `Until`.
        workers: Number of processes.
        kept: Where episodes are kept as they end, so that a stopped comparison goes on; those that stand there are
            not played again. None: nowhere.
        log: Folder for every round of every episode, see `log_stem` and `write_frames`; None: only what an `Episode`
            has is noted.

    Raises:
        InputError: two scenarios have the same name.
    """
    names = [build(scenario).name for scenario in scenarios]
    if len(set(names)) < len(names):
        raise InputError(f"scenarios are named {', '.join(map(repr, names))}, allowed: names that differ")
    before = {episode.key: episode for episode in (kept.episodes if kept else ())}
    made_with = [pickle.dumps(({**settings, "scenario": scenario}, until)) for scenario in scenarios]
    left: deque[tuple[str, AgentFactory, int, bytes, Path | None]] = deque()
    numbers = {agent: number for number, agent in enumerate(agents)}
    for scenario, seed, agent in product(range(len(names)), seeds, agents):
        episode = before.get((names[scenario], agent, int(seed)))
        if episode is None:
            stem = log and log_stem(log, names[scenario], numbers[agent], agent, int(seed))
            left.append((agent, agents[agent], int(seed), made_with[scenario], stem))
        else:
            yield episode
    if not left:
        return
    with worker_pool(min(workers, len(left))) as pool:
        pending: set[Future[Episode]] = set()
        while left or pending:
            with interrupts_ignored():
                while left and len(pending) < IN_HAND * workers:
                    pending.add(pool.submit(_play, *left.popleft()))
            ended, pending = wait(pending, return_when=FIRST_COMPLETED)
            for job in ended:
                if kept is not None:
                    kept.add(job.result())
                yield job.result()


def log_stem(folder: Path, scenario: str, number: int, agent: str, seed: int) -> Path:
    """How the files begin that hold an episode's rounds: `SCENARIO/NUMBER-AGENT/SEED`, as far as names of files go.

    Args:
        folder: Of all logs.
        scenario: Its name.
        number: Of the agent, in the order of the comparison.
        agent: Its name.
        seed: Of the episode.
    """
    return folder / file_name(scenario) / f"{number:02d}-{file_name(agent)[:LONGEST_NAME]}" / str(seed)


def _play(name: str, agent_factory: AgentFactory, seed: int, made_with: bytes, stem: Path | None) -> Episode:
    """An episode in a process of its own, which makes the environment once for all agents and seeds."""
    env = _environment(made_with)
    agent = agent_factory(env)
    if stem is None:
        return _run(name, agent, seed, env, env.unwrapped)
    log = EpisodeLog(env)
    episode = _run(name, agent, seed, log, log)
    stem.parent.mkdir(parents=True, exist_ok=True)
    write_frames(stem, log, {"scenario": episode.scenario, "agent": name, "seed": seed})
    return episode


@lru_cache(maxsize=1)
def _environment(made_with: bytes) -> gym.Env[Any, Any]:
    return _made(*pickle.loads(made_with))


def run_episodes(
    name: str, agent_factory: AgentFactory, seeds: Sequence[int], settings: Mapping[str, Any], until: Until = "target"
) -> list[Episode]:
    """Runs a scheduler on some seeds, with accuracy measured on the whole test set after every round.

    The environment is made once; the scheduler, which may remember, again for every episode.

    Args:
        name: Of the scheduler, for the record.
        agent_factory: Makes the scheduler.
        seeds: Of the episodes.
        settings: Keyword arguments of the environment.
        until: See `Until`.
    """
    env = _made(settings, until)
    return [_run(name, agent_factory(env), seed, env, env.unwrapped) for seed in seeds]


def _made(settings: Mapping[str, Any], until: Until) -> gym.Env[Any, Any]:
    episode = {**settings.get("episode", {}), "stop_at_target": until == "target"}
    task = {**settings.get("task", {}), "evaluation_samples": None, "evaluate_every": 1}
    return gym.make("SplitLearning-v0", **{**settings, "episode": episode, "task": task})


def _run(name: str, agent: Acts, seed: int, env: gym.Env[Any, Any], player: Any) -> Episode:
    """Plays an episode with a seed to its end; `player`: has the method `play` for decisions."""
    env.action_space.seed(seed)
    observation, info = env.reset(seed=seed)
    initial_accuracy = info["accuracy"]
    decide: Callable[[RoundState], Decision] | None = getattr(agent, "decide", None)
    world: Any = env.unwrapped
    rounds = []
    done = False
    while not done:
        if decide is None:
            observation, _, terminated, truncated, info = env.step(agent.act(observation, info))
        else:
            observation, _, terminated, truncated, info = player.play(decide(world.state))
        rounds.append((info["elapsed_s"], info["accuracy"], info["round_latency_s"], info["energy_j"]))
        done = terminated or truncated
    goal = world.scenario.episode
    elapsed_s, accuracy, round_latency_s, energy_j = np.array(rounds).T
    return Episode(
        scenario=world.scenario.name,
        agent=name,
        seed=seed,
        target_accuracy=goal.target_accuracy,
        time_budget_s=goal.time_budget_s,
        elapsed_s=elapsed_s,
        accuracy=accuracy,
        round_latency_s=round_latency_s,
        energy_j=energy_j,
        initial_accuracy=initial_accuracy,
    )
