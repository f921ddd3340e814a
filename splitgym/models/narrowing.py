"""Networks with fewer channels: the first ones of every layer."""

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from splitgym.inputs import InputError
from splitgym.models.network import CuttableNetwork
from splitgym.scenario.levels import kept


def narrowed(model: CuttableNetwork, input_shape: tuple[int, int, int], width: float) -> CuttableNetwork:
    """A copy with the first ceil(width c) of the c outputs of every convolution and linear layer but the last one.

    Inputs of layers and batch norm follow. The network stays as it is.

    Args:
        model: The network, on the CPU.
        input_shape: (channels, height, width) of one image.
        width: Above 0, at most 1.

    Raises:
        InputError: what a unit gives is not the first channels of what it gives in full, so a cut cannot lie there.
    """
    narrow, x, whole = copy.deepcopy(model), torch.zeros(1, *input_shape), torch.zeros(1, *input_shape)
    training, _ = narrow.training, narrow.eval()
    full = copy.deepcopy(narrow)
    with torch.no_grad():
        for place, (unit, full_unit) in enumerate(zip(narrow.units, full.units, strict=True), start=1):
            last = place == len(narrow)
            handles = [layer.register_forward_pre_hook(_narrower(1.0 if last else width)) for layer in _layers(unit)]
            whole = full_unit(whole)
            try:
                x = unit(x)
            except RuntimeError as error:
                raise InputError(f"width = {width:g}: unit {place} of the network cannot be narrower") from error
            for handle in handles:
                handle.remove()
            expected = whole.shape if last else (1, kept(whole.shape[1], width), *whole.shape[2:])
            if x.shape != expected:
                raise InputError(
                    f"width = {width:g}: unit {place} of the network gives {tuple(x.shape[1:])}, "
                    f"allowed: {tuple(expected[1:])}"
                )
    return narrow.train(training)


def _layers(unit: nn.Module) -> list[nn.Module]:
    wanted = nn.Conv2d | nn.Linear | nn.BatchNorm1d | nn.BatchNorm2d
    return [layer for layer in unit.modules() if isinstance(layer, wanted)]


def _narrower(width: float) -> Callable[[nn.Module, Any], None]:
    """What narrows a layer when it is first called, to the inputs that it gets and so many of its outputs."""
    done = set[nn.Module]()

    def narrow(layer: nn.Module, inputs: tuple[Tensor]) -> None:
        if layer in done:
            return
        done.add(layer)
        (x,), sizes = inputs, tuple[int, ...]()
        if isinstance(layer, nn.Conv2d | nn.Linear):
            sizes = (kept(layer.weight.shape[0], width),)
        sizes += (x.shape[-1 if isinstance(layer, nn.Linear) else 1],)
        for name, weight in list(layer.named_parameters(recurse=False)):
            setattr(layer, name, nn.Parameter(_first(weight, sizes).clone()))
        for name, statistic in list(layer.named_buffers(recurse=False)):
            setattr(layer, name, _first(statistic, sizes).clone())

    return narrow


def _first(tensor: Tensor, sizes: tuple[int, ...]) -> Tensor:
    """The first numbers along as many axes as both have."""
    return tensor.detach()[tuple(slice(size) for size in sizes[: tensor.dim()])]
