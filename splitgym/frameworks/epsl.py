"""Efficient parallel split learning, EPSL (arXiv 2303.15991).

Clients run the first units side by side; the server runs the others for all of them and averages the last-layer
gradients of the first m = ceil(phi b) positions of the mini-batches over the clients before they go back. phi = 0 is
PSL.
"""

from splitgym.frameworks.framework import Framework, TrainedBy
from splitgym.frameworks.phases import Phase, Workload
from splitgym.frameworks.resources import Resource

TRAIN = TrainedBy("splitgym.frameworks.parallel_round:train")


def phases(w: Workload) -> tuple[Phase, ...]:
    """The EPSL round: T = max(T_F + T_U) + T_sF + T_sB + T_B + max(T_D + T_cB)."""
    b, m = w.batch_size, w.aggregated_rows
    return (
        Phase("client_fp", Resource.CLIENT, b * w.client_forward + w.encode(m) + w.encode(b - m)),
        Phase("uplink", Resource.UPLINK, w.uplink_bits(m) + w.uplink_bits(b - m)),
        Phase("server_fp", Resource.SERVER, per_participant=b * w.server_forward + w.decode(m) + w.decode(b - m)),
        Phase(
            "server_bp",
            Resource.SERVER,
            m * w.server_backward + w.encode_gradient(m),
            per_participant=(b - m) * w.server_backward + b * w.last_layer_backward + w.encode_gradient(b - m),
        ),
        Phase("broadcast", Resource.BROADCAST, w.downlink_bits(m)),
        Phase("unicast", Resource.UNICAST, w.downlink_bits(b - m)),
        Phase("client_bp", Resource.CLIENT, b * w.client_backward + w.decode_gradient(m) + w.decode_gradient(b - m)),
    )


FRAMEWORK = Framework(
    name="epsl",
    phases=phases,
    train=TRAIN,
    aggregates=True,
    joint_batch=True,
    cuts_by_client=True,
    batches_by_client=True,
)
