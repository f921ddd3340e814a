"""Split federated learning, SFL (Thapa et al., AAAI 2022), version 2: one server model, clients one after the other.

Clients begin the round with the same model and send it to the fed server to be averaged, or do so in every I rounds
only; the edge server trains on their smashed data in the order of their indices. What is computed and sent is that of
version 1.
"""

from splitgym.frameworks import sfl_v1
from splitgym.frameworks.framework import Framework, TrainedBy
from splitgym.frameworks.segments import FED_SERVER, Bound, Segment, Weights

FRAMEWORK = Framework(
    name="sfl-v2",
    phases=sfl_v1.phases,
    train=TrainedBy("splitgym.frameworks.federated:train"),
    segments=(Segment("client", Bound.CUT, Weights.AVERAGED, FED_SERVER), Segment("server")),
    cuts_by_client=True,
    batches_by_client=True,
)
