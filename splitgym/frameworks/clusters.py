"""The training round of cluster-based parallel split learning: inside a cluster side by side, clusters in turn."""

from collections.abc import Sequence

import torch
from torch import Tensor

from splitgym.frameworks.crossing import Crossing
from splitgym.frameworks.groups import Group, groups_of
from splitgym.frameworks.nodes import Nodes, model_state
from splitgym.frameworks.parallel import ClientPass, run_clients
from splitgym.frameworks.path_pass import PathPass
from splitgym.frameworks.round_batch import RoundBatch
from splitgym.frameworks.snapshots import MeanStatistics, Snapshot, WeightedMean, buffers_of, state_of


def train(nodes: Nodes, round_batch: RoundBatch) -> bool:
    """One round: the clusters in their slots.

    Args:
        nodes: Trained in place; the cut has been moved already.
        round_batch: Mini-batches, and the clusters as slots; losses and traffic are filled.

    Returns:
        False if a loss is not finite; then all weights and running statistics are as before, and the optimisers of
        all that participated start again.
    """
    nodes.server.set_mode(True)
    before = Snapshot(state_of(nodes.server.units))
    for members in round_batch.slots or [range(len(round_batch.participants))]:
        cluster = round_batch.of(members)
        finite = _train_cluster(nodes, cluster)
        round_batch.losses[list(members)] = cluster.losses
        if not finite:
            before.restore()
            for node in (nodes.server, *(nodes.clients[i] for i in round_batch.participants)):
                node.forget()
            return False
    return True


def _train_cluster(nodes: Nodes, cluster: RoundBatch) -> bool:
    """A round of SFL with one server batch; False, and only running statistics have moved, if it is not finite."""
    clients = [nodes.clients[i] for i in cluster.participants]
    units = nodes.server.units[: nodes.cut_layer]
    cluster.traffic.model("broadcast", model_state(units), clients[0].bits)
    for client in clients:
        client.begin()
    parts, passes = _run_members(nodes, cluster)
    crossings = [Crossing(cluster, each.smashed, part.members) for each, part in zip(passes, parts, strict=True)]
    received = [crossing.received.detach().requires_grad_() for crossing in crossings]
    found = PathPass(nodes, parts, received, cluster).backward()
    at_cuts = [x / part.weights(cluster, x) for x, part in zip(found.at_cuts, parts, strict=True)]
    if not (torch.isfinite(cluster.losses).all() and torch.isfinite(torch.stack([x.sum() for x in at_cuts])).all()):
        return False
    # All gradients first: they are those at the weights with which everybody began.
    gradients: dict[int, Sequence[Tensor]] = {}
    for part, each, crossing, x in zip(parts, passes, crossings, at_cuts, strict=True):
        gradients.update(zip(part.members, each.backward(crossing.back(x)), strict=True))
    mean = WeightedMean((parameter.detach() for parameter in clients[0].parameters), units)
    for k, (client, weight) in enumerate(zip(clients, cluster.weights, strict=True)):
        mean.begin()
        client.step(gradients[k])
        mean.add(weight)
        cluster.traffic.model("uplink", model_state(units), client.bits)
    mean.finish()
    nodes.step_servers(found.of_servers)
    return True


def _run_members(nodes: Nodes, cluster: RoundBatch) -> tuple[list[Group], list[ClientPass]]:
    """Forward passes of the members in groups; batch norm counts each one's rows alone, then averages statistics."""
    units, groups = nodes.server.units[: nodes.cut_layer], groups_of(nodes, cluster)
    if not buffers_of(units):
        return groups, [run_clients(each.nodes(nodes.clients, cluster), each.images(cluster)) for each in groups]
    alone = [Group(nodes.cut_layer, cluster.rows_of(k), [k]) for k in range(len(cluster.participants))]
    statistics, passes = MeanStatistics(units), list[ClientPass]()
    for each, weight in zip(alone, cluster.weights, strict=True):
        with statistics.of_one(weight):
            passes.append(run_clients(each.nodes(nodes.clients, cluster), each.images(cluster)))
    statistics.finish()
    return alone, passes
