"""Multi-hop split learning: PSL whose units behind the cut lie on a path of nodes (arXiv 2505.04368).

Clients run the first units side by side, the nodes of a placement the others, one after the other: see
`splitgym.frameworks.placements`. What is learnt does not depend on the placement, as no row is left out or averaged on
the way. With xi micro-batches a pass takes what the first one needs for all stages, and xi - 1 times the longest stage.
"""

from collections.abc import Sequence

import numpy as np

from splitgym.arrays import Floats, Ints
from splitgym.frameworks.framework import Framework, TrainedBy
from splitgym.frameworks.phases import Phase, Workload
from splitgym.frameworks.placed import Placed
from splitgym.frameworks.resources import PIPELINE, RELOCATION, Resource

FORWARD, BACKWARD = 1, 2
"""The passes of a round."""


def phases(w: Workload) -> tuple[Phase, ...]:
    """The PSL round, with the way over the nodes of the placement and back instead of the server's passes.

    Units that move between nodes have moved before the first node needs them. Over a link the rows of all clients go
    together, one direction after the other.
    """
    placed = w.placed or Placed.at_server(w.profile, w.resources)
    b, ahead, back = w.batch_size, list[Phase](), list[Phase]()
    first = w.cut_layer
    for hop in range(1, placed.hops + 1):
        last = np.maximum(w.cut_layer, placed.bound(hop))
        forward, backward = _passes(w, placed, hop, first, last)
        ahead.append(Phase(f"server_fp_{hop}", placed.node(hop), per_participant=forward))
        back.append(Phase(f"server_bp_{hop}", placed.node(hop), per_participant=backward))
        if hop < placed.hops:
            bits = b * placed.goes_on(hop) * w.cut_at(last).smashed_bits
            ahead.append(Phase(f"link_fp_{hop}", placed.link(hop), per_participant=bits))
            back.append(Phase(f"link_bp_{hop}", placed.link(hop), per_participant=bits))
        first = last
    to_server = (
        Phase("client_fp", Resource.CLIENT, b * w.client_forward + w.encode(b)),
        Phase("uplink", Resource.UPLINK, w.uplink_bits(b)),
    )
    to_clients = (
        Phase("unicast", Resource.UNICAST, w.downlink_bits(b)),
        Phase("client_bp", Resource.CLIENT, b * w.client_backward + w.decode_gradient(b)),
    )
    moves = (Phase("relocation", RELOCATION),) * placed.moves
    return (
        *_in_pass(FORWARD, to_server, w),
        *moves,
        *_in_pass(FORWARD, ahead, w),
        *_behind_pass("forward_pipeline", FORWARD, w),
        *_in_pass(BACKWARD, (*reversed(back), *to_clients), w),
        *_behind_pass("backward_pipeline", BACKWARD, w),
    )


def _passes(w: Workload, placed: Placed, hop: int, first: Ints, last: Ints) -> tuple[Floats, Floats]:
    """Cycles of node `hop` for each client, forward and backward, with the units behind `first` up to `last`."""
    front, behind, ends = w.cut_at(first), w.cut_at(last), placed.ends(hop)
    # Where the last one is, nothing is behind; the last layer counts apart.
    scale = w.batch_size * placed.relative_cycles(hop)
    forward = scale * (front.server_forward - behind.server_forward)
    backward = scale * (front.server_backward - behind.server_backward) + scale * ends * w.last_layer_backward
    if hop > 1:
        return forward, backward
    return forward + w.decode(w.batch_size), backward + w.encode_gradient(w.batch_size)


def _in_pass(number: int, stages: Sequence[Phase], w: Workload) -> list[Phase]:
    """The phases as stages of a pass, if there are micro-batches."""
    return [phase._replace(of_pass=number * (w.micro_batches > 1)) for phase in stages]


def _behind_pass(stage: str, number: int, w: Workload) -> list[Phase]:
    """Where micro-batches behind the first one go through a pass, if there are any."""
    return [Phase(stage, PIPELINE, of_pass=-number)] * (w.micro_batches > 1)


FRAMEWORK = Framework(
    name="multi-hop",
    phases=phases,
    train=TrainedBy("splitgym.frameworks.own_plans:train"),
    placed=True,
    joint_batch=True,
    batches_by_client=True,
    learns_as="psl",
)
