"""Parallel split learning, PSL: EPSL without aggregation (phi = 0)."""

from dataclasses import replace

import numpy as np

from splitgym.frameworks import epsl
from splitgym.frameworks.framework import Framework
from splitgym.frameworks.phases import Phase, Workload


def phases(w: Workload) -> tuple[Phase, ...]:
    """The EPSL round with m = 0: nothing is broadcast, server back-propagation and downlink grow with the clients."""
    return epsl.phases(replace(w, aggregated_rows=np.zeros_like(w.aggregated_rows)))


FRAMEWORK = Framework(
    name="psl", phases=phases, train=epsl.TRAIN, joint_batch=True, cuts_by_client=True, batches_by_client=True
)
