"""Asynchronous parallel split learning: the server updates as soon as some of the clients have delivered.

What is computed and sent for a mini-batch is that of PSL. A client goes on by itself: it takes its gradients back, then
runs its next mini-batch forward and sends it, while others are still busy with theirs. An update is a round of PSL with
those whose smashed data the server has taken up. It is never stale: what a client sends depends on its own part, which
only its own backward pass changes, and the server differentiates with its weights of that moment.
"""

from splitgym.frameworks import psl
from splitgym.frameworks.framework import Framework, TrainedBy
from splitgym.frameworks.phases import Phase, Workload
from splitgym.frameworks.resources import Resource


def phases(w: Workload) -> tuple[Phase, ...]:
    """The PSL round without its broadcast, in which nothing is sent."""
    return tuple(phase for phase in psl.phases(w) if phase.resource is not Resource.BROADCAST)


FRAMEWORK = Framework(
    name="async-psl",
    phases=phases,
    train=TrainedBy("splitgym.frameworks.label_balance:train"),
    joint_batch=True,
    cuts_by_client=True,
    batches_by_client=True,
    asynchronous=True,
)
