"""Networks by name, with initial weights that one generator determines."""

import math
from collections.abc import Callable

import torch
from torch import nn

from splitgym.inputs import InputError
from splitgym.models.frozen import AdaptedLinear, Frozen
from splitgym.models.network import CuttableNetwork, HeConvolution
from splitgym.parts import Parts
from splitgym.scenario.parts import NETWORKS

Builder = Callable[..., CuttableNetwork]
"""Makes a network for images (channels, height, width) and a number of classes; `resnet18` reads a stem, too, and
`transformer` a rank."""
BUILDERS: Parts[Builder] = Parts("network", callable, NETWORKS)
"""All networks; what is asked for is imported."""


def build(
    name: str,
    input_shape: tuple[int, int, int],
    classes: int,
    generator: torch.Generator | None = None,
    stem: str = "7x7",
    rank: int = 4,
) -> CuttableNetwork:
    """Builds a network on the CPU, in training mode.

    Args:
        name: "resnet18" (L = 10), "vgg19" (L = 25), "cnn" (L = 4), "mlp" (L = 3), "transformer" (L = 5), or
            `module:NAME` of one's own `Builder`.
        input_shape: (channels, height, width) of one image.
        classes: Number of classes, at least 2.
        generator: CPU generator of the initial weights; None: a new one with seed 0. The global one is never used.
        stem: First unit of "resnet18", "7x7" or "3x3"; the other networks do not read it.
        rank: Of the adapters of "transformer", likewise.

    Raises:
        InputError: unknown name or stem, or a shape or number of classes that the network cannot have.
    """
    builder = BUILDERS.find(name, "model")
    if len(input_shape) != 3 or min(input_shape) < 1:
        raise InputError(f"input_shape = {input_shape}: must be (channels, height, width), each at least 1")
    if classes < 2:
        raise InputError(f"classes = {classes}: at least 2")
    # Layers draw their own weights from the global generator when they are made; on the meta device they draw nothing.
    own = {"resnet18": (stem,), "transformer": (rank,)}.get(name, ())
    with torch.device("meta"):
        network = builder(input_shape, classes, *own)
    if not isinstance(network, CuttableNetwork):
        raise InputError(f"model = {name!r} gives {type(network).__name__}, allowed: CuttableNetwork")
    _refuse_what_cannot_be_drawn(name, network)
    network.to_empty(device="cpu")
    _initialise(network, torch.Generator().manual_seed(0) if generator is None else generator)
    return network


def _refuse_what_cannot_be_drawn(name: str, network: nn.Module) -> None:
    """Raises an InputError if a layer has weights whose initial values and costs nobody here knows."""
    for layer in network.modules():
        own = [*layer.parameters(recurse=False), *layer.buffers(recurse=False)]
        if own and not isinstance(layer, nn.Conv2d | nn.Linear | nn.BatchNorm2d | nn.BatchNorm1d | Frozen):
            raise InputError(
                f"model = {name!r}: layer {type(layer).__name__} has weights, allowed: Conv2d, Linear, BatchNorm1d, "
                "BatchNorm2d, and layers without weights"
            )


def _initialise(network: nn.Module, generator: torch.Generator) -> None:
    """Draws weights as PyTorch does by default, and as He et al. (2015) for convolutions that batch norm follows.

    Adapters begin with B = 0.
    """
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d | nn.BatchNorm1d):
            layer.reset_parameters()  # ones and zeros: no chance in it
        elif isinstance(layer, Frozen):
            layer.draw(generator)
        elif isinstance(layer, HeConvolution):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu", generator=generator)
            assert layer.bias is not None
            nn.init.zeros_(layer.bias)
        elif isinstance(layer, nn.Conv2d | nn.Linear) and layer.bias is None:
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu", generator=generator)
        elif isinstance(layer, nn.Conv2d | nn.Linear) and layer.bias is not None:
            nn.init.kaiming_uniform_(layer.weight, a=math.sqrt(5), generator=generator)
            bound = 1 / math.sqrt(layer.weight[0].numel())
            nn.init.uniform_(layer.bias, -bound, bound, generator=generator)
    for layer in network.modules():
        if isinstance(layer, AdaptedLinear):
            nn.init.kaiming_uniform_(layer.down.weight, a=math.sqrt(5), generator=generator)
            nn.init.zeros_(layer.up.weight)
