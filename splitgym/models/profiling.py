"""Counts what each unit of a network costs."""

import copy
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from splitgym.models.building import build
from splitgym.models.costs import NetworkCosts, Profile
from splitgym.models.frozen import Frozen
from splitgym.models.narrowing import narrowed
from splitgym.models.network import CuttableNetwork
from splitgym.models.saved_tensors import memory_of

_BITS = 32  # of a weight and of an activation


def profile(model: CuttableNetwork, input_shape: tuple[int, int, int]) -> Profile:
    """Counts FLOPs and bits per unit for one sample; the model, its mode and every random generator stay as they are.

    A FLOP is a multiplication or an addition in a convolution, linear layer or attention, so two per
    multiply-accumulate: the convention of `torch.utils.flop_counter`. Biases, activations, norms and poolings are not
    counted. The backward pass costs one forward pass for the gradient of the weights and one for the gradient of the
    input; a layer that reads the raw image needs none for the latter, frozen weights none for the former. Bits are 32
    per activation and per weight; the weights include the running means and variances of batch norm, which a unit needs
    where it moves to, and not those that are frozen, which everybody has.

    Args:
        model: The network.
        input_shape: (channels, height, width) of one image.

    Returns:
        Costs of the L units, arrays of shape [L].
    """
    # Not on the meta device: one sample takes less time than what torch imports for that.
    shadow = copy.deepcopy(model).to("cpu").eval().requires_grad_(True)
    x = torch.zeros(1, *input_shape)
    costs = []
    with torch.enable_grad(), torch.random.fork_rng(devices=()):
        for unit in shadow.units:
            x, forward, backward = _run(unit, x)
            costs.append((forward, backward, _BITS * x.numel(), _model_bits(unit)))
    return Profile(*np.array(costs, dtype=np.float64).T)


@lru_cache(maxsize=32)
def measure(
    model: str, input_shape: tuple[int, int, int], classes: int, stem: str, width: float = 1.0, rank: int = 4
) -> NetworkCosts:
    """What a network costs, by its name and what `build` makes it from; with a width below 1 as `narrowed`."""
    network = build(model, input_shape, classes, stem=stem, rank=rank)
    if width < 1.0:
        network = narrowed(network, input_shape, width)
    return NetworkCosts(
        profile(network, input_shape),
        network.has_batch_norm,
        features(network, input_shape),
        tuple(len(_model_tensors(unit)) for unit in network.units),
        memory_of(network, input_shape),
    )


def features(model: CuttableNetwork, input_shape: tuple[int, int, int]) -> tuple[tuple[int, ...], ...]:
    """[L] shape of each unit's output, of one sample; the model and its mode stay as they are."""
    shadow, x, shapes = copy.deepcopy(model).to("cpu").eval(), torch.zeros(1, *input_shape), []
    with torch.no_grad(), torch.random.fork_rng(devices=()):
        for unit in shadow.units:
            x = unit(x)
            shapes.append(tuple(x.shape[1:]))
    return tuple(shapes)


def _run(unit: nn.Module, x: Tensor) -> tuple[Tensor, int, int]:
    """Output of a unit, and the FLOPs of its forward and backward pass."""
    counted: list[tuple[int, int]] = []

    def count(layer: Any, inputs: tuple[Tensor], output: Tensor) -> None:
        flops = 2 * output.numel() * layer.weight[0].numel()
        # Only what depends on weights requires a gradient here, so the raw image, reshaped or not, does not.
        counted.append((flops, 2 * flops if inputs[0].requires_grad else flops))

    def count_frozen(layer: Any, inputs: tuple[Tensor], output: Tensor) -> None:
        counted.append(layer.flops(inputs[0], output))

    for layer in unit.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            layer.register_forward_hook(count)
        elif isinstance(layer, Frozen):
            layer.register_forward_hook(count_frozen)
    output = unit(x)
    return output, sum(forward for forward, _ in counted), sum(backward for _, backward in counted)


def _model_bits(unit: nn.Module) -> int:
    return _BITS * sum(tensor.numel() for tensor in _model_tensors(unit))


def _model_tensors(unit: nn.Module) -> list[Tensor]:
    return [tensor for tensor in unit.state_dict().values() if tensor.is_floating_point()]
