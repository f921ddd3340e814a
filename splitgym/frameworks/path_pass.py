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


class StagePass:
    """A forward pass through one server that waits for its way back.

    Args:
        stage: The server; its running statistics move, its weights do not.
        groups: The shallowest cut first.
        received: [n, rows, ...] of each group, leaves of a graph.
        training: Says how batch norm works.
        weights: Of all clients.

    Attributes:
        stage: As above.
        made: [n, rows, ...] what its units made of them.
    """

    def __init__(
        self,
        stage: Stage,
        groups: Sequence[Group],
        received: Sequence[Tensor],
        training: Training,
        weights: Tensor,
    ) -> None:
        self.stage, self._received = stage, received
        self.made = _run(stage, groups, received, training, weights)

    def backward(self, back: Sequence[Tensor]) -> tuple[Sequence[Tensor], Sequence[Tensor | None]]:
        """Gradients of what was received, and of each weight of the server; to be called once."""
        # Units in front of the shallowest cut of those that take part learn nothing.
        wanted = [*self._received, *self.stage.server.parameters]
        gradients = torch.autograd.grad(self.made, wanted, back, allow_unused=True)
        return gradients[: len(self._received)], gradients[len(self._received) :]


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
        self._passed: list[StagePass] = []
        parts = at_cuts
        for stage in nodes.stages:
            if stage.link is not None:
                self._traffic.over(stage.link, parts)
                parts = [part.detach().requires_grad_() for part in parts]
            self._passed.append(StagePass(stage, groups, parts, nodes.training, round_batch.weights))
            parts = self._passed[-1].made
        self._z = [add_losses(logits, group, round_batch) for logits, group in zip(parts, groups, strict=True)]

    def backward(self) -> PartGradients:
        """Back through all servers; to be called once."""
        back: Sequence[Tensor] = self._z
        of_servers: list[Tensor | None] = []
        for passed in reversed(self._passed):
            back, of_server = passed.backward(back)
            of_servers = [*of_server, *of_servers]
            if passed.stage.link is not None:
                self._traffic.over(passed.stage.link, back)
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
