"""The task: one digit against all others, and a network that can be cut in front of the loss."""

from functools import cache

import numpy as np
from torch import nn

from splitgym.data.sources import Source, read
from splitgym.models import CuttableNetwork
from splitgym.models.cnn import cnn

RARE = 8
"""The digit that is told from all others."""


def cnn_and_loss(input_shape: tuple[int, int, int], classes: int) -> CuttableNetwork:
    """`cnn`, and behind it a unit that does nothing: a tail of this unit is the loss alone."""
    network = cnn(input_shape, classes)
    units = dict(zip(network.unit_names, network.units, strict=True))
    return CuttableNetwork({**units, "loss": nn.Identity()})


@cache
def one_against_all() -> Source:
    """Digits in two classes: a tenth of them is the rare one."""
    digits = read("digits")
    labels = (digits.labels == RARE).astype(np.int64)
    return Source(digits.images, labels, digits.groups, ("other", str(RARE)))
