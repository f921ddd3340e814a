"""The training round of parallel split learning: EPSL, PSL, and PSL on fewer rows."""

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from splitgym.frameworks import own_plans
from splitgym.frameworks.crossing import Crossing
from splitgym.frameworks.nodes import Nodes
from splitgym.frameworks.parallel import begin, run_clients
from splitgym.frameworks.round_batch import RoundBatch
from splitgym.frameworks.server_pass import CutGradients, server_pass


def train(nodes: Nodes, round_batch: RoundBatch) -> bool:
    """One EPSL round; see `train_with`, and with plans of the clients' own, where phi = 0, `own_plans.train`."""
    if round_batch.sizes is not None or len(set(nodes.cut_layers[list(round_batch.participants)])) > 1:
        return own_plans.train(nodes, round_batch)
    return train_with(server_pass, nodes, round_batch)


def train_with(
    pass_behind_the_cut: Callable[[Nodes, Tensor, RoundBatch], CutGradients], nodes: Nodes, round_batch: RoundBatch
) -> bool:
    """One round: forward, gradient aggregation, backward, a step of every optimiser that took part.

    Server gradient: (1/b) [sum_{j<=m} BP(zbar_j) + sum_{j>m} sum_i lambda_i BP(z_ij)]; client gradient: (1/b) sum_j
    of its cut gradients, not scaled by lambda_i, so that a client's learning rate does not depend on how many take
    part.

    Args:
        pass_behind_the_cut: From the smashed data to the gradients, as `splitgym.frameworks.server_pass.server_pass`.
        nodes: Trained in place; the cut has been moved already.
        round_batch: Mini-batches; losses and traffic are filled.

    Returns:
        False if a loss or a gradient at the cut is not finite; then all weights and running statistics are as before.
    """
    clients = [nodes.clients[i] for i in round_batch.participants]
    statistics = begin([*clients, nodes.server])
    forward = run_clients(clients, round_batch.images)
    crossing = Crossing(round_batch, forward.smashed)
    cut_gradients = pass_behind_the_cut(nodes, crossing.received, round_batch)
    if not (torch.isfinite(round_batch.losses).all() and cut_gradients.finite):
        statistics.restore()
        return False
    decoded = replace(cut_gradients, common=crossing.to_all(cut_gradients.common), own=crossing.back(cut_gradients.own))
    for client, gradients in zip(clients, forward.backward(decoded.of_clients()), strict=True):
        client.step(gradients)
    nodes.step_servers(cut_gradients.of_server)
    return True


def train_other_rows(nodes: Nodes, round_batch: RoundBatch) -> bool:
    """One PSL round on the first b - m rows; see `train`."""
    rows = round_batch.labels.shape[1] - round_batch.aggregated_rows
    rest = replace(
        round_batch, images=round_batch.images[:, :rows], labels=round_batch.labels[:, :rows], aggregated_rows=0
    )
    return train(nodes, rest)
