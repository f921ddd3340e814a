"""A curious server: what it sees of the clients in some rounds, and what clients do so that it sees less."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from torch import Tensor

from experiments.label_leak import defences
from splitgym.arrays import Floats, Ints
from splitgym.frameworks import Framework, get
from splitgym.frameworks.u_shaped_round import TailPass, train_with

WINDOW = 10
"""Rounds that are looked at together."""


def windows_of(rounds: int) -> dict[str, range]:
    """Ten rounds near the begin, and the last ten; numbers count from 1."""
    return {"early": range(WINDOW // 2, WINDOW // 2 + WINDOW), "late": range(rounds + 1 - WINDOW, rounds + 1)}


class Server:
    """What a curious server keeps of gradients that clients send, and of the activations that these answer.

    Args:
        defence: What clients do to their gradients.
        windows: Rounds that are kept, by name.
        seed: Of the noise.
    """

    def __init__(self, defence: str, windows: Mapping[str, range], seed: int) -> None:
        self._defence, self._windows, self._number = defence, windows, 0
        self._chance = torch.Generator().manual_seed(seed)
        self._seen: dict[int, tuple[Tensor, Tensor, Tensor]] = {}

    @property
    def framework(self) -> Framework:
        """U-shaped split learning with this server."""
        return replace(get("u-shaped"), train=partial(train_with, self))

    def __call__(self, tails: TailPass, labels: Tensor) -> Tensor:
        """What the clients send instead of their gradients."""
        rows = tails.at_cut.flatten(2)
        sent = torch.stack([self._protected(own, y) for own, y in zip(rows, labels, strict=True)])
        self._number += 1
        if any(self._number in window for window in self._windows.values()):
            self._seen[self._number] = sent, tails.received.detach().flatten(2), labels
        return sent.view_as(tails.at_cut)

    def _protected(self, rows: Tensor, labels: Tensor) -> Tensor:
        name, _, strength = self._defence.partition(" ")
        if name == "none":
            return rows
        if name == "max-norm":
            return defences.max_norm(rows, self._chance)
        return defences.marvell(rows, labels == 1, self._chance, float(strength))

    def of_client(self, client: int, window: str) -> tuple[Floats, Floats, Ints]:
        """Gradients and activations, [rows, d], and labels, [rows], of one client in a window."""
        kept = [self._seen[number] for number in self._windows[window]]
        gradients, activations, labels = (torch.cat([one[part][client] for one in kept]).numpy() for part in range(3))
        return gradients.astype(np.float64), activations.astype(np.float64), labels
