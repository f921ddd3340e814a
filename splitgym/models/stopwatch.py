"""How long the units of a network take on this machine."""

import platform
from collections.abc import Callable
from statistics import median
from time import perf_counter
from typing import Any

import torch
from torch import Tensor, nn

from splitgym.models.network import CuttableNetwork
from splitgym.models.profiling import profile
from splitgym.scenario.devices import DeviceProfile

WARM_UP = 3
"""Mini-batches before those that count."""


def stopwatch(
    network: CuttableNetwork,
    input_shape: tuple[int, int, int],
    batch_size: int,
    repeats: int,
    device: str = "cpu",
    name: str = "here",
    network_name: str = "",
) -> DeviceProfile:
    """Times each unit's forward pass, backward pass and step of SGD with momentum; medians of several mini-batches.

    A unit's backward pass gives the gradients of its weights and, but for the first, that of its input.

    Args:
        network: Trained on noise; its weights change.
        input_shape: (channels, height, width) of one image.
        batch_size: Samples of the mini-batch.
        repeats: Mini-batches that count.
        device: Of torch.
        name: The device's, in the file.
        network_name: Likewise.
    """
    costs, seconds = profile(network, input_shape), [_Seconds() for _ in network.units]
    network.to(device).train()
    optimizers = [
        torch.optim.SGD(unit.parameters(), 1e-3, 0.9) if any(True for _ in unit.parameters()) else None
        for unit in network.units
    ]
    generator = torch.Generator().manual_seed(0)
    for number in range(WARM_UP + repeats):
        x = torch.randn(batch_size, *input_shape, generator=generator).to(device)
        for unit, optimizer, found in zip(network.units, optimizers, seconds, strict=True):
            x = found.time(unit, optimizer, x, first=unit is network.units[0], counts=number >= WARM_UP)
    names = zip(network.unit_names, seconds, costs.activation_bits, costs.model_bits, strict=True)
    return DeviceProfile.model_validate(
        {
            "device": name,
            "machine": _machine(device),
            "network": network_name,
            "batch_size": batch_size,
            "threads": torch.get_num_threads(),
            "repeats": repeats,
            "units": [
                {
                    "name": unit,
                    **found.medians(),
                    "activation_bytes": batch_size * activation_bits / 8,
                    "weight_bytes": model_bits / 8,
                }
                for unit, found, activation_bits, model_bits in names
            ],
        }
    )


class _Seconds:
    """Those of a unit, mini-batch by mini-batch."""

    def __init__(self) -> None:
        self.found: dict[str, list[float]] = {"forward_s": [], "backward_s": [], "update_s": []}

    def time(
        self, unit: nn.Module, optimizer: torch.optim.Optimizer | None, x: Tensor, first: bool, counts: bool
    ) -> Tensor:
        """Trains a unit by itself on what the one before has made; returns what it made."""
        x = x.detach().requires_grad_(not first)
        forward_s, output = _timed(lambda: unit(x), x.device)
        gradient = torch.ones_like(output)
        backward_s = 0.0
        if output.requires_grad:
            backward_s, _ = _timed(lambda: output.backward(gradient), x.device)
        update_s = 0.0
        if optimizer is not None:
            update_s, _ = _timed(optimizer.step, x.device)
            optimizer.zero_grad()
        if counts:
            for name, value in (("forward_s", forward_s), ("backward_s", backward_s), ("update_s", update_s)):
                self.found[name].append(value)
        return output

    def medians(self) -> dict[str, float]:
        return {name: median(values) for name, values in self.found.items()}


def _timed(work: Callable[[], Any], device: torch.device) -> tuple[float, Any]:
    """Seconds of some work, and what it returned; a GPU has done it then."""
    _wait(device)
    begin_s = perf_counter()
    result = work()
    _wait(device)
    return perf_counter() - begin_s, result


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _machine(device: str) -> str:
    """What the seconds are of."""
    if torch.device(device).type == "cuda":
        return torch.cuda.get_device_name(torch.device(device))
    return f"{platform.machine()}, {platform.processor() or platform.system()}, torch {torch.__version__}"
