"""Who answers "what did this round teach?"."""

from splitgym.learning.learner import Learner, training_device

__all__ = ["Learner", "training_device"]
