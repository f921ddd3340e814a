"""Networks by name, with initial weights that one generator determines."""

import math

import torch
from torch import nn

from splitgym.inputs import InputError
from splitgym.models.cnn import cnn
from splitgym.models.mlp import mlp
from splitgym.models.network import CuttableNetwork
from splitgym.models.resnet import resnet18
from splitgym.scenario.errors import suggest

_NETWORKS = ("cnn", "mlp", "resnet18")


def build(
    name: str,
    input_shape: tuple[int, int, int],
    classes: int,
    generator: torch.Generator | None = None,
    stem: str = "7x7",
) -> CuttableNetwork:
    """Builds a network on the CPU, in training mode.

    Args:
        name: "resnet18" (L = 10), "cnn" (L = 4) or "mlp" (L = 3).
        input_shape: (channels, height, width) of one image.
        classes: Number of classes, at least 2.
        generator: CPU generator of the initial weights; None: a new one with seed 0. The global one is never used.
        stem: First unit of "resnet18", "7x7" or "3x3"; the other networks do not read it.

    Raises:
        InputError: unknown name or stem, or a shape or number of classes that the network cannot have.
    """
    if name not in _NETWORKS:
        raise InputError(f"model {name!r} is unknown: {suggest(name, _NETWORKS)}")
    if len(input_shape) != 3 or min(input_shape) < 1:
        raise InputError(f"input_shape = {input_shape}: must be (channels, height, width), each at least 1")
    if classes < 2:
        raise InputError(f"classes = {classes}: at least 2")
    # Layers draw their own weights from the global generator when they are made; on the meta device they draw nothing.
    with torch.device("meta"):
        network = _architecture(name, input_shape, classes, stem)
    network.to_empty(device="cpu")
    _initialise(network, torch.Generator().manual_seed(0) if generator is None else generator)
    return network


def _architecture(name: str, input_shape: tuple[int, int, int], classes: int, stem: str) -> CuttableNetwork:
    if name == "resnet18":
        return resnet18(input_shape, classes, stem)
    return cnn(input_shape, classes) if name == "cnn" else mlp(input_shape, classes)


def _initialise(network: nn.Module, generator: torch.Generator) -> None:
    """Draws weights as PyTorch does by default, and as He et al. (2015) for convolutions that batch norm follows."""
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.reset_parameters()  # ones and zeros: no chance in it
        elif isinstance(layer, nn.Conv2d | nn.Linear) and layer.bias is None:
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu", generator=generator)
        elif isinstance(layer, nn.Conv2d | nn.Linear) and layer.bias is not None:
            nn.init.kaiming_uniform_(layer.weight, a=math.sqrt(5), generator=generator)
            bound = 1 / math.sqrt(layer.weight[0].numel())
            nn.init.uniform_(layer.bias, -bound, bound, generator=generator)
