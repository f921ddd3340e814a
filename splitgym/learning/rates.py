"""Learning rates over the rounds."""

from math import cos, pi

from splitgym.scenario import Training

_RISE, _FIRST, _LAST = 0.3, 1 / 25, 1e-4 / 25
"""Share of the rounds in which the rate rises; first and last rate over the highest."""


def rate_factor(training: Training, round_number: int) -> float:
    """What the learning rates are multiplied by in a round, counted from 1.

    One cycle (Smith and Topin, 2019) goes from 1/25 up to 1 in the first 30 % of `training.schedule_rounds` and down to
    nearly nothing, each along half a cosine, as `torch.optim.lr_scheduler.OneCycleLR` does by default; momentum stays
    as it is. After that the rate stays.
    """
    if training.learning_rate_schedule == "constant":
        return 1.0
    top, last = _RISE * training.schedule_rounds - 1, training.schedule_rounds - 1
    done = min(round_number - 1, last)
    if done <= top:
        return _between(_FIRST, 1.0, done / top)
    return _between(1.0, _LAST, (done - top) / (last - top))


def _between(start: float, end: float, share: float) -> float:
    return end + (start - end) * (1 + cos(pi * share)) / 2
