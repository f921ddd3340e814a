"""The training round of cluster-based parallel split learning: inside a cluster side by side, clusters in turn."""

import torch

from splitgym.frameworks.crossing import Crossing
from splitgym.frameworks.nodes import Nodes, model_state
from splitgym.frameworks.parallel import ClientPass, run_clients
from splitgym.frameworks.round_batch import RoundBatch
from splitgym.frameworks.server_pass import server_pass
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
    passes = _run_members(nodes, cluster)
    smashed = torch.cat([forward.smashed for forward in passes])
    crossing = Crossing(cluster, smashed)
    cut_gradients = server_pass(nodes, crossing.received, cluster)
    if not (torch.isfinite(cluster.losses).all() and cut_gradients.finite):
        return False
    at_cut = crossing.back(cut_gradients.own).split([len(forward.smashed) for forward in passes])
    # All gradients first: they are those at the weights with which everybody began.
    gradients = [own for forward, part in zip(passes, at_cut, strict=True) for own in forward.backward(part)]
    mean = WeightedMean(parameter.detach() for parameter in clients[0].parameters)
    for client, own, weight in zip(clients, gradients, cluster.weights, strict=True):
        mean.begin()
        client.step(own)
        mean.add(weight)
        cluster.traffic.model("uplink", model_state(units), client.bits)
    mean.finish()
    nodes.server.step(cut_gradients.of_server)
    return True


def _run_members(nodes: Nodes, cluster: RoundBatch) -> list[ClientPass]:
    """Forward passes of the members; batch norm counts each one's rows by themselves, then averages statistics."""
    clients = [nodes.clients[i] for i in cluster.participants]
    units = nodes.server.units[: nodes.cut_layer]
    if not buffers_of(units):
        return [run_clients(clients, cluster.images)]
    statistics, passes = MeanStatistics(units), []
    for k, (client, weight) in enumerate(zip(clients, cluster.weights, strict=True)):
        with statistics.of_one(weight):
            passes.append(run_clients([client], cluster.images[k : k + 1]))
    statistics.finish()
    return passes
