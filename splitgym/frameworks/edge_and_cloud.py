"""The training round of hierarchical split learning: the units behind the cut on an edge server and in the cloud."""

from collections.abc import Sequence

import torch
from torch import Tensor

from splitgym.frameworks.nodes import Nodes
from splitgym.frameworks.own_plans import Group, PartGradients, fill_losses, train_with
from splitgym.frameworks.round_batch import RoundBatch
from splitgym.frameworks.server_pass import run_parts
from splitgym.scenario.nodes import BACKHAUL


def train(nodes: Nodes, round_batch: RoundBatch) -> bool:
    """One round; see `splitgym.frameworks.own_plans.train_with`."""
    return train_with(edge_and_cloud_parts, nodes, round_batch)


def edge_and_cloud_parts(
    nodes: Nodes, groups: Sequence[Group], at_cuts: Sequence[Tensor], round_batch: RoundBatch
) -> PartGradients:
    """Forward and backward on the edge server and in the cloud; compare `splitgym.frameworks.own_plans.server_parts`.

    Args:
        nodes: Running statistics of edge server and cloud move, weights do not.
        groups: Clients by batch size, with a common cut.
        at_cuts: [n, b, ...] activations at the cut of each group, leaves of a graph.
        round_batch: Labels and weights; losses and the traffic between edge server and cloud are filled.
    """
    (edge, cloud), first, second = nodes.servers(), nodes.cut_layer, nodes.second_cut
    weights, training = round_batch.weights[[k for group in groups for k in group.members]], nodes.training
    narrow = run_parts(lambda x: edge.forward(x, first, second), edge.units[first:second], at_cuts, training, weights)
    round_batch.traffic.over(BACKHAUL, narrow)
    at_cloud = [part.detach().requires_grad_() for part in narrow]
    logits = run_parts(lambda x: cloud.logits(x, second), cloud.units[second:], at_cloud, training, weights)
    z = [fill_losses(part, group, round_batch) for part, group in zip(logits, groups, strict=True)]
    gradients = torch.autograd.grad(logits, [*at_cloud, *cloud.parameters], z)
    back, of_cloud = gradients[: len(groups)], gradients[len(groups) :]
    round_batch.traffic.over(BACKHAUL, back)
    gradients = torch.autograd.grad(narrow, [*at_cuts, *edge.parameters], back)
    return PartGradients(gradients[: len(groups)], [*gradients[len(groups) :], *of_cloud])
