"""Parameters of the index rule by the cross-entropy method (Rubinstein 1999), in many worlds at once."""

from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.utils.seeding import np_random

from splitgym.arrays import Floats
from splitgym.envs.world import World
from splitgym.scenario import build
from splitgym.schedulers.index import FEATURES, FROM_LABELS, Index, Indices, index_decisions

CANDIDATES, ELITE = 64, 10
"""Of the search; the elite of a generation are the parents of the next one."""
SEEDS = 16
"""Episodes that every candidate plays, other ones in every generation, the same for all of it."""
FINALISTS, FINAL_SEEDS = 16, 512
"""Candidates that play more episodes at the end, and how many."""
DEVIATION, LEAST_DEVIATION = 0.4, 0.02
"""Standard deviation of the first generation, and below which none falls."""
SMOOTHING = 0.7
"""Weight of the elite's mean and deviation against those before."""
NUMBERS = {"offset": 0.0, "latency_exponent": 1.0, "late_exponent": 0.0, "cut_layer": 1.0, "aggregation_ratio": 0.0}
"""Parameters beside the weights, and where the search begins: clients per second at the first cut layer, phi 0."""
BY_SIZE = {"offset_by_size": 0.0, "exponent_by_size": 0.0}
"""The same of those that matter only where cells have different numbers of clients."""


class Search:
    """A search for the index with the lowest mean time to target.

    Args:
        scenario: As the environment's argument.
        generations: After which it ends.
        seed: Of the candidates that are drawn.
        framework: As the environment's argument.
    """

    def __init__(self, scenario: Any, generations: int, seed: int = 0, framework: str = "epsl") -> None:
        task = {"evaluation_samples": None, "evaluate_every": 1}
        made: dict[str, Any] = {"framework": framework, "learner": "surrogate"}
        env: Any = gym.make("splitgym:SplitLearning-v0", scenario=build(scenario, {"task": task}), **made)
        self._env: Any = env.unwrapped
        labels_known = self._env.system.labels_known
        self._features = [name for name in FEATURES if labels_known or name not in FROM_LABELS]
        self._numbers = NUMBERS | (BY_SIZE if self._env.scenario.family.clients else {})
        self._rng, self._generations = np.random.default_rng(seed), generations

    def best(self) -> dict[str, Any]:
        """Options of `Index` that are the best."""
        mean = np.array([0.0] * len(self._features) + list(self._numbers.values()))
        deviation = np.full(len(mean), DEVIATION)
        elite = mean[None]
        for generation in range(self._generations):
            drawn = mean + deviation * self._rng.standard_normal((CANDIDATES, len(mean)))
            # The mean itself, so that the search knows how good it is.
            drawn[0] = mean
            first = SEEDS * generation
            cost = times_to_target_s(self._env, self.indices(drawn), range(first, first + SEEDS))
            elite = drawn[np.argsort(cost, kind="stable")[:ELITE]]
            mean = SMOOTHING * elite.mean(0) + (1 - SMOOTHING) * mean
            spread = SMOOTHING * elite.std(0) + (1 - SMOOTHING) * deviation
            deviation = np.maximum(spread, LEAST_DEVIATION)
            print(f"index: generation {generation + 1}, mean {cost[0]:.1f} s, best {cost.min():.1f} s", flush=True)
        final = np.concatenate([mean[None], elite])[:FINALISTS]
        first = SEEDS * self._generations
        cost = times_to_target_s(self._env, self.indices(final), range(first, first + FINAL_SEEDS))
        return self.options(final[cost.argmin()])

    def time_to_target_s(self, options: Mapping[str, Any], seeds: Sequence[int]) -> float:
        """Mean simulated time to target of the rule with these options, s."""
        indices = Index(self._env, **options).indices
        return float(times_to_target_s(self._env, indices, seeds)[0])

    def indices(self, drawn: Floats) -> Indices:
        """Of drawn numbers [n, numbers]: rounded as in the table, and within what is allowed."""
        weights = np.zeros((len(drawn), len(FEATURES)))
        names = list(FEATURES)
        weights[:, [names.index(name) for name in self._features]] = drawn[:, : len(self._features)].round(3)
        of = {name: np.zeros(len(drawn)) for name in BY_SIZE}
        of |= dict(zip(self._numbers, drawn[:, len(self._features) :].T, strict=True))
        return Indices(
            weights,
            of["offset"].round(3),
            of["latency_exponent"].clip(0.0, 2.0).round(3),
            of["late_exponent"].round(3),
            of["offset_by_size"].round(3),
            of["exponent_by_size"].round(3),
            of["cut_layer"].round().clip(1, self._env.cut_layers).astype(np.int64),
            of["aggregation_ratio"].clip(0.0, self._env.system.highest_ratio).round(2),
        )

    def options(self, drawn: Floats) -> dict[str, Any]:
        """Of drawn numbers, as options of `Index`."""
        found = self.indices(drawn[None])
        numbers = {name: getattr(found, name)[0].item() for name in self._numbers}
        return numbers | {
            name: float(weight) for name, weight in zip(FEATURES, found.weights[0], strict=True) if weight
        }


def times_to_target_s(env: Any, candidates: Indices, seeds: Sequence[int]) -> Floats:
    """[n] mean simulated time to target of n candidates, s; an episode that misses it counts with the time budget.

    Args:
        env: An environment with the surrogate, in which accuracy is measured on the whole test set after every round.
        candidates: Of n worlds.
        seeds: Of the episodes that each plays; the same as those of an environment.
    """
    count, goal, codec = len(candidates.offset), env.scenario.episode, env.codec("priority")
    world = World(env.scenario, env.framework, "surrogate", count * len(seeds))
    rngs = [np_random(int(seed))[0] for _ in range(count) for seed in seeds]
    world.reset(rngs, range(len(rngs)))
    indices = candidates.repeat(len(seeds))
    time_s = np.full(len(rngs), goal.time_budget_s)
    done = np.zeros(len(rngs), bool)
    while not done.all():
        played = world.play_unchecked(index_decisions(codec, world.state, indices), done)
        elapsed_s = world.state.elapsed_s
        time_s[played.first_reached & ~done] = elapsed_s[played.first_reached & ~done]
        done |= played.first_reached | played.truncated | played.terminated
        # Nobody is selected where an episode has ended, which takes no time to find out.
        indices.weights[done], indices.offset[done], indices.offset_by_size[done] = 0.0, -1.0, 0.0
        world.advance()
    return time_s.reshape(count, len(seeds)).mean(1)
