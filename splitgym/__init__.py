"""A Gymnasium environment around a real split-learning training run at the wireless edge.

Importing the package registers its environments; everything heavy is loaded when it is used.
"""

from importlib import import_module
from types import ModuleType

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

if "SplitLearning-v0" not in gymnasium.registry:
    gymnasium.register(
        "SplitLearning-v0",
        entry_point="splitgym.envs:SplitLearningEnv",
        vector_entry_point="splitgym.envs:SplitLearningVectorEnv",
    )
if "mo-SplitLearning-v0" not in gymnasium.registry:
    gymnasium.register("mo-SplitLearning-v0", entry_point="splitgym.views:MultiObjectiveEnv")
if "SplitLearningSlices-v0" not in gymnasium.registry:
    gymnasium.register("SplitLearningSlices-v0", entry_point="splitgym.slices:SplitLearningSlicesEnv")


def __getattr__(name: str) -> ModuleType:
    if name not in _ROOMS:
        raise AttributeError(f"module 'splitgym' has no attribute {name!r}")
    return import_module(f"splitgym.{name}")


def __dir__() -> list[str]:
    return [*globals(), *_ROOMS]
