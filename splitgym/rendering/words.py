"""What was decided and what it cost, in words and numbers."""

from typing import Any

import numpy as np

from splitgym.arrays import Ints
from splitgym.frameworks.segments import units_on_clients as units_on_clients_of
from splitgym.rendering.scene import Played, Scene
from splitgym.rendering.units import quantity
from splitgym.scenario.levels import Level


def units_on_clients(scene: Scene, played: Played) -> tuple[int, int]:
    """How many units are trained on the clients: on the one with the fewest, and on the one with the most."""
    units, cuts = scene.state.system.units, _of_those_taking_part(played, played.decision.cut_layer)
    fewest, most = (units_on_clients_of(scene.framework.segments, int(cut), units) for cut in (cuts.min(), cuts.max()))
    return fewest, most


def codecs(scene: Scene, played: Played) -> list[str]:
    """With which codecs smashed data were sent, and with which precision clients computed, where that is decided."""
    system, decision = scene.state.system, played.decision
    precisions = [Level.read(each).words for each in system.precisions]
    named: list[str] = []
    for chosen, names in ((decision.codec, system.codecs), (decision.precision, precisions)):
        if len(names) > 1:
            named += [names[k] for k in np.unique(_of_those_taking_part(played, chosen))]
    return named


def batch_sizes(scene: Scene, played: Played) -> str:
    """Samples of the clients' mini-batches, where that is decided; else nothing."""
    if not scene.state.system.program.plans.smallest_batch:
        return ""
    sizes = _of_those_taking_part(played, played.decision.plan.sizes(scene.state))
    least, most = int(sizes.min()), int(sizes.max())
    return f"{least}" if least == most else f"{least} to {most}"


def _of_those_taking_part(played: Played, factor: Any) -> Ints:
    """[n] a factor of the plan of the clients that took part, or of all if nobody did."""
    took_part = played.cost.participants
    return np.broadcast_to(factor, took_part.shape)[took_part | ~took_part.any()]


def tail_units(scene: Scene, played: Played) -> int:
    """How many last units are trained on the clients."""
    if not scene.framework.has_tail:
        return 0
    decision, system = played.decision, scene.state.system
    return system.units - int(system.program.plans.second_of(decision.cut_layer, decision.second_cut))


def facts(scene: Scene, played: Played) -> list[tuple[str, str]]:
    """Names and values of what was decided and what it cost."""
    decision, cost, *_ = played
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
    ]


def warnings(scene: Scene, played: Played) -> list[str]:
    """What did not go as decided."""
    found = []
    if played.projected:
        found.append("powers were scaled down to the budgets")
    if not played.trained:
        found.append("nothing was learnt")
    return found
