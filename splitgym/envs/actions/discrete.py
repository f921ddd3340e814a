"""The full encoding in discrete steps: every subchannel's owner and power level are chosen."""

from collections.abc import Sequence

import numpy as np

from splitgym.allocation.own_station import owners_named
from splitgym.envs.actions.codec import MultiDiscreteCodec, plan_said
from splitgym.envs.actions.components import (
    ClockLevels,
    CutLevels,
    Discrete,
    OwnerLevels,
    PhiLevels,
    PowerLevels,
    QuorumLevels,
    Said,
    SelectionLevels,
    choice_levels,
)
from splitgym.frameworks import Framework
from splitgym.scenario import Scenario
from splitgym.types import Decision, RoundState, SystemParameters


class DiscreteCodec(MultiDiscreteCodec):
    """Cut layer - 1; owner of each subchannel; its power level; each client out or in; phi level."""

    decides_subchannels = True

    def parts(self, scenario: Scenario, system: SystemParameters, framework: Framework) -> Sequence[Discrete]:
        """Cuts, owners, powers, selection, phi."""
        clients, subchannels = scenario.clients.count, system.subchannels
        return (
            CutLevels(system, clients),
            *choice_levels(system, clients),
            ClockLevels(scenario),
            QuorumLevels(system, clients),
            OwnerLevels(clients, subchannels),
            PowerLevels(np.array(scenario.actions.power_levels), subchannels, system.client_power_max_w),
            SelectionLevels(clients),
            PhiLevels(self.aggregation_levels),
        )

    def decide(self, said: Said, state: RoundState) -> Decision:
        """Every component as it stands; of owners see `owners_named`."""
        psd = said["subchannel_power_w"] / state.subchannel_hz
        return Decision.under(plan_said(said), owners_named(said["assignment"], state), psd, said["selected"])
