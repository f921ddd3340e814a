"""What the equivariant policy reads of an observation: a token for each client and each placement, and of the cell."""

from typing import Any, NamedTuple

import torch
from gymnasium import spaces
from torch import Tensor

from splitgym.envs.actions import components_of

from .given import AS_THEY_ARE

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
FROM_LABELS = ("loss", "diversity", "novelty")
"""Those of them that are not shown where labels are private."""
OF_FACTORS = (
    "codec",
    "batch_size",
    "data_left",
    "memory",
    "client_second_cut",
    "in_flight",
    "delivered",
    "compute_left",
    "bits_left",
    "station",
    "interruption",
    "wired",
)
"""Features of clients that it reads, where they are shown; as they are, but those of `SQUASHED`."""
SQUASHED = ("interruption", "wired")
PLACEMENT = "placement"
"""Says of each placement whether it is held; of actions: its score."""
OF_PLACEMENTS = ("relocation", "behind_cut", "way")
"""Seconds of placements that it reads where they are shown."""
SCALARS = ("accuracy", "cut_layer", "aggregation_ratio", "round_latency", "rounds_left", "time_left")
"""Features of the cell that it reads; `bandwidth` too, where that is shown."""
NEEDED = tuple(name for name in (*PER_CLIENT, *SCALARS) if name not in FROM_LABELS)
COMPARED = ("channel", "compute", "loss")
"""What is also told relative to the other clients."""
OF_CELL = len(SCALARS) + 4
"""Numbers that describe the cell."""
LIMIT = 5.0
"""Logarithms of quantities over their references are cut off here."""


class Layout(NamedTuple):
    """What stands where in observations and actions of an environment with `action="priority"`."""

    clients: int
    first: dict[str, int]
    """Index of a feature's first entry."""
    components: tuple[str, ...]
    """What an action says, in its order."""
    by_client: frozenset[str]
    """What it says of each client."""
    placements: int
    """How many it gives a score; 0: placements are not decided."""

    @classmethod
    def of(cls, observation_space: spaces.Space[Any], action_space: spaces.Space[Any]) -> "Layout":
        """Reads it off the spaces.

        Raises:
            ValueError: they are not those of action='priority' and observation='standard', or a wrapper has changed
                them.
        """
        if isinstance(observation_space, spaces.Box) and not (
            (observation_space.low == 0).all() and (observation_space.high == 1).all()
        ):
            low, high = observation_space.low.min(), observation_space.high.max()
            raise ValueError(f"observation_space has values from {low:g} to {high:g}, allowed: {AS_THEY_ARE}")
        names: tuple[str, ...] = getattr(observation_space, "names", ())
        if not names:
            raise ValueError(f"observation_space = {observation_space} is that of a wrapper, allowed: {AS_THEY_ARE}")
        said: tuple[str, ...] = getattr(action_space, "names", ())
        first = {
            name.removesuffix("[0]"): index for index, name in enumerate(names) if "[" not in name or "[0]" in name
        }
        placements = sum(name.startswith(f"{PLACEMENT}[") for name in said)
        needed = {*NEEDED, *(PLACEMENT,) * (placements > 0)}
        if "client_weight[0]" not in said or not needed <= {*first}:
            raise ValueError(
                f"action_space = {action_space} with observation_space = {observation_space}, allowed: those of"
                " action='priority', observation='standard'"
            )
        return cls(
            sum(name.startswith("available[") for name in names),
            first,
            components_of(action_space),
            frozenset(name.partition("[")[0] for name in said if "[" in name) - {PLACEMENT},
            placements,
        )

    @property
    def of_cell(self) -> tuple[str, ...]:
        """What an action says of the cell."""
        return tuple(name for name in self.components if name not in self.by_client | {PLACEMENT})

    def entries_of(self, component: str) -> int:
        """Numbers with which an action says it."""
        return self.placements if component == PLACEMENT else self.clients if component in self.by_client else 1

    @property
    def features(self) -> int:
        """Numbers in a client's token."""
        shown = sum(name in self.first for name in (*PER_CLIENT, *OF_FACTORS))
        return shown + 3 * sum(name in self.first for name in COMPARED) - 1 + ("loss" in self.first)

    @property
    def of_placement(self) -> int:
        """Numbers in a placement's token."""
        return 1 + 5 * len(self.seconds)

    @property
    def seconds(self) -> tuple[str, ...]:
        """What a placement takes, as far as it is shown."""
        return tuple(name for name in OF_PLACEMENTS if name in self.first)

    def entries(self, observation: Tensor, feature: str) -> Tensor:
        """[B, C] of a feature of clients."""
        return observation[:, self.first[feature] : self.first[feature] + self.clients]

    def entry(self, observation: Tensor, feature: str) -> Tensor:
        """[B, 1] of a feature of the cell."""
        return observation[:, self.first[feature], None]


