"""Whole episodes of schedulers with real training, on the same seeds."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import as_completed
from dataclasses import dataclass
from typing import Any, Protocol

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from splitgym.evaluation.processes import interrupts_ignored, worker_pool
from splitgym.rounds import Decision, RoundState

Floats = NDArray[np.float64]


class Acts(Protocol):
    """A scheduler that answers observations with actions; one with `decide(state)` has its decisions played exactly."""

    def act(self, observation: NDArray[np.float32], info: dict[str, Any]) -> NDArray[Any]:
        """The action for the round that is about to begin."""
        ...


AgentFactory = Callable[[gym.Env[Any, Any]], Acts]
"""Makes a scheduler for an environment; must be picklable to run in other processes."""


@dataclass(frozen=True)
class Episode:
    """What a scheduler achieved in one episode, run until a budget was spent.

    The arrays have one value per round, R in all.
    """

    agent: str
    seed: int
    target_accuracy: float
    time_budget_s: float
    elapsed_s: Floats
    """[R] simulated time at the end of the round."""
    accuracy: Floats
    """[R] test accuracy after the round, on the whole test set."""
    round_latency_s: Floats
    """[R]."""
    energy_j: Floats
    """[R] of clients and server."""
    initial_accuracy: float
    """Test accuracy before the first round."""

    @property
    def in_time(self) -> NDArray[np.bool_]:
        """[R] whether the round ended within the time budget; the last one may not."""
        return self.elapsed_s <= self.time_budget_s

    @property
    def final_accuracy(self) -> float:
        """Test accuracy when the budget was spent: after the last round that ended within it."""
        measured = self.accuracy[self.in_time]
        return float(measured[-1]) if len(measured) else self.initial_accuracy

    @property
    def target_round(self) -> int | None:
        """Index of the first round within the time budget that reached the target; None: it was not reached."""
        reached = np.flatnonzero(self.in_time & (self.accuracy >= self.target_accuracy))
        return int(reached[0]) if len(reached) else None

    @property
    def reached(self) -> bool:
        """Whether the target was reached within the budgets."""
        return self.target_round is not None

    @property
    def time_to_target_s(self) -> float:
        """Simulated time until the target was reached; the time budget if it was not."""
        return self.time_budget_s if self.target_round is None else float(self.elapsed_s[self.target_round])

    @property
    def energy_to_target_j(self) -> float:
        """Energy spent until the target was reached, or in all if it was not."""
        rounds = None if self.target_round is None else self.target_round + 1
        return float(self.energy_j[:rounds].sum())


def run_episode(name: str, agent_factory: AgentFactory, seed: int, settings: Mapping[str, Any]) -> Episode:
    """Runs one episode until a budget is spent, also past the target, with accuracy measured on the whole test set.

    Args:
        name: Of the scheduler, for the record.
        agent_factory: Makes the scheduler.
        seed: Of the episode; the same seed is the same cell, data and initial weights for every scheduler.
        settings: Keyword arguments of the environment.
    """
    env = gym.make("SplitLearning-v0", **_until_budget(settings))
    agent = agent_factory(env)
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


def compare(
    agents: Mapping[str, AgentFactory], seeds: Sequence[int], settings: Mapping[str, Any], workers: int = 1
) -> Iterator[Episode]:
    """Runs every scheduler on every seed, in several processes; yields episodes as they end.

    Each process trains with one torch thread, so that results do not depend on the number of processes.

    Args:
        agents: Schedulers by name.
        seeds: Of the episodes.
        settings: Keyword arguments of the environment.
        workers: Number of processes.
    """
    with worker_pool(workers) as pool:
        with interrupts_ignored():
            jobs = [
                pool.submit(run_episode, name, make, seed, settings) for seed in seeds for name, make in agents.items()
            ]
        for job in as_completed(jobs):
            yield job.result()


def _until_budget(settings: Mapping[str, Any]) -> dict[str, Any]:
    episode = {**settings.get("episode", {}), "stop_at_target": False}
    task = {**settings.get("task", {}), "evaluation_samples": None, "evaluate_every": 1}
    return {**settings, "episode": episode, "task": task}
