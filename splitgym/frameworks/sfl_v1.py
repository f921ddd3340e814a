"""Split federated learning, SFL (Thapa et al., AAAI 2022), version 1: the server keeps a copy per client and averages.

Clients begin the round with the same model, train it side by side on their own mini-batch, and send it to the fed
server to be averaged; likewise the edge server's copies, which never leave it. Where the fed server averages in every
I rounds only, both go on as they are until then: without an end, that is PSL with a server model for each client.
"""

from splitgym.frameworks.fed_server import models_down, models_up
from splitgym.frameworks.framework import Framework, TrainedBy
from splitgym.frameworks.phases import Phase, Workload
from splitgym.frameworks.resources import Resource
from splitgym.frameworks.segments import FED_SERVER, Bound, Segment, Weights


def phases(w: Workload) -> tuple[Phase, ...]:
    """The client model goes down where it has been averaged, is trained as in PSL, and comes back to be averaged."""
    b = w.batch_size
    return (
        *models_down(w),
        Phase("client_fp", Resource.CLIENT, b * w.client_forward + w.encode(b)),
        Phase("uplink", Resource.UPLINK, w.uplink_bits(b)),
        Phase("server_fp", Resource.SERVER, per_participant=b * w.server_forward + w.decode(b)),
        Phase(
            "server_bp",
            Resource.SERVER,
            per_participant=b * (w.server_backward + w.last_layer_backward) + w.encode_gradient(b),
        ),
        Phase("unicast", Resource.UNICAST, w.downlink_bits(b)),
        Phase("client_bp", Resource.CLIENT, b * w.client_backward + w.decode_gradient(b)),
        *models_up(w),
    )


FRAMEWORK = Framework(
    name="sfl-v1",
    phases=phases,
    train=TrainedBy("splitgym.frameworks.federated:train"),
    segments=(Segment("client", Bound.CUT, Weights.AVERAGED, FED_SERVER), Segment("server", weights=Weights.AVERAGED)),
    cuts_by_client=True,
    batches_by_client=True,
)
