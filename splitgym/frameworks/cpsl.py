"""Cluster-based parallel split learning, CPSL (Wu et al., JSAC 2023): SFL inside a cluster, SL from one to the next.

The members of a cluster begin with the same client model, train it side by side against one server model (as SFL-V2,
not a copy for each as SFL-V1), and give it back to be averaged; the next cluster goes on from there. Clusters have the
whole band in their slot.
"""

from splitgym.frameworks import sfl_v1
from splitgym.frameworks.framework import Framework, TrainedBy
from splitgym.frameworks.phases import Access
from splitgym.frameworks.segments import Bound, Segment, Weights

FRAMEWORK = Framework(
    name="cpsl",
    phases=sfl_v1.phases,
    train=TrainedBy("splitgym.frameworks.clusters:train"),
    segments=(Segment("client", Bound.CUT, Weights.AVERAGED), Segment("server")),
    access=Access.CLUSTERED,
    joint_batch=True,
    batches_by_client=True,
)
