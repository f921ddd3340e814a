"""All data in one place: the reference for accuracy and speed. Nothing is sent, nothing runs on the clients."""

from splitgym.frameworks.framework import Framework, TrainedBy
from splitgym.frameworks.phases import Phase, Workload
from splitgym.frameworks.resources import Resource
from splitgym.frameworks.segments import Segment


def phases(w: Workload) -> tuple[Phase, ...]:
    """The server trains the whole network on the mini-batches of all clients."""
    return (
        Phase("server_fp", Resource.SERVER, per_participant=w.batch_size * w.server_network_forward),
        Phase("server_bp", Resource.SERVER, per_participant=w.batch_size * w.server_network_backward),
    )


FRAMEWORK = Framework(
    name="centralised",
    phases=phases,
    batches_by_client=True,
    train=TrainedBy("splitgym.frameworks.sequential:train_joint"),
    segments=(Segment("server"),),
    joint_batch=True,
)
