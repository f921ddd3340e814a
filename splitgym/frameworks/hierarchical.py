"""Hierarchical split learning, user-edge-cloud: PSL in three parts (arXiv 2306.12194, section VI-A).

Clients run the first units side by side, the edge server those behind the cut layer, the cloud those behind the second
cut, the scenario's `cloud.cut_layer`. What is learnt does not depend on the second cut, as no row is left out or
averaged there. Units that move between clients and the cloud (cut layers behind the second cut) are charged for the way
to the edge server only.
"""

import numpy as np

from splitgym.frameworks.framework import Framework, TrainedBy
from splitgym.frameworks.phases import Phase, Workload
from splitgym.frameworks.resources import Resource
from splitgym.frameworks.segments import Bound, Segment, Weights
from splitgym.scenario.nodes import BACKHAUL, CLOUD


def phases(w: Workload) -> tuple[Phase, ...]:
    """The PSL round, with the way to the cloud and back between the edge server's passes.

    Over the link between edge and cloud the rows of all clients go together, one direction after the other.
    """
    b, cloud = w.batch_size, w.cut_at(np.maximum(w.cut_layer, w.second_cut))
    narrow_bits, forward, backward = cloud.smashed_bits, cloud.server_forward, cloud.server_backward
    return (
        Phase("client_fp", Resource.CLIENT, b * w.client_forward + w.encode(b)),
        Phase("uplink", Resource.UPLINK, w.uplink_bits(b)),
        Phase("server_fp", Resource.SERVER, per_participant=b * (w.server_forward - forward) + w.decode(b)),
        Phase("backhaul_up", BACKHAUL, per_participant=b * narrow_bits),
        Phase("cloud_fp", CLOUD, per_participant=b * w.relative_cycles(CLOUD) * forward),
        Phase("cloud_bp", CLOUD, per_participant=b * w.relative_cycles(CLOUD) * (backward + w.last_layer_backward)),
        Phase("backhaul_down", BACKHAUL, per_participant=b * narrow_bits),
        Phase("server_bp", Resource.SERVER, per_participant=b * (w.server_backward - backward) + w.encode_gradient(b)),
        Phase("unicast", Resource.UNICAST, w.downlink_bits(b)),
        Phase("client_bp", Resource.CLIENT, b * w.client_backward + w.decode_gradient(b)),
    )


FRAMEWORK = Framework(
    name="hierarchical",
    phases=phases,
    train=TrainedBy("splitgym.frameworks.own_plans:train"),
    segments=(
        Segment("client", Bound.CUT, Weights.OWN),
        Segment("server", Bound.SECOND_CUT),
        Segment(CLOUD),
    ),
    joint_batch=True,
    batches_by_client=True,
    learns_as="psl",
)
