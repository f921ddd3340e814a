"""A small model of what rounds teach, calibrated on logs of real runs: it stands in for thousands of learners."""

from splitgym.learning.surrogate.calibration import Calibration, calibration_for
from splitgym.learning.surrogate.surrogate import Surrogate

__all__ = ["Calibration", "Surrogate", "calibration_for"]
