"""Asynchronous split federated learning: as `async-psl`, with first units that are common to all clients.

A client fetches the common units as they are when it begins a mini-batch, and gives them back trained when it has
carried out its backward pass. Meanwhile others have changed them, so that what it sends and what it gives back are
stale: K clients of an update, with weights c_i, are mixed in with rates a c_i, one by one as they come back,

    w <- (1 - a c_i) w + a c_i w_i.

If all clients take part in every update and are back at the same time, that is one server model with averaged clients'
models: PSL, after each round of which the clients' models become their mean.
"""

from splitgym.frameworks import psl
from splitgym.frameworks.framework import Framework, TrainedBy
from splitgym.frameworks.phases import Phase, Workload
from splitgym.frameworks.resources import Resource
from splitgym.frameworks.segments import Bound, Segment, Weights


def phases(w: Workload) -> tuple[Phase, ...]:
    """The PSL round without its broadcast, between the client model's ways down and up."""
    own = (phase for phase in psl.phases(w) if phase.resource is not Resource.BROADCAST)
    return (
        Phase("model_down", Resource.UNICAST, w.client_model_bits),
        *own,
        Phase("model_up", Resource.UPLINK, w.client_model_bits),
    )


FRAMEWORK = Framework(
    name="async-sfl",
    phases=phases,
    train=TrainedBy("splitgym.frameworks.label_balance:train"),
    segments=(Segment("client", Bound.CUT, Weights.FETCHED), Segment("server")),
    joint_batch=True,
    cuts_by_client=True,
    batches_by_client=True,
    asynchronous=True,
)
