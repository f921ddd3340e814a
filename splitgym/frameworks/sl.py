"""Vanilla split learning, SL (Vepakomma et al., 2018): one client after the other, each with the whole band.

The client model is handed from client to client by way of the server; a slot is a round of SFL with one client.
"""

from splitgym.frameworks import sfl_v1
from splitgym.frameworks.framework import Framework
from splitgym.frameworks.nodes import Nodes
from splitgym.frameworks.phases import Access
from splitgym.frameworks.round_batch import RoundBatch
from splitgym.frameworks.segments import Bound, Segment
from splitgym.frameworks.sequential import train_alone


def train(nodes: Nodes, round_batch: RoundBatch) -> bool:
    """One round; see `splitgym.frameworks.sequential.train_alone`."""
    return train_alone(nodes, round_batch, averaged=[0] * len(round_batch.participants))


FRAMEWORK = Framework(
    name="sl",
    phases=sfl_v1.phases,
    train=train,
    segments=(Segment("client", Bound.CUT), Segment("server")),
    cuts_by_client=True,
    access=Access.SEQUENTIAL,
)
