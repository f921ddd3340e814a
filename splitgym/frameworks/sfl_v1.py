"""Split federated learning, SFL (Thapa et al., AAAI 2022), version 1: the server keeps a copy per client and averages.

Clients begin the round with the same model, train it side by side on their own mini-batch, and give it back to be
averaged; likewise the server's copies.
"""

from splitgym.frameworks.framework import Framework, TrainedBy
from splitgym.frameworks.phases import Phase, Workload
from splitgym.frameworks.resources import Resource
from splitgym.frameworks.segments import Bound, Segment, Weights


def phases(w: Workload) -> tuple[Phase, ...]:
    """The client model goes down, is trained as in PSL, and comes back."""
    b = w.batch_size
    return (
        Phase("model_down", Resource.BROADCAST, w.client_model_bits),
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
        Phase("model_up", Resource.UPLINK, w.client_model_bits),
    )


FRAMEWORK = Framework(
    name="sfl-v1",
    phases=phases,
    train=TrainedBy("splitgym.frameworks.sequential:train_averaged"),
    segments=(Segment("client", Bound.CUT, Weights.AVERAGED), Segment("server", weights=Weights.AVERAGED)),
    cuts_by_client=True,
)
