"""Whole episodes of agents in scenarios, on common held-out seeds."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import as_completed
from typing import Any, Literal, Protocol

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from splitgym.evaluation.episodes import Episode
from splitgym.evaluation.processes import interrupts_ignored, worker_pool
from splitgym.rounds import Decision, RoundState

HELD_OUT = 1_000_000
"""The first seed of comparisons; training stays below."""

JOBS_PER_WORKER = 4
"""Into how many parts the seeds of an agent are split for each process: few, as each makes the environment anew."""

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
    """
    parts = np.array_split(np.asarray(seeds), min(len(seeds), JOBS_PER_WORKER * workers))
    with worker_pool(workers) as pool:
        with interrupts_ignored():
            jobs = [
                pool.submit(run_episodes, name, make, part.tolist(), {**settings, "scenario": scenario}, until)
                for scenario in scenarios
                for part in parts
                for name, make in agents.items()
            ]
        for job in as_completed(jobs):
            yield from job.result()


def run_episodes(
    name: str, agent_factory: AgentFactory, seeds: Sequence[int], settings: Mapping[str, Any], until: Until = "target"
) -> list[Episode]:
    """Runs a scheduler on some seeds, with accuracy measured on the whole test set after every round.

    The environment is made once; the scheduler, which may remember, anew for every episode.

    Args:
        name: Of the scheduler, for the record.
        agent_factory: Makes the scheduler.
        seeds: Of the episodes.
        settings: Keyword arguments of the environment.
        until: See `Until`.
    """
    episode = {**settings.get("episode", {}), "stop_at_target": until == "target"}
    task = {**settings.get("task", {}), "evaluation_samples": None, "evaluate_every": 1}
    env = gym.make("SplitLearning-v0", **{**settings, "episode": episode, "task": task})
    return [_run(name, agent_factory(env), seed, env) for seed in seeds]


def _run(name: str, agent: Acts, seed: int, env: gym.Env[Any, Any]) -> Episode:
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
            observation, _, terminated, truncated, info = world.play(decide(world.state))
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
