"""What the equivariant policy reads from an observation: a token for each client, and the state of the cell."""

from typing import Any, NamedTuple

import torch
from gymnasium import spaces
from torch import Tensor

from agents.given import AS_THEY_ARE

PER_CLIENT = (
    "channel",
    "compute",
    "loss",
    "data_share",
    "available",
    "took_part",
    "client_cut_layer",
    "absence",
    "experience",
    "diversity",
    "novelty",
)
"""Features of clients that it reads; `present` too, where that is shown."""
SCALARS = ("accuracy", "cut_layer", "aggregation_ratio", "round_latency", "rounds_left", "time_left")
"""Features of the cell that it reads; `bandwidth` too, where that is shown."""
NEEDED = (*PER_CLIENT, *SCALARS)
FROM_LABELS = ("loss", "diversity", "novelty")
"""Features that are not shown where labels are private."""
COMPARED = ("channel", "compute", "loss")
"""What is also told relative to the other clients."""
FEATURES = 4 * len(COMPARED) + 8
"""Numbers in a client's token."""
OF_CELL = len(SCALARS) + 4
"""Numbers that describe the cell."""
LIMIT = 5.0
"""Logarithms of quantities over their references are cut off here."""
CELL_COMPONENTS = 3
"""Components of an action of the `priority` encoding that are not a client's: cut layer, latency exponent, phi."""


class Layout(NamedTuple):
    """Where clients and cell stand in the observations of an environment with `action="priority"`."""

    clients: int
    first: dict[str, int]
    """Index of a feature's first entry."""

    @classmethod
    def of(cls, observation_space: spaces.Space[Any], action_space: spaces.Space[Any]) -> "Layout":
        """Reads it off the spaces.

        Raises:
            ValueError: they are not those of action='priority' with a framework that aggregates, or a wrapper
                has changed the observations.
        """
        if isinstance(observation_space, spaces.Box) and not (
            (observation_space.low == 0).all() and (observation_space.high == 1).all()
        ):
            low, high = observation_space.low.min(), observation_space.high.max()
            raise ValueError(f"observation_space has values from {low:g} to {high:g}, allowed: {AS_THEY_ARE}")
        names: tuple[str, ...] = getattr(observation_space, "names", ())
        if not names:
            raise ValueError(f"observation_space = {observation_space} is that of a wrapper, allowed: {AS_THEY_ARE}")
        clients = (action_space.shape or (0,))[0] - CELL_COMPONENTS
        first = {
            name.removesuffix("[0]"): index for index, name in enumerate(names) if "[" not in name or "[0]" in name
        }
        missing = [name for name in NEEDED if name not in first]
        if missing and {*missing} <= {*FROM_LABELS}:
            raise ValueError(
                f"observation_space lacks {', '.join(missing)}, allowed: 'standard' where labels are not private"
            )
        shown = sum(name.startswith("available[") for name in names)
        if not isinstance(action_space, spaces.Box) or not 1 <= clients == shown or not {*NEEDED} <= {*first}:
            raise ValueError(
                f"action_space = {action_space} with observation_space = {observation_space}, allowed: those of"
                " action='priority', observation='standard', a framework that aggregates and no open factor of the plan"
            )
        return cls(clients, first)

    def entries(self, observation: Tensor, feature: str) -> Tensor:
        """[B, C] of a feature of clients."""
        return observation[:, self.first[feature] : self.first[feature] + self.clients]

    def entry(self, observation: Tensor, feature: str) -> Tensor:
        """[B, 1] of a feature of the cell."""
        return observation[:, self.first[feature], None]


class Tokens(NamedTuple):
    """B observations of C clients."""

    clients: Tensor
    """[B, C, FEATURES]."""
    cell: Tensor
    """[B, OF_CELL]."""
    available: Tensor
    """[B, C] 1 for clients that are available, else 0."""


def tokens(observation: Tensor, layout: Layout) -> Tokens:
    """Takes observations apart.

    Squashed quantities x / (x + reference) become log(x / reference). Channel, compute and loss of a client are also
    told relative to the mean over the available clients, and by rank: how many of them are below, as a fraction and
    as a logarithm.

    Args:
        observation: [B, observation].
        layout: Of the environment.

    Raises:
        ValueError: a value is not between 0 and 1; `VecNormalize` does not say in the space what it does.
    """
    low, high = observation.aminmax()
    if not (low >= 0 and high <= 1):
        raise ValueError(f"observation has values from {low:g} to {high:g}, allowed: {AS_THEY_ARE}")
    of_clients = {name: layout.entries(observation, name) for name in PER_CLIENT}
    scalars = torch.cat([layout.entry(observation, name) for name in SCALARS], 1)
    available = of_clients["available"] * (layout.entries(observation, "present") if "present" in layout.first else 1.0)
    count = available.sum(1, keepdim=True).clamp(min=1.0)
    shows_bandwidth = "bandwidth" in layout.first
    bandwidth = _log(layout.entry(observation, "bandwidth")) if shows_bandwidth else torch.zeros_like(count)
    compared = {name: _log(of_clients[name]) for name in COMPARED}
    compared["channel"] = compared["channel"] + bandwidth
    loss = compared["loss"]
    features = [number for value in compared.values() for number in _compare(value, available, count)]
    features += [of_clients["took_part"], of_clients["client_cut_layer"], of_clients["diversity"]]
    features += [_log(of_clients[name]) / 2 for name in ("data_share", "absence", "experience", "novelty")]
    features += [loss * of_clients["took_part"] / 2]
    latency = _log(layout.entry(observation, "round_latency")) / 2
    accuracy = _log(layout.entry(observation, "accuracy")) / 2
    cell = torch.cat([scalars, bandwidth, torch.log(count) - 2, accuracy, latency], 1)
    return Tokens(torch.stack(features, 2), cell, available)


def _log(squashed: Tensor) -> Tensor:
    return torch.logit(squashed, eps=1e-4).clamp(-LIMIT, LIMIT)


def _compare(value: Tensor, available: Tensor, count: Tensor) -> tuple[Tensor, ...]:
    """Value, difference from the mean, and rank twice, [B, C] each."""
    below = ((value[:, :, None] > value[:, None, :]) * available[:, None, :]).sum(2)
    return value / 2, value - (value * available).sum(1, keepdim=True) / count, below / count, torch.log1p(below)
