"""U-shaped split learning: first and last units at the clients, so that labels never leave them (arXiv 1812.00564).

Clients run the first units side by side; the server those up to the second cut for all of them, as PSL does; each
client the last ones, its tail, and the loss. Activations go up and down, and so do gradients. Heads and tails are each
client's own, and are never averaged. A second cut that is decided lies behind the cut layer; units that it hands over
go to and from the clients as those at the cut layer do.
"""

import numpy as np

from splitgym.frameworks.framework import Framework, TrainedBy
from splitgym.frameworks.phases import Phase, Workload
from splitgym.frameworks.resources import Resource
from splitgym.frameworks.segments import Bound, Segment, Weights
from splitgym.scenario.nodes import CLIENT, SERVER


def phases(w: Workload) -> tuple[Phase, ...]:
    """The PSL round with the way to the tails and back between the server's passes: two uplinks and two unicasts.

    T = max(T_F + T_U) + T_sF + max(T_D2 + T_tF + T_tB + T_U2) + T_sB + max(T_D + T_cB). At the second cut server and
    clients change places: the server encodes activations, the clients gradients.
    """
    b, tail = w.batch_size, w.cut_at(np.maximum(w.second_cut, w.cut_layer + 1))
    tail_forward = w.client_network_forward - tail.client_forward
    tail_backward = w.client_network_backward - tail.client_backward
    body_forward = w.server_forward - tail.server_forward
    body_backward = w.server_backward - tail.server_backward
    coding_forward = w.decode(b) + tail.encode(b, SERVER)
    coding_backward = tail.decode_gradient(b, SERVER) + w.encode_gradient(b)
    return (
        Phase("client_fp", Resource.CLIENT, b * w.client_forward + w.encode(b)),
        Phase("uplink", Resource.UPLINK, w.uplink_bits(b)),
        Phase("server_fp", Resource.SERVER, per_participant=b * body_forward + coding_forward),
        Phase("tail_unicast", Resource.UNICAST, tail.uplink_bits(b)),
        Phase("tail_fp", Resource.CLIENT, b * tail_forward + tail.decode(b, CLIENT)),
        Phase("tail_bp", Resource.CLIENT, b * tail_backward + tail.encode_gradient(b, CLIENT)),
        Phase("tail_uplink", Resource.UPLINK, tail.downlink_bits(b)),
        Phase("server_bp", Resource.SERVER, per_participant=b * body_backward + coding_backward),
        Phase("unicast", Resource.UNICAST, w.downlink_bits(b)),
        Phase("client_bp", Resource.CLIENT, b * w.client_backward + w.decode_gradient(b)),
    )


FRAMEWORK = Framework(
    name="u-shaped",
    phases=phases,
    train=TrainedBy("splitgym.frameworks.u_shaped_round:train"),
    segments=(
        Segment(CLIENT, Bound.CUT, Weights.OWN),
        Segment(SERVER, Bound.SECOND_CUT),
        Segment(CLIENT, weights=Weights.OWN),
    ),
    joint_batch=True,
    batches_by_client=True,
    labels_stay=True,
)
