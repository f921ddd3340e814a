"""What was decided and what it cost, in words and numbers."""

import numpy as np

from splitgym.frameworks.segments import units_on_clients as units_on_clients_of
from splitgym.rendering.scene import Played, Scene
from splitgym.rendering.units import quantity


def units_on_clients(scene: Scene, played: Played) -> int:
    """How many units are trained on the clients."""
    units = scene.state.system.cut_layers + 1
    return units_on_clients_of(scene.framework.segments, int(played.decision.cut_layer), units)


def facts(scene: Scene, played: Played) -> list[tuple[str, str]]:
    """Names and values of what was decided and what it cost."""
    decision, cost, *_ = played
    codecs, chosen = scene.state.system.codecs, sorted(set(np.ravel(decision.codec).tolist()))
    flies = cost.flights is not None
    return [
        ("clients that took part", f"{int(cost.participants.sum())} of {len(scene.clients)}"),
        ("quorum", f"{decision.quorum or 'all'}")
        if flies
        else ("aggregation ratio phi", f"{decision.aggregation_ratio:g}"),
        ("moved layers", quantity(cost.migration_bits, "bit")),
        ("energy of clients", quantity(float(cost.client_energy_j.sum()), "J")),
        ("energy of server", quantity(cost.server_energy_j, "J")),
        ("traffic", quantity(cost.traffic_bits, "bit")),
        *([("codec", ", ".join(codecs[k] for k in chosen))] if len(codecs) > 1 else []),
    ]


def warnings(scene: Scene, played: Played) -> list[str]:
    """What did not go as decided."""
    found = []
    if played.projected:
        found.append("powers were scaled down to the budgets")
    if not played.trained:
        found.append("nothing was learnt")
    return found
