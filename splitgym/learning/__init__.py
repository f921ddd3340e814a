"""What a round teaches: by real training, or by a surrogate."""

from splitgym.learning.choice import LEARNERS, Learners, learners
from splitgym.learning.learner import Learner, training_device

__all__ = ["LEARNERS", "Learner", "Learners", "learners", "training_device"]
