"""Hierarchical split learning, user-edge-cloud: PSL in three parts (arXiv 2306.12194, section VI-A).

Clients run the first units side by side, the edge server those behind the cut layer, the cloud those behind the second
cut, the scenario's `cloud.cut_layer`. What is learnt does not depend on the second cut, as no row is left out or
averaged there. Units that move between clients and the cloud (cut layers behind the second cut) are charged for the way
to the edge server only.
"""

import numpy as np
import torch
from torch import Tensor

from splitgym.frameworks import epsl
from splitgym.frameworks.framework import Framework
from splitgym.frameworks.nodes import Nodes
from splitgym.frameworks.phases import Phase, Workload
from splitgym.frameworks.resources import Resource
from splitgym.frameworks.round_batch import RoundBatch
from splitgym.frameworks.segments import Bound, Segment, Weights
from splitgym.frameworks.server_pass import CutGradients, add_losses, loss_gradients, per_client, run_rows
from splitgym.scenario.nodes import BACKHAUL, CLOUD


def phases(w: Workload) -> tuple[Phase, ...]:
    """The PSL round, with the way to the cloud and back between the edge server's passes.

    Over the link between edge and cloud the rows of all clients go together, one direction after the other.
    """
    b, behind_edge = w.batch_size, np.maximum(w.cut_layer, w.second_cut)
    narrow_bits, forward, backward = (
        w.at(table, behind_edge) for table in (w.smashed_bits, w.server_forward, w.server_backward)
    )
    return (
        Phase("client_fp", Resource.CLIENT, b * w.client_forward),
        Phase("uplink", Resource.UPLINK, b * w.smashed_bits),
        Phase("server_fp", Resource.SERVER, per_participant=b * (w.server_forward - forward)),
        Phase("backhaul_up", BACKHAUL, per_participant=b * narrow_bits),
        Phase("cloud_fp", CLOUD, per_participant=b * w.relative_cycles(CLOUD) * forward),
        Phase("cloud_bp", CLOUD, per_participant=b * w.relative_cycles(CLOUD) * (backward + w.last_layer_backward)),
        Phase("backhaul_down", BACKHAUL, per_participant=b * narrow_bits),
        Phase("server_bp", Resource.SERVER, per_participant=b * (w.server_backward - backward)),
        Phase("unicast", Resource.UNICAST, b * w.cut_gradient_bits),
        Phase("client_bp", Resource.CLIENT, b * w.client_backward),
    )


def train(nodes: Nodes, round_batch: RoundBatch) -> bool:
    """One round; see `splitgym.frameworks.epsl.train_with`."""
    return epsl.train_with(edge_and_cloud_pass, nodes, round_batch)


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


FRAMEWORK = Framework(
    name="hierarchical",
    phases=phases,
    train=train,
    segments=(
        Segment("client", Bound.CUT, Weights.OWN),
        Segment("server", Bound.SECOND_CUT),
        Segment(CLOUD),
    ),
    joint_batch=True,
    learns_as="psl",
)
