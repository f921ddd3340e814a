"""Vanilla split learning, SL (Vepakomma et al., 2018): one client after the other, each with the whole band.

The client model is handed from client to client by way of the server; a turn is a round of SFL with one client.
"""

from splitgym.frameworks import sfl_v1
from splitgym.frameworks.alone import train_alone
from splitgym.frameworks.framework import Framework
from splitgym.frameworks.parties import Exercise, Parties
from splitgym.frameworks.phases import Turns


def train(parties: Parties, exercise: Exercise) -> bool:
    """One round; see `splitgym.frameworks.alone.train_alone`."""
    return train_alone(parties, exercise, averaged=0)


FRAMEWORK = Framework(name="sl", phases=sfl_v1.phases, train=train, network_at="shared", turns=Turns.ONE_BY_ONE)
