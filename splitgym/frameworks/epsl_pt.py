"""Phased EPSL, EPSL-PT (arXiv 2303.15991): phi = 1 while there is much to learn, then phi = 0 to learn it well."""

from collections.abc import Sequence

import numpy as np

from splitgym.frameworks import epsl
from splitgym.frameworks.framework import Framework
from splitgym.scenario import Training

LEAST_DECREASE = 0.01
"""A loss that falls by less, relative, within `training.plateau_rounds` rounds stands still."""


def prescribe(losses: Sequence[float], training: Training) -> float:
    """Aggregation ratio of the next round: 1 until the switch, then 0.

    The switch comes after `training.switch_round` rounds that trained, or without it once the mean loss of the last
    `training.plateau_rounds` rounds is not 1 % below that of as many rounds before.

    Args:
        losses: Training loss of each round that trained.
        training: Says when to switch.
    """
    if training.switch_round is not None:
        return float(len(losses) < training.switch_round)
    rounds = training.plateau_rounds
    if len(losses) < 2 * rounds:
        return 1.0
    means = np.convolve(losses, np.full(rounds, 1 / rounds), mode="valid")
    return float(np.all(means[rounds:] <= (1 - LEAST_DECREASE) * means[:-rounds]))


FRAMEWORK = Framework(name="epsl-pt", phases=epsl.phases, train=epsl.TRAIN, prescribe=prescribe, joint_batch=True)
