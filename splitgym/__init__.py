"""A Gymnasium environment around a real split-learning training run at the wireless edge.

Importing the package registers its environments; everything heavy is loaded when it is used.
"""

from importlib import import_module
from types import ModuleType
from typing import Any

import gymnasium

from splitgym.forks import use_one_torch_thread_in_forks

__version__ = "0.2.0"

_ROOMS = (
    "agents",
    "allocation",
    "data",
    "envs",
    "evaluation",
    "frameworks",
    "learning",
    "models",
    "network",
    "rendering",
    "scenario",
    "schedulers",
    "slices",
    "timing",
    "types",
    "views",
)

use_one_torch_thread_in_forks()

_ENTRY_POINTS = {
    "entry_point": "splitgym.envs:SplitLearningEnv",
    "vector_entry_point": "splitgym.envs:SplitLearningVectorEnv",
}
CALIBRATED = ("iot", "iot-family", "iot-wide", "bandwidth-limited", "toy")
"""Presets whose surrogate is calibrated on runs that reach their target."""
ENCODINGS = ("discrete", "continuous", "schedule", "priority", "rule")
"""Encodings of actions."""
_IDS: dict[str, dict[str, Any]] = {
    "SplitLearning-v0": _ENTRY_POINTS,
    # For tools that take an id alone.
    **{
        f"SplitLearning-{preset}-surrogate-{action}-v0": {
            **_ENTRY_POINTS,
            "kwargs": {"scenario": preset, "learner": "surrogate", "action": action},
        }
        for preset in CALIBRATED
        for action in ENCODINGS
    },
    "mo-SplitLearning-v0": {"entry_point": "splitgym.views:MultiObjectiveEnv"},
    "SplitLearningSlices-v0": {"entry_point": "splitgym.slices:SplitLearningSlicesEnv"},
}
for _name, _how in _IDS.items():
    if _name not in gymnasium.registry:
        gymnasium.register(_name, **_how)


def __getattr__(name: str) -> ModuleType:
    if name not in _ROOMS:
        raise AttributeError(f"module 'splitgym' has no attribute {name!r}")
    return import_module(f"splitgym.{name}")


def __dir__() -> list[str]:
    return [*globals(), *_ROOMS]
