"""Split federated learning, SFL (Thapa et al., AAAI 2022), version 2: one server model, clients one after the other.

Clients begin the round with the same model and give it back to be averaged; the server trains on their smashed data in
the order of their indices. What is computed and sent is that of version 1.
"""

from splitgym.frameworks import sfl_v1
from splitgym.frameworks.framework import Framework
from splitgym.frameworks.nodes import Parties
from splitgym.frameworks.round_batch import Exercise
from splitgym.frameworks.segments import Bound, Node, Segment, Weights
from splitgym.frameworks.sequential import train_alone


def train(parties: Parties, exercise: Exercise) -> bool:
    """One round; see `splitgym.frameworks.sequential.train_alone`."""
    return train_alone(parties, exercise, averaged=parties.cut_layers[list(exercise.participants)].tolist())


FRAMEWORK = Framework(
    name="sfl-v2",
    phases=sfl_v1.phases,
    train=train,
    segments=(Segment(Node.CLIENT, Bound.CUT, Weights.AVERAGED), Segment(Node.SERVER)),
    cuts_by_client=True,
)
