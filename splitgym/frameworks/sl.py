"""Vanilla split learning, SL (Vepakomma et al., 2018): one client after the other, each with the whole band.

The client model is handed from client to client by way of the server; a slot is a round of SFL with one client.
"""

from splitgym.frameworks import sfl_v1
from splitgym.frameworks.framework import Framework
from splitgym.frameworks.nodes import Parties
from splitgym.frameworks.phases import Access
from splitgym.frameworks.round_batch import Exercise
from splitgym.frameworks.segments import Bound, Node, Segment
from splitgym.frameworks.sequential import train_alone


def train(parties: Parties, exercise: Exercise) -> bool:
    """One round; see `splitgym.frameworks.sequential.train_alone`."""
    return train_alone(parties, exercise, averaged=[0] * len(exercise.participants))


FRAMEWORK = Framework(
    name="sl",
    phases=sfl_v1.phases,
    train=train,
    segments=(Segment(Node.CLIENT, Bound.CUT), Segment(Node.SERVER)),
    cuts_by_client=True,
    access=Access.SEQUENTIAL,
)
