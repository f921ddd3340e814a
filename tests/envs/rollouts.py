"""Shared by the environment's tests: rollouts, and exact comparison of all that an environment returns."""

from copy import deepcopy
from typing import Any

import gymnasium as gym
import numpy as np

import splitgym  # noqa: F401 - registers the environment

ACTIONS = ("discrete", "continuous", "schedule", "priority")
CASES = [
    *((preset, "epsl", action) for preset in ("toy", "iot") for action in ACTIONS),
    *(("toy", "psl", action) for action in ACTIONS),
]
"""(scenario, framework, action) of the environments that every general promise is tested on."""


def make(scenario: Any = "toy", framework: str = "epsl", action: str = "discrete", **options: Any) -> Any:
    """The environment without Gymnasium's wrappers."""
    return gym.make("SplitLearning-v0", scenario=scenario, framework=framework, action=action, **options).unwrapped


LASTING = {"max_rounds": 1000, "time_budget_s": 1e6, "target_accuracy": 1.0}
"""Episode of a test that is not about the end of episodes."""


def lasting(*arguments: Any, **options: Any) -> Any:
    """`make`, with budgets that a test does not spend."""
    return make(*arguments, episode=LASTING, **options)


def differences(a: Any, b: Any, path: str = "") -> list[str]:
    """Where two nested values differ in type, shape or any bit; NaN equals NaN."""
    if type(a) is not type(b):
        return [f"{path}: {type(a)} against {type(b)}"]
    if isinstance(a, dict):
        if a.keys() != b.keys():
            return [f"{path}: keys {a.keys() ^ b.keys()}"]
        return [text for key in a for text in differences(a[key], b[key], f"{path}.{key}")]
    if isinstance(a, tuple | list):
        if len(a) != len(b):
            return [f"{path}: lengths {len(a)} and {len(b)}"]
        return [text for i, pair in enumerate(zip(a, b, strict=True)) for text in differences(*pair, f"{path}[{i}]")]
    if isinstance(a, np.ndarray):
        same = a.dtype == b.dtype and a.shape == b.shape and np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
    else:
        same = a == b or (a != a and b != b)  # noqa: PLR0124 - NaN
    return [] if same else [f"{path}: {a} against {b}"]


def sampled_actions(env: Any, count: int, seed: int = 0) -> list[Any]:
    """Actions from a fresh copy of the environment's action space."""
    drawn = deepcopy(env.action_space)
    drawn.seed(seed)
    return [drawn.sample() for _ in range(count)]


def play_on(env: Any, actions: list[Any]) -> list[Any]:
    """What each step returns."""
    return [env.step(action) for action in actions]


def rollout(env: Any, seed: int | None, actions: list[Any]) -> list[Any]:
    """What `reset` and each step return."""
    return [env.reset(seed=seed), *play_on(env, actions)]


def walk_arrays(value: Any) -> list[np.ndarray]:
    """All arrays in a nested value."""
    if isinstance(value, np.ndarray):
        return [value]
    if isinstance(value, dict):
        return [array for item in value.values() for array in walk_arrays(item)]
    if isinstance(value, tuple | list):
        return [array for item in value for array in walk_arrays(item)]
    return []


def fields_of(state: Any) -> dict[str, Any]:
    """What a state says of the round, without the system that all rounds share."""
    return {name: value for name, value in vars(state).items() if name != "system"}
