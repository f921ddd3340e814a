"""What a round teaches: by real training, or by a surrogate.

Real training needs torch and is imported on first use.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from splitgym.learning.choice import LEARNERS, Learners, learners

if TYPE_CHECKING:
    from splitgym.learning.learner import Learner, training_device

__all__ = ["LEARNERS", "Learner", "Learners", "learners", "training_device"]


def __getattr__(name: str) -> Any:
    if name not in ("Learner", "training_device"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("splitgym.learning.learner"), name)


def __dir__() -> list[str]:
    return __all__
