"""The pass through the servers behind the cuts, one server after the other: forward, loss, back-propagation.

A server runs its units in order, and a client's rows join at the unit behind the client's cut. As in PSL a unit learns
from all rows that reach it, those of a client weighted by the client's weight. Where a client's weight is its share of
the rows, that is the mean over all rows. Rows of clients with deeper cuts, or with none of a server's units in front of
them, it passes on as they are.
"""

from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor

from splitgym.frameworks.groups import Group, add_losses
from splitgym.frameworks.nodes import Nodes
from splitgym.frameworks.round_batch import RoundBatch
from splitgym.frameworks.server_pass import run_parts
from splitgym.frameworks.servers import Stage
from splitgym.scenario import Training


class PartGradients(NamedTuple):
    """What is behind the cuts answers to several groups; all as the servers' loss has them, weighted by client."""

    at_cuts: Sequence[Tensor]
    """[n, rows, ...] of each group."""
    of_servers: Sequence[Tensor | None]
    """Of each weight that the servers train, in the order of the units; None: no row reaches it."""


class _Passed(NamedTuple):
    """What one server has done."""

    stage: Stage
    received: Sequence[Tensor]
    """[n, rows, ...] of each group, leaves of a graph of the server's own."""
    made: Sequence[Tensor]
    """What its units made of them."""


class PathPass:
    """A forward pass through the servers that waits for its way back.

    Args:
        nodes: Running statistics of the servers move, weights do not.
        groups: The shallowest cut first.
        at_cuts: [n, rows, ...] activations at the cut of each group, leaves of a graph.
        round_batch: Labels and weights; losses, and traffic between servers, are filled.
    """

    def __init__(
        self, nodes: Nodes, groups: Sequence[Group], at_cuts: Sequence[Tensor], round_batch: RoundBatch
    ) -> None:
        self._traffic = round_batch.traffic
        self._passed: list[_Passed] = []
        parts = at_cuts
        for stage in nodes.stages:
            if stage.link is not None:
                self._traffic.over(stage.link, parts)
                parts = [part.detach().requires_grad_() for part in parts]
            made = _run(stage, groups, parts, nodes.training, round_batch.weights)
            self._passed.append(_Passed(stage, parts, made))
            parts = made
        self._z = [add_losses(logits, group, round_batch) for logits, group in zip(parts, groups, strict=True)]

    def backward(self) -> PartGradients:
        """Back through all servers; to be called once."""
        back: Sequence[Tensor] = self._z
        of_servers: list[Tensor | None] = []
        for stage, received, made in reversed(self._passed):
            # Units in front of the shallowest cut of those that take part learn nothing.
            wanted = [*received, *stage.server.parameters]
            gradients = torch.autograd.grad(made, wanted, back, allow_unused=True)
            back, of_server = gradients[: len(received)], gradients[len(received) :]
            of_servers = [*of_server, *of_servers]
            if stage.link is not None:
                self._traffic.over(stage.link, back)
        return PartGradients(back, of_servers)


def _run(
    stage: Stage, groups: Sequence[Group], received: Sequence[Tensor], training: Training, weights: Tensor
) -> list[Tensor]:
    """[n, rows, ...] what a server makes of what it received of each group."""
    server, made = stage.server, list(received)
    joins = {max(stage.first, group.cut_layer) for group in groups if group.cut_layer < stage.last}
    for first, last in pairwise(sorted(joins | {stage.last})):
        here = [place for place, group in enumerate(groups) if group.cut_layer <= first]
        members = [k for place in here for k in groups[place].members]
        own = weights[members]
        own = own if len(own) == len(weights) else own / own.sum()
        ends = last == len(server.units)
        run = partial(server.logits, first=first) if ends else partial(server.forward, first=first, last=last)
        parts = run_parts(run, server.units[first:last], [made[place] for place in here], training, own)
        for place, part in zip(here, parts, strict=True):
            made[place] = part
    return made
