"""Efficient parallel split learning, EPSL (arXiv 2303.15991).

Clients run the first units side by side; the server runs the others for all of them and averages the last-layer
gradients of the first m = ceil(phi b) positions of the mini-batches over the clients before they go back. phi = 0 is
PSL.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from splitgym.frameworks import mixed_cuts
from splitgym.frameworks.framework import Framework
from splitgym.frameworks.nodes import Nodes
from splitgym.frameworks.parallel import run_clients
from splitgym.frameworks.phases import Phase, Workload
from splitgym.frameworks.resources import Resource
from splitgym.frameworks.round_batch import RoundBatch
from splitgym.frameworks.server_pass import CutGradients, server_pass
from splitgym.frameworks.snapshots import Snapshot, buffers_of


def phases(w: Workload) -> tuple[Phase, ...]:
    """The EPSL round: T = max(T_F + T_U) + T_sF + T_sB + T_B + max(T_D + T_cB)."""
    b, m = w.batch_size, w.aggregated_rows
    return (
        Phase("client_fp", Resource.CLIENT, b * w.client_forward),
        Phase("uplink", Resource.UPLINK, b * w.smashed_bits),
        Phase("server_fp", Resource.SERVER, per_participant=b * w.server_forward),
        Phase(
            "server_bp",
            Resource.SERVER,
            m * w.server_backward,
            per_participant=(b - m) * w.server_backward + b * w.last_layer_backward,
        ),
        Phase("broadcast", Resource.BROADCAST, m * w.cut_gradient_bits),
        Phase("unicast", Resource.UNICAST, (b - m) * w.cut_gradient_bits),
        Phase("client_bp", Resource.CLIENT, b * w.client_backward),
    )


def train(nodes: Nodes, round_batch: RoundBatch) -> bool:
    """One EPSL round; see `train_with`, and with different cut layers, where phi = 0, `mixed_cuts.train`."""
    if len(set(nodes.cut_layers[list(round_batch.participants)])) > 1:
        return mixed_cuts.train(nodes, round_batch)
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
    for node in (*clients, nodes.server):
        node.set_mode(True)
    statistics = Snapshot(buffers_of([unit for node in (*clients, nodes.server) for unit in node.units]))
    forward = run_clients(clients, round_batch.images)
    round_batch.traffic.up([forward.smashed])
    cut_gradients = pass_behind_the_cut(nodes, forward.smashed, round_batch)
    if not (torch.isfinite(round_batch.losses).all() and cut_gradients.finite):
        statistics.restore()
        return False
    round_batch.traffic.to_all([cut_gradients.common])
    round_batch.traffic.down([cut_gradients.own])
    for client, gradients in zip(clients, forward.backward(cut_gradients.of_clients()), strict=True):
        client.step(gradients)
    nodes.step_servers(cut_gradients.of_server)
    return True


FRAMEWORK = Framework(name="epsl", phases=phases, train=train, aggregates=True, joint_batch=True, cuts_by_client=True)
