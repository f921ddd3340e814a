"""Costs of a round: what goes beyond the scenario's budgets, apart from the reward."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np

from splitgym.arrays import Ints
from splitgym.envs.info import Table
from splitgym.envs.world import Round
from splitgym.scenario import Budgets, ScenarioError
from splitgym.types import Decision

COSTS: Mapping[str, str] = MappingProxyType(
    {
        "energy": "joules of the round beyond the episode's energy budget, over that budget",
        "deadline": "1 if the round took longer than its deadline",
        "leak": "1 if a client that took part had a cut layer that gives away more than is allowed",
    }
)
"""What each cost is, by name; each is 0 where the scenario has no such budget."""


class Costs:
    """The costs of the last round of N worlds; 0 in worlds whose episode has just begun.

    Args:
        budgets: Of the scenario.
        cut_layers: Number of cut layers.
        worlds: N.

    Attributes:
        total: [N] sum of all costs.
        by_name: [N] of each cost, by the names in `COSTS`.
        table: The same.

    Raises:
        ScenarioError: leaks are not listed for every cut layer.
    """

    def __init__(self, budgets: Budgets, cut_layers: int, worlds: int) -> None:
        listed = len(budgets.leak_by_cut)
        if listed not in (0, cut_layers):
            raise ScenarioError(
                f"budgets.leak_by_cut has {listed} values, allowed: {cut_layers}, one for each cut layer, or none"
            )
        self._budgets, self._charges = budgets, budgets.any
        self._leaks = np.array(budgets.leak_by_cut) > (np.inf if budgets.leak_max is None else budgets.leak_max)
        self._beyond_j = np.zeros(worlds)
        self.total = np.zeros(worlds)
        self.table = Table(tuple(COSTS), np.zeros((len(COSTS), worlds)))
        self.by_name = self.table.by_name()

    def forget(self, which: Sequence[int] | Ints) -> None:
        """No costs in the worlds with these indices."""
        if not self._charges:
            return
        for values in (self._beyond_j, self.total, *self.by_name.values()):
            values[np.asarray(which)] = 0.0

    def charge(self, played: Round) -> None:
        """Works out what a round, in N worlds, costs."""
        if not self._charges:
            return
        budgets, cost = self._budgets, played.cost
        if budgets.energy_j is not None:
            beyond_j = np.maximum(played.truth.energy_j - budgets.energy_j, 0.0)
            self.by_name["energy"][:] = (beyond_j - self._beyond_j) / budgets.energy_j
            self._beyond_j = beyond_j
        if budgets.deadline_s is not None:
            self.by_name["deadline"][:] = cost.latency_s > budgets.deadline_s
        if len(self._leaks):
            self.by_name["leak"][:] = (self._leaks[_cuts(played.decision) - 1] & cost.participants).any(1)
        self.total[:] = sum(self.by_name.values())


def _cuts(decision: Decision) -> Ints:
    """[N, C] or [N, 1] cut layers."""
    cuts = np.asarray(decision.cut_layer)
    return cuts if cuts.ndim == 2 else cuts[:, None]
