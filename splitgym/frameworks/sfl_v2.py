"""Split federated learning, SFL (Thapa et al., AAAI 2022), version 2: one server model, clients one after the other.

Clients begin the round with the same model and give it back to be averaged; the server trains on their smashed data in
the order of their indices. What is computed and sent is that of version 1.
"""

from splitgym.frameworks import sfl_v1
from splitgym.frameworks.framework import Framework
from splitgym.frameworks.nodes import Nodes
from splitgym.frameworks.round_batch import RoundBatch
from splitgym.frameworks.segments import Bound, Segment, Weights
from splitgym.frameworks.sequential import train_alone


def train(nodes: Nodes, round_batch: RoundBatch) -> bool:
    """One round; see `splitgym.frameworks.sequential.train_alone`."""
    return train_alone(nodes, round_batch, averaged=nodes.cut_layers[list(round_batch.participants)].tolist())


FRAMEWORK = Framework(
    name="sfl-v2",
    phases=sfl_v1.phases,
    train=train,
    segments=(Segment("client", Bound.CUT, Weights.AVERAGED), Segment("server")),
    cuts_by_client=True,
)
