"""What a round teaches: by real training, or by a surrogate.

Real training needs torch and is imported on first use.
"""

from typing import TYPE_CHECKING

from splitgym.lazy import lazily
from splitgym.learning.choice import LEARNERS, Learners, learners

if TYPE_CHECKING:
    from splitgym.learning.device import training_device
    from splitgym.learning.learner import Learner

__all__ = ["LEARNERS", "Learner", "Learners", "learners", "training_device"]


_REAL = "splitgym.learning.learner"
__getattr__ = lazily(__name__, {"Learner": _REAL, "training_device": _REAL})


def __dir__() -> list[str]:
    return __all__