class Tokens(NamedTuple):
    """B observations of C clients."""

    clients: Tensor
    """[B, C, features]."""
    cell: Tensor
    """[B, OF_CELL]."""
    available: Tensor
    """[B, C] 1 for clients that are available, else 0."""
    placements: Tensor
    """[B, K, of_placement]; of no placement where they are not decided."""


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
    shown = [name for name in (*PER_CLIENT, *OF_FACTORS) if name in layout.first]
    of_clients = {name: layout.entries(observation, name) for name in shown}
    scalars = torch.cat([layout.entry(observation, name) for name in SCALARS], 1)
    available = of_clients["available"] * (layout.entries(observation, "present") if "present" in layout.first else 1.0)
    count = available.sum(1, keepdim=True).clamp(min=1.0)
    shows_bandwidth = "bandwidth" in layout.first
    bandwidth = _log(layout.entry(observation, "bandwidth")) if shows_bandwidth else torch.zeros_like(count)
    compared = {name: _log(of_clients[name]) for name in COMPARED if name in shown}
    compared["channel"] = compared["channel"] + bandwidth
    features = [number for value in compared.values() for number in _compare(value, available, count)]
    features += [of_clients[name] for name in ("took_part", "client_cut_layer", "diversity") if name in shown]
    features += [_log(of_clients[n]) / 2 for n in ("data_share", "absence", "experience", "novelty") if n in shown]
    features += [compared[name] * of_clients["took_part"] / 2 for name in ("loss",) if name in shown]
    factors = {name: of_clients[name] for name in OF_FACTORS if name in shown}
    features += [_log(value) / 2 if name in SQUASHED else value for name, value in factors.items()]
    latency = _log(layout.entry(observation, "round_latency")) / 2
    accuracy = _log(layout.entry(observation, "accuracy")) / 2
    cell = torch.cat([scalars, bandwidth, torch.log(count) - 2, accuracy, latency], 1)
    return Tokens(torch.stack(features, 2), cell, available, _placements(observation, layout))


def _placements(observation: Tensor, layout: Layout) -> Tensor:
    """[B, K, of_placement] the seconds of each, whether it is held, and the seconds compared with the others'."""

    def of_each(feature: str) -> Tensor:
        first = layout.first.get(feature, 0)
        return observation[:, first : first + layout.placements]

    seconds, all_of_them = [of_each(name) for name in layout.seconds], torch.ones(len(observation), layout.placements)
    features = [*seconds, of_each(PLACEMENT)]
    for value in seconds:
        features += _compare(_log(value), all_of_them, all_of_them.sum(1, keepdim=True))
    return torch.stack(features, 2)


def _log(squashed: Tensor) -> Tensor:
    return torch.logit(squashed, eps=1e-4).clamp(-LIMIT, LIMIT)


def _compare(value: Tensor, available: Tensor, count: Tensor) -> tuple[Tensor, ...]:
    """Value, difference from the mean, and rank twice, [B, C] each."""
    in_order = torch.where(available > 0, value, torch.inf).sort(1).values
    below = torch.searchsorted(in_order, value.contiguous()).to(value.dtype)
    return value / 2, value - (value * available).sum(1, keepdim=True) / count, below / count, torch.log1p(below)
