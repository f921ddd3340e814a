"""Federated learning, FedAvg (McMahan et al., AISTATS 2017): every client trains the whole network by itself.

The model goes down to the clients, each trains it on `training.local_steps` mini-batches of its own, and the server
takes the mean, weighted by data.
"""

from splitgym.frameworks.framework import Framework, TrainedBy
from splitgym.frameworks.phases import Phase, Workload
from splitgym.frameworks.resources import Resource
from splitgym.frameworks.segments import Segment, Weights
from splitgym.scenario import Training


def phases(w: Workload) -> tuple[Phase, ...]:
    """Model down, local steps, model up."""
    rows = w.local_steps * w.batch_size
    return (
        Phase("model_down", Resource.BROADCAST, w.network_bits),
        Phase("client_fp", Resource.CLIENT, rows * w.client_network_forward),
        Phase("client_bp", Resource.CLIENT, rows * w.client_network_backward),
        Phase("model_up", Resource.UPLINK, w.network_bits),
    )


def steps(training: Training) -> int:
    """Local steps."""
    return training.local_steps


FRAMEWORK = Framework(
    name="fl",
    phases=phases,
    train=TrainedBy("splitgym.frameworks.sequential:train_averaged"),
    segments=(Segment("client", weights=Weights.AVERAGED),),
    steps=steps,
    batches_by_client=True,
)
