"""Who answers "what did this round teach?"."""

from splitgym.learning.learner import Learner

__all__ = ["Learner"]
