"""The compact encoding: selected clients, cut layer, phi; subchannels and power by the paper's greedy inside."""

from collections.abc import Sequence

from splitgym.allocation.updates import allocate_update_unchecked
from splitgym.envs.actions.codec import MultiDiscreteCodec, plan_said
from splitgym.envs.actions.components import (
    ClockLevels,
    CutLevels,
    Discrete,
    PhiLevels,
    QuorumLevels,
    Said,
    SelectionLevels,
    choice_levels,
)
from splitgym.frameworks import Framework
from splitgym.scenario import Scenario
from splitgym.types import Decision, RoundState, SystemParameters


class ScheduleCodec(MultiDiscreteCodec):
    """Cut layer - 1; each client out or in; phi level."""

    def parts(self, scenario: Scenario, system: SystemParameters, framework: Framework) -> Sequence[Discrete]:
        """Cuts, selection, phi."""
        clients = scenario.clients.count
        return (
            CutLevels(system, clients),
            *choice_levels(system, clients),
            ClockLevels(scenario),
            QuorumLevels(system, clients),
            SelectionLevels(clients),
            PhiLevels(self.aggregation_levels),
        )

    def decide(self, said: Said, state: RoundState) -> Decision:
        """Greedy subchannels and exact power control for what the actions say; see `allocate_update_unchecked`."""
        return allocate_update_unchecked(state, plan_said(said), said["selected"], said.get("quorum", 0))
