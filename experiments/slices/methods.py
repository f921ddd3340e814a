"""Controllers on held-out seeds: rules, and policies that are trained with a constraint."""

from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import DummyVecEnv

from experiments.running import Row
from splitgym import slices
from splitgym.slices import SplitLearningSlicesEnv

CONTROLLERS = (
    *(f"static:critical={share}" for share in (0.3, 0.4, 0.5, 0.6, 0.7)),
    *(f"priority:margin={margin}" for margin in (0.6, 0.8, 1.0)),
    *(f"alpha-fair:alpha={alpha}" for alpha in (0, 1, 4, 16)),
    "random",
)
LEARNED = ("learned", "learned, not constrained")
CRITICAL, BEST_EFFORT = "machines", "devices"
"""The slices of the preset."""
HELD_OUT = 1_000_000
"""Seeds of episodes that nobody trains on count from here."""
COPIES, PERIODS = 4, 128
"""Environments of a rollout, and periods of all of them together."""
FIRST_WEIGHT, WEIGHT_RATE, LARGEST_WEIGHT = 0.5, 0.5, 10.0
"""Of late rounds against the reward: at first, its step for each excess round of a period, and its end."""

Decide = Callable[[NDArray[np.float32]], NDArray[np.float32]]


def made() -> SplitLearningSlicesEnv:
    """The environment of all methods."""
    return SplitLearningSlicesEnv("two-slices", learner="surrogate")


class Constrained(gym.Wrapper[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]):
    """The reward minus a weight times the late rounds beyond the allowed share of those that ended.

    Attributes:
        weight: The Lagrange multiplier.
        excess: Of every period since it was emptied: late rounds minus the allowed share of rounds.
    """

    def __init__(self, env: SplitLearningSlicesEnv, weight: float) -> None:
        super().__init__(env)
        self.weight = weight
        self.excess: list[float] = []

    def step(self, action: NDArray[np.float32]) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """A period."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        said = info["slices"][CRITICAL]
        excess = info["cost"] - said["allowed_rate"] * len(said["latencies_s"])
        self.excess.append(excess)
        return observation, float(reward) - self.weight * excess, terminated, truncated, info


class DualAscent(BaseCallback):
    """Raises the weight while more rounds are late than allowed, and lowers it while fewer are."""

    def __init__(self, envs: list[Constrained]) -> None:
        super().__init__()
        self._envs = envs

    def _on_step(self) -> bool:
        return True

    def _on_rollout_end(self) -> None:
        excess = np.mean([value for env in self._envs for value in env.excess])
        weight = float(np.clip(self._envs[0].weight + WEIGHT_RATE * excess, 0.0, LARGEST_WEIGHT))
        for env in self._envs:
            env.weight, env.excess = weight, []


def trained(periods: int, seed: int, constrained: bool) -> PPO:
    """A policy after so many periods; with 0 as it begins."""
    copies = [Constrained(made(), FIRST_WEIGHT if constrained else 0.0) for _ in range(COPIES)]
    policy = PPO(
        "MlpPolicy",
        DummyVecEnv([lambda copy=copy: copy for copy in copies]),  # type: ignore[misc]
        n_steps=PERIODS // COPIES,
        batch_size=64,
        learning_rate=1e-3,
        gamma=0.98,
        policy_kwargs={"log_std_init": -0.7},
        seed=seed,
        device="cpu",
    )
    return policy.learn(periods, callback=DualAscent(copies) if constrained else None) if periods else policy


def episodes(method: str, training_periods: int, seed: int, count: int) -> list[Row]:
    """A row for each of so many held-out episodes of a method."""
    env = made()
    if method in (*LEARNED, "untrained"):
        decide = _of_policy(trained(training_periods, seed, constrained=method == "learned"))
    else:
        decide = _of_controller(method, env)
    return [_episode(env, HELD_OUT + seed * count + number, decide) for number in range(count)]


def _of_policy(policy: PPO) -> Decide:
    return lambda observation: policy.predict(observation, deterministic=True)[0]


def _of_controller(text: str, env: SplitLearningSlicesEnv) -> Decide:
    controller = slices.factory(text)(env)
    return lambda observation: controller.act(observation, {})


def _episode(env: SplitLearningSlicesEnv, seed: int, decide: Decide) -> Row:
    """Plays until the best-effort slice has reached its target, or its budget is spent."""
    env.action_space.seed(seed)
    observation, _ = env.reset(seed=seed)
    over, reward, given = False, 0.0, []
    while not over:
        observation, gained, terminated, truncated, info = env.step(decide(observation))
        over, reward = terminated or truncated, reward + gained
        given.append(info["slices"][CRITICAL]["subchannels"])
    critical, other = (info["slices"][name] for name in (CRITICAL, BEST_EFFORT))
    devices = next(each for each in env.slices if each.name == BEST_EFFORT)
    budget_s = devices.env.scenario.episode.time_budget_s
    return {
        "episode": seed,
        "reached": bool(other["reached_target"]),
        "time_s": min(devices.progress.end_s[-1], budget_s) if other["reached_target"] else budget_s,
        "rounds": critical["rounds"],
        "late": critical["violations"],
        "late_share": critical["violation_rate"],
        "allowed": critical["allowed_rate"],
        "critical_accuracy": critical["accuracy"],
        "subchannels": float(np.mean(given)),
        "reward": reward,
    }
