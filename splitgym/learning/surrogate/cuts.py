"""What cuts that move do to skills: the rules of `splitgym.frameworks.nodes.Nodes.move_cut` for own units."""

from splitgym.arrays import Bools, Floats, Ints
from splitgym.kernels import INLINED, INLINED_APART, kernel
from splitgym.learning.surrogate.parameters import Parameters
from splitgym.learning.surrogate.worlds import Scratch, Worlds, lanes_of


@kernel(INLINED)
def move_cuts(worlds: Worlds, n: int, cut_layer: Ints, participants: Bools, p: Parameters, room: Scratch) -> None:
    """Moves the cuts of world n to the given layers, [C].

    Shallower: the server takes over the units behind the cuts as the weighted mean of those of the participants and,
    where it has them already, of its own; a client's copies behind its cut are void. Deeper: participants (in the first
    round all) fetch the units in between; what is fetched is not behind the server.
    """
    share, held, data_share = p.client_share, worlds.client_cut_layer[n], worlds.data_share[n]
    before, shallowest = worlds.cut_layer[n], len(share) - 1
    for c in range(len(held)):
        if data_share[c] > 0.0:
            shallowest = min(shallowest, cut_layer[c])
    if _give(held, cut_layer, participants, data_share, shallowest, before, share, room):
        _take_over(worlds.skill[n], worlds.own_skill[n], room.given)
    fetched = False
    for c in range(len(held)):
        room.own_before[c] = 1.0
        if held[c] < cut_layer[c] and data_share[c] > 0.0 and (before == 0 or participants[c]):
            room.own_before[c] = share[held[c]] / share[cut_layer[c]]
            held[c] = cut_layer[c]
            fetched = True
        held[c] = min(held[c], cut_layer[c])
        room.in_client[c], room.client_speed[c] = share[held[c]], p.client_speed[held[c]]
    if fetched:
        _fetch(worlds.skill[n], worlds.own_skill[n], worlds.behind[n], room.own_before)
    worlds.cut_layer[n] = shallowest


@kernel(INLINED)
def _give(
    held: Ints,
    cut_layer: Ints,
    participants: Bools,
    data_share: Floats,
    first: int,
    served_from: int,
    share: Floats,
    room: Scratch,
) -> bool:
    """Fills in which fraction of the server's skill comes from the units that each client gives up, `given`.

    Args:
        held: [C] units of each client.
        cut_layer: [C] units that it keeps.
        participants: [C]
        data_share: [C]
        first: The server's first unit from now on.
        served_from: Its first one until now.
        share: Of the network's skill, in so many units.
        room: Workspace.

    Returns:
        Whether there are any.
    """
    given, any_given = room.given, False
    for c in range(len(held)):
        given[c] = 0.0
        any_given |= participants[c] and held[c] > cut_layer[c]
    if any_given:
        for unit in range(first, len(share) - 1):
            weight = 0.0
            for c in range(len(held)):
                gives = participants[c] and cut_layer[c] <= unit < held[c]
                serves = served_from <= unit and held[c] <= unit
                weight += data_share[c] if gives or serves else 0.0
            of_unit = (share[unit + 1] - share[unit]) / (1.0 - share[first])
            for c in range(len(held)):
                if participants[c] and cut_layer[c] <= unit < held[c]:
                    given[c] += of_unit * data_share[c] / weight
    return any_given


@kernel(INLINED_APART)
def _take_over(skill: Floats, own_skill: Floats, given: Floats) -> None:
    """Makes units of clients the server's."""
    kept = 1.0
    for c in range(lanes_of(given)):
        kept -= given[c]
    for k in range(len(skill)):
        own, taken = own_skill[k], 0.0
        for c in range(lanes_of(given)):
            taken += given[c] * own[c]
        skill[k] = kept * skill[k] + taken


@kernel(INLINED_APART)
def _fetch(skill: Floats, own_skill: Floats, behind: Floats, own_before: Floats) -> None:
    """Mixes clients' own units, [K, L], with fetched ones; `own_before`, [L], is the fraction of units held before."""
    for c in range(lanes_of(behind)):
        behind[c] *= own_before[c]
    for k in range(len(skill)):
        own, fetched = own_skill[k], skill[k]
        for c in range(lanes_of(own_before)):
            own[c] = own_before[c] * own[c] + (1.0 - own_before[c]) * fetched
