"""The decision of experiments that train without a cell: everybody takes part, and nobody reads the radio."""

import numpy as np

from splitgym.scenario import Scenario
from splitgym.types import Decision


def everybody(scenario: Scenario, cut_layer: int, aggregation_ratio: float, clusters: int = 1) -> Decision:
    """All clients, dealt in turn to so many clusters; a learner does not look at subchannels and powers."""
    clients, subchannels = scenario.clients.count, scenario.radio.subchannels
    return Decision(
        cut_layer=cut_layer,
        assignment=np.zeros(subchannels, np.int64),
        power_w_per_hz=np.zeros(subchannels),
        selected=np.ones(clients, bool),
        aggregation_ratio=aggregation_ratio,
        cluster=np.arange(clients) % clusters,
    )
