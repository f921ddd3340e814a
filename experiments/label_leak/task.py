"""The task: one digit against all others, and networks that can be cut in front of the loss."""

from functools import cache

import numpy as np
from torch import nn

from splitgym.data.sources import Source, read
from splitgym.models import CuttableNetwork
from splitgym.models.cnn import cnn
from splitgym.models.resnet import resnet18

RARE = 8
"""The digit that is told from all others."""


def cnn_and_loss(input_shape: tuple[int, int, int], classes: int) -> CuttableNetwork:
    """`cnn`, and behind it a unit that does nothing."""
    return with_loss(cnn(input_shape, classes))


def resnet18_and_loss(input_shape: tuple[int, int, int], classes: int) -> CuttableNetwork:
    """`resnet18` likewise."""
    return with_loss(resnet18(input_shape, classes))


def with_loss(network: CuttableNetwork) -> CuttableNetwork:
    """The network with a last unit that does nothing: a tail of this unit is the loss alone."""
    units = dict(zip(network.unit_names, network.units, strict=True))
    return CuttableNetwork({**units, "loss": nn.Identity()})


@cache
def one_against_all() -> Source:
    """Digits in two classes: a tenth of them is the rare one."""
    digits = read("digits")
    labels = (digits.labels == RARE).astype(np.int64)
    return Source(digits.images, labels, digits.groups, ("other", str(RARE)))
