"""What a cut that moves does to skills: the rules of `splitgym.frameworks.nodes.Nodes.move_cut` for own units."""

from splitgym.arrays import Floats
from splitgym.kernels import INLINED, kernel
from splitgym.learning.surrogate.parameters import Parameters
from splitgym.learning.surrogate.worlds import Worlds


@kernel(INLINED)
def move_cut(worlds: Worlds, n: int, cut_layer: int, part: Floats, parameters: Parameters) -> None:
    """Moves the cut of world n to the given layer; participants are clients whose part in the data, [C], is not 0.

    Shallower: the server takes over the units behind it as the participants' weighted mean, and all clients' copies of
    them are void. Deeper: participants (in the first round all) fetch the units in between; what is fetched is not
    behind the server.
    """
    share = parameters.client_share
    first = worlds.cut_layer[n] == 0
    if cut_layer < worlds.cut_layer[n]:
        _take_over(worlds, n, cut_layer, part, share)
    for c in range(len(part)):
        held = worlds.client_cut_layer[n, c]
        if held > cut_layer:
            worlds.client_cut_layer[n, c] = cut_layer
        elif held < cut_layer and worlds.data_share[n, c] > 0.0 and (first or part[c] > 0.0):
            before = share[held] / share[cut_layer]
            for k in range(worlds.skill.shape[1]):
                worlds.own_skill[n, c, k] = before * worlds.own_skill[n, c, k] + (1.0 - before) * worlds.skill[n, k]
            worlds.behind[n, c] *= before
            worlds.client_cut_layer[n, c] = cut_layer
    worlds.cut_layer[n] = cut_layer


@kernel(INLINED)
def _take_over(worlds: Worlds, n: int, cut_layer: int, part: Floats, share: Floats) -> None:
    """Makes the participants' units behind a shallower cut the server's, by their weighted mean."""
    weight = 0.0
    for c in range(len(part)):
        if worlds.client_cut_layer[n, c] > cut_layer:
            weight += part[c]
    if weight == 0.0:
        return
    before = (1.0 - share[worlds.cut_layer[n]]) / (1.0 - share[cut_layer])
    for k in range(worlds.skill.shape[1]):
        taken = 0.0
        for c in range(len(part)):
            if worlds.client_cut_layer[n, c] > cut_layer:
                taken += part[c] / weight * worlds.own_skill[n, c, k]
        worlds.skill[n, k] = before * worlds.skill[n, k] + (1.0 - before) * taken
