"""The phases in which clients' parts go down from the fed server and up to it, where they are averaged.

Beside the edge server that costs the way over the radio alone. Elsewhere everything goes on from the edge server over
a link, down once, up for each client, and the mean takes a multiplication and an addition for every number. What the
edge server passes on it does not read: models are encrypted for the fed server.
"""

from splitgym.frameworks.phases import Phase, Workload
from splitgym.frameworks.resources import Resource
from splitgym.scenario.quantities import FULL_BITS

FLOPS_OF_MEAN = 2
"""Of each number of each client."""


def models_down(w: Workload) -> tuple[Phase, ...]:
    """At the start of a round in which clients fetch the mean."""
    bits = w.client_model_bits * w.exchange.fetched
    on_the_way = [] if w.exchange.link is None else [Phase("fed_down", w.exchange.link, bits)]
    return (*on_the_way, Phase("model_down", Resource.BROADCAST, bits))


def models_up(w: Workload) -> tuple[Phase, ...]:
    """At the end of a round that ends with the mean."""
    exchange = w.exchange
    bits = w.client_model_bits * exchange.averaged
    up = Phase("model_up", Resource.UPLINK, bits)
    if exchange.link is None:
        return (up,)
    numbers = w.profile.prefix_bits(w.cut_layer) / FULL_BITS * exchange.averaged
    cycles = FLOPS_OF_MEAN * w.resources.cycles_per_flop[exchange.node] * numbers
    return (
        up,
        Phase("fed_up", exchange.link, per_participant=bits),
        Phase("averaging", exchange.node, per_participant=cycles),
    )
