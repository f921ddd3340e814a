"""The training round of hierarchical split learning: the units behind the cut on an edge server and in the cloud."""

import torch
from torch import Tensor

from splitgym.frameworks.nodes import Nodes
from splitgym.frameworks.parallel_round import train_with
from splitgym.frameworks.round_batch import RoundBatch
from splitgym.frameworks.server_pass import CutGradients, add_losses, loss_gradients, per_client, run_rows
from splitgym.scenario.nodes import BACKHAUL


def train(nodes: Nodes, round_batch: RoundBatch) -> bool:
    """One round; see `splitgym.frameworks.parallel_round.train_with`."""
    return train_with(edge_and_cloud_pass, nodes, round_batch)


def edge_and_cloud_pass(nodes: Nodes, smashed: Tensor, round_batch: RoundBatch) -> CutGradients:
    """Forward and backward on the edge server and in the cloud; compare `splitgym.frameworks.server_pass.server_pass`.

    Args:
        nodes: Running statistics of edge server and cloud move, weights do not.
        smashed: [n, b, ...] detached activations at the cut.
        round_batch: Labels and weights; losses and the traffic between edge server and cloud are filled.
    """
    (edge, cloud), first, second = nodes.servers(), nodes.cut_layer, nodes.second_cut
    (n, b), weights, training = round_batch.labels.shape, round_batch.weights, nodes.training
    at_edge = smashed.detach().requires_grad_()
    narrow = run_rows(lambda x: edge.forward(x, first, second), edge.units[first:second], at_edge, training, weights)
    round_batch.traffic.over(BACKHAUL, [narrow])
    at_cloud = narrow.detach().requires_grad_()
    logits = run_rows(lambda x: cloud.logits(x, second), cloud.units[second:], at_cloud, training, weights)
    round_batch.losses.zero_()
    add_losses(round_batch, logits.detach(), round_batch.labels)
    z = loss_gradients(logits.detach(), round_batch.labels)
    back, *of_cloud = torch.autograd.grad(logits, [at_cloud, *cloud.parameters], z * weights.view(n, 1, 1) / b)
    round_batch.traffic.over(BACKHAUL, [back])
    own, *of_edge = torch.autograd.grad(narrow, [at_edge, *edge.parameters], back)
    return CutGradients(smashed[0, :0], own / per_client(weights, own), [*of_edge, *of_cloud])
