"""A small model of what rounds teach, calibrated on logs of real runs: it stands in for thousands of learners.

`dynamics.py` says what a round changes, `parameters.py` what its numbers mean; `calibrations/` has them for shipped
tasks, with the runs that they come from and their error. `python -m experiments calibrate` calibrates other tasks;
their files are looked for in the folder that the environment variable SPLITGYM_CALIBRATIONS names.
"""

from splitgym.learning.surrogate.calibration import Calibration, calibration_for
from splitgym.learning.surrogate.surrogate import Surrogate

__all__ = ["Calibration", "Surrogate", "calibration_for"]
