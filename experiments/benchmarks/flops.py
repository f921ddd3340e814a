"""How much time aggregation can save at best: what a round computes with phi, relative to phi = 0."""

from splitgym.frameworks import aggregated_rows
from splitgym.models import Profile


def round_flops(profile: Profile, cut_layer: int, clients: int, batch_size: int, aggregation_ratio: float) -> float:
    """FLOPs of an EPSL round, aggregated rows read by the mean field, on clients and server together.

    All n b rows go forward through the whole network, and back through the clients; m + n (b - m) rows go back through
    the server.

    Args:
        profile: Of the network.
        cut_layer: j.
        clients: n; with one client nothing is aggregated.
        batch_size: b.
        aggregation_ratio: phi, of which m = ceil(phi b) rows follow.
    """
    n, b = clients, batch_size
    m = int(aggregated_rows(aggregation_ratio, b)) if n > 1 else 0
    on_client = float(profile.client_forward(cut_layer) + profile.client_backward(cut_layer))
    forward = float(profile.server_forward(cut_layer))
    backward = float(profile.server_backward(cut_layer)) + profile.last_layer_backward
    return n * b * (on_client + forward) + (m + n * (b - m)) * backward


def flop_ratio(profile: Profile, cut_layer: int, clients: int, batch_size: int, aggregation_ratio: float) -> float:
    """`round_flops` relative to the round without aggregation."""
    whole = round_flops(profile, cut_layer, clients, batch_size, 0.0)
    return round_flops(profile, cut_layer, clients, batch_size, aggregation_ratio) / whole
