"""What a cut that moves does to skills: the rules of `splitgym.frameworks.nodes.Nodes.move_cut` for own units."""

from splitgym.arrays import Floats, Ints
from splitgym.kernels import INLINED, INLINED_APART, kernel
from splitgym.learning.surrogate.parameters import Parameters
from splitgym.learning.surrogate.worlds import Scratch, Worlds, lanes_of


@kernel(INLINED)
def move_cut(worlds: Worlds, n: int, cut_layer: int, parameters: Parameters, room: Scratch) -> None:
    """Moves the cut of world n to the given layer; participants are clients whose part in the data is not 0.

    Shallower: the server takes over the units behind it as the participants' weighted mean, and all clients' copies of
    them are void. Deeper: participants (in the first round all) fetch the units in between; what is fetched is not
    behind the server.
    """
    share, part, own_before = parameters.client_share, room.part, room.own_before
    held, data_share = worlds.client_cut_layer[n], worlds.data_share[n]
    before = worlds.cut_layer[n]
    if cut_layer < before and _give(held, cut_layer, room):
        _take_over(worlds.skill[n], worlds.own_skill[n], (1.0 - share[before]) / (1.0 - share[cut_layer]), room)
    fetched = False
    for c in range(len(held)):
        own_before[c] = 1.0
        if held[c] < cut_layer and data_share[c] > 0.0 and (before == 0 or part[c] > 0.0):
            own_before[c] = share[held[c]] / share[cut_layer]
            held[c] = cut_layer
            fetched = True
        held[c] = min(held[c], cut_layer)
    if fetched:
        _fetch(worlds.skill[n], worlds.own_skill[n], worlds.behind[n], own_before)
    worlds.cut_layer[n] = cut_layer


@kernel(INLINED_APART)
def _give(held: Ints, cut_layer: int, room: Scratch) -> bool:
    """Fills in the fractions of participants among those that have units behind the cut, `given`; are there any?"""
    part, given = room.part, room.given
    weight = 0.0
    for c in range(len(held)):
        given[c] = part[c] if held[c] > cut_layer else 0.0
        weight += given[c]
    for c in range(len(held)):
        given[c] /= weight if weight > 0.0 else 1.0
    return weight > 0.0


@kernel(INLINED_APART)
def _take_over(skill: Floats, own_skill: Floats, before: float, room: Scratch) -> None:
    """Makes the participants' units behind a shallower cut the server's, by their weighted mean."""
    given = room.given
    for k in range(len(skill)):
        own, taken = own_skill[k], 0.0
        for c in range(lanes_of(given)):
            taken += given[c] * own[c]
        skill[k] = before * skill[k] + (1.0 - before) * taken


@kernel(INLINED_APART)
def _fetch(skill: Floats, own_skill: Floats, behind: Floats, own_before: Floats) -> None:
    """Mixes clients' own units, [K, L], with fetched ones; `own_before`, [L], is the fraction of units held before."""
    for c in range(lanes_of(behind)):
        behind[c] *= own_before[c]
    for k in range(len(skill)):
        own, fetched = own_skill[k], skill[k]
        for c in range(lanes_of(own_before)):
            own[c] = own_before[c] * own[c] + (1.0 - own_before[c]) * fetched
