"""Client weights: the set of the largest utility per latency, and what its clients get, are worked out exactly."""

from collections.abc import Sequence

from splitgym.allocation.selection.utility import allocate_best_unchecked
from splitgym.allocation.updates import allocate_update_unchecked
from splitgym.envs.actions.codec import BoxCodec, plan_said
from splitgym.envs.actions.components import (
    ClientWeights,
    ClockFractions,
    Continuous,
    CutParts,
    LatencyExponent,
    PhiAboveZero,
    QuorumParts,
    Said,
    choice_parts,
)
from splitgym.frameworks import Framework
from splitgym.scenario import Scenario
from splitgym.types import Decision, RoundState, SystemParameters


class PriorityCodec(BoxCodec):
    """Cut layer; weight of each client; latency exponent; phi.

    Client i with entry a_i has weight w_i = 8^{a_i}, at -1 weight 0. The selected set S maximises sum w_i / T(S)^p,
    where T is the expected latency of its round and p = 1 + the exponent's entry (see `best_utility`). Subchannels and
    power are the descent's. Phi is 0 up to 0, from there to 1 what the framework allows.
    """

    def parts(self, scenario: Scenario, system: SystemParameters, framework: Framework) -> Sequence[Continuous]:
        """Cuts, weights, exponent, phi."""
        clients = scenario.clients.count
        return (
            CutParts(system, clients),
            *choice_parts(system, clients),
            ClockFractions(scenario),
            QuorumParts(system, clients),
            ClientWeights(clients),
            LatencyExponent(),
            PhiAboveZero(framework, system.highest_ratio),
        )

    def decide(self, said: Said, state: RoundState) -> Decision:
        """Searches the set of clients, then allocates."""
        plan = plan_said(said)
        decision = allocate_best_unchecked(state, said["client_weight"], said["latency_exponent"], plan)
        if state.flights is None:
            return decision
        # The set is that of a round of its own; what is in flight needs subchannels, too.
        return allocate_update_unchecked(state, plan, state.to_serve(decision.selected), said.get("quorum", 0))
