"""Vanilla split learning, SL (Vepakomma et al., 2018): one client after the other, each with the whole band.

The client model is handed from client to client by way of the server; a slot is a round of SFL with one client.
"""

from splitgym.frameworks import sfl_v1
from splitgym.frameworks.framework import Framework, TrainedBy
from splitgym.frameworks.phases import Access
from splitgym.frameworks.segments import Bound, Segment

FRAMEWORK = Framework(
    name="sl",
    phases=sfl_v1.phases,
    train=TrainedBy("splitgym.frameworks.sequential:train_handed_on"),
    segments=(Segment("client", Bound.CUT), Segment("server")),
    cuts_by_client=True,
    batches_by_client=True,
    access=Access.SEQUENTIAL,
)
