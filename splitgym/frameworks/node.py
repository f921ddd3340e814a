"""A node of split learning: consecutive units of a network, and an optimiser for some of them."""

import copy
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from splitgym.frameworks.fixed_point import on_grid
from splitgym.frameworks.low_precision import round_all, rounding
from splitgym.frameworks.narrow import Narrow
from splitgym.frameworks.snapshots import state_of
from splitgym.scenario import Training
from splitgym.scenario.quantities import FULL_BITS

Remembered = dict[Tensor, Any]
"""What an optimiser remembers of each of its weights."""


class Node:
    """What holds consecutive units of the network and trains some of them.

    Attributes:
        units: The units it holds; several nodes may hold the same ones.
        parameters: The weights it trains.
        bits: Of the numbers it computes with, see `splitgym.frameworks.low_precision`.
        chance: For how it rounds them.
        narrow: In which channels it computes; None: in all.
        alone: Whether it computes by itself, as a device does, also where a group of nodes would be faster: a group
            adds up in another order, so that last bits differ.
    """

    bits = FULL_BITS
    chance: torch.Generator | None = None
    narrow: Narrow | None = None
    alone = False

    def __init__(self, units: Sequence[nn.Module], learning_rate: float, training: Training) -> None:
        self.units = list(units)
        self.parameters: list[nn.Parameter] = []
        self._learning_rate = learning_rate
        self.training = training
        self.optimizer: torch.optim.Optimizer
        self.train_units(0)

    def forward(self, x: Tensor, first: int = 0, last: int | None = None) -> Tensor:
        """Runs the held units first..last-1."""
        # A context of its own for each pass: within one, weights stay cast after an optimiser has changed them.
        units = self.units[first:last]
        with mixed_precision(x, self.training), self._rounding(units):
            if self.narrow is not None:
                return self.narrow.run(units, x, first)
            for unit in units:
                x = unit(x)
        return x

    def logits(self, x: Tensor, first: int = 0) -> Tensor:
        """The output of all held units from `first` on, never in half precision."""
        logits = self.forward(x, first)
        return logits.float() if logits.dtype is torch.bfloat16 else logits

    def train_units(self, first: int, last: int | None = None) -> None:
        """From now on trains its units first..last-1; what the optimiser remembers of them stays."""
        self.parameters = [p for unit in self.units[first:last] for p in unit.parameters()]
        before = self.optimizer.state if hasattr(self, "optimizer") else {}
        self.optimizer = _optimizer(self.parameters, self._learning_rate, self.training)
        for parameter in self.parameters:
            if parameter in before:
                self.optimizer.state[parameter] = before[parameter]
        if self.optimizer.state:
            self._begin_momentum()

    def step(self, gradients: Sequence[Tensor | None]) -> None:
        """One step of the optimiser with a gradient for each of `parameters`; a weight without one stays."""
        if any(gradient is None for gradient in gradients):
            self._begin_momentum()
        for parameter, exact in zip(self.parameters, gradients, strict=True):
            if exact is None:
                continue
            gradient = on_grid(exact, self.bits, self.chance)
            # Fused optimisers take the memory formats for equal.
            same = gradient.stride() == parameter.stride()
            parameter.grad = gradient if same else torch.empty_like(parameter).copy_(gradient)
        with self._leaving_the_rest():
            self.optimizer.step()
        for parameter in self.parameters:
            parameter.grad = None
        self.round_numbers(self.chance)

    def begin(self) -> None:
        """Begins to train with the numbers of its bits that are the nearest, as a server would send them to all."""
        self.round_numbers(None)

    def received(self) -> "Node":
        """For forward passes: the node with its units as it holds them when they have come from a server."""
        if self.bits == FULL_BITS:
            return self
        node = copy.copy(self)
        node.units = copy.deepcopy(self.units)
        round_all(state_of(node.units), self.bits, None)
        return node

    def round_numbers(self, chance: torch.Generator | None) -> None:
        """Rounds its weights, running statistics and what its optimiser remembers to numbers of its bits.

        Args:
            chance: For which are rounded up; None: to the nearest.
        """
        if self.bits < FULL_BITS and self.narrow is not None:
            round_all([part for _, part in self.narrow.parts(self.units, self.optimizer)], self.bits, chance)
        elif self.bits < FULL_BITS:
            remembered = (value for state in self.optimizer.state.values() for value in state.values())
            tensors = [value for value in remembered if isinstance(value, Tensor)]
            round_all([*state_of(self.units), *tensors], self.bits, chance)

    def _leaving_the_rest(self) -> AbstractContextManager[None]:
        """For a step of the optimiser: channels that the node leaves out stay as they are."""
        if self.narrow is None:
            return nullcontext()
        self._begin_momentum()
        return self.narrow.leaving_the_rest(self.units, self.optimizer)

    def _rounding(self, units: Sequence[nn.Module]) -> AbstractContextManager[None]:
        """For a forward pass through some units; at random in training only."""
        if self.bits == FULL_BITS or not units:
            return nullcontext()
        return rounding(units, self.bits, self.chance if units[0].training else None)

    def remembered(self) -> Remembered:
        """A copy of what the optimiser remembers."""
        return {parameter: copy.deepcopy(state) for parameter, state in self.optimizer.state.items()}

    def remember(self, remembered: Remembered) -> None:
        """Makes the optimiser remember that, and nothing else."""
        self.forget()
        self.optimizer.state.update(remembered)

    def forget(self) -> None:
        """Drops what the optimiser remembers."""
        self.optimizer.state.clear()

    def _begin_momentum(self) -> None:
        """Gives weights without a momentum one of 0: a fused optimiser wants that of all weights or of none."""
        if self.training.optimizer == "sgd" and self.training.momentum > 0:
            for parameter in self.parameters:
                self.optimizer.state[parameter].setdefault("momentum_buffer", torch.zeros_like(parameter))

    def scale_rate(self, factor: float) -> None:
        """Trains with `factor` times its learning rate until told otherwise."""
        for group in self.optimizer.param_groups:
            group["lr"] = factor * self._learning_rate

    def set_mode(self, training: bool) -> None:
        """Puts all held units in training or evaluation mode."""
        for unit in self.units:
            # Setting it walks through all layers.
            if unit.training != training:
                unit.train(training)


def mixed_precision(x: Tensor, training: Training) -> torch.autocast:
    """The precision in which units compute."""
    return torch.autocast(x.device.type, torch.bfloat16, enabled=training.precision == "bf16")


def _optimizer(parameters: list[nn.Parameter], learning_rate: float, training: Training) -> torch.optim.Optimizer:
    """The optimiser that the scenario asks for, over some weights."""
    # A node that holds nothing yet gets an optimiser over an empty group, which torch allows only as a group.
    groups = [{"params": parameters}]
    fused = all(parameter.device.type in ("cpu", "cuda") for parameter in parameters)
    if training.optimizer == "adam":
        betas = (training.momentum, 0.999)
        decay = training.weight_decay
        return torch.optim.Adam(groups, lr=learning_rate, betas=betas, weight_decay=decay, fused=fused)
    momentum, decay = training.momentum, training.weight_decay
    return torch.optim.SGD(groups, lr=learning_rate, momentum=momentum, weight_decay=decay, fused=fused)
