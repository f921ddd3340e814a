"""What a decision may say to a learner, and what it means where it says nothing."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from splitgym.arrays import Ints
from splitgym.frameworks import Framework
from splitgym.frameworks.codecs import Codec
from splitgym.frameworks.exchange import WITH_MEAN
from splitgym.scenario import Scenario
from splitgym.types import Decision
from splitgym.types.checks import check_array, check_range
from splitgym.types.legal import check_allowed_ratio, check_behind, check_broadcast, check_common


@dataclass(frozen=True)
class Allowed:
    """What a scenario opens to decisions, with a framework."""

    framework: Framework
    scenario: Scenario
    units: int
    """Of the network, L."""
    codecs: Sequence[Sequence[Codec]]
    """By codec of the scenario's list, then by precision."""

    @property
    def cuts(self) -> int:
        """Cut layers."""
        return self.units - 1 - self.framework.has_tail

    @property
    def batch_by_client(self) -> bool:
        """Whether clients may have batch sizes of their own."""
        return bool(self.scenario.plan.batch_sizes) and self.scenario.plan.batch_size == "by-client"

    def second_cut(self, decision: Decision) -> int | None:
        """Last unit in front of the second cut; None: there is none."""
        decided = self.framework.cuts_twice and self.scenario.plan.second_cut == "decided"
        if decided and not decision.second_cut:
            return int(np.min(decision.cut_layer)) + self.framework.has_tail
        return int(decision.second_cut) or self.framework.second_cut(self.scenario, self.units)

    def batch_sizes(self, decision: Decision) -> Ints:
        """[C] samples of each client's mini-batch."""
        decided = np.broadcast_to(decision.batch_size, len(decision.selected))
        return np.where(decided > 0, decided, self.scenario.training.batch_size)

    def check(self, decision: Decision, clients: int, prescribed_ratio: float, held_cut_layer: int) -> None:
        """Raises an InputError that names the first field of a decision that does not fit.

        Args:
            decision: Of one world.
            clients: C.
            prescribed_ratio: phi that the framework prescribes; NaN: it may be chosen.
            held_cut_layer: That of parts that clients keep until they are averaged; 0: they keep none.
        """
        cut_layer = np.asarray(decision.cut_layer)
        check_array("Decision.cut_layer", cut_layer, "iu", (clients,) if cut_layer.ndim else ())
        check_range("Decision.cut_layer", cut_layer, 1, self.cuts)
        mean = check_array("Decision.averaging", decision.averaging, "iu", ())
        check_range("Decision.averaging", mean, 0, WITH_MEAN * self.framework.decides_averaging(self.scenario))
        if held_cut_layer:
            check_range(
                "Decision.cut_layer", cut_layer, held_cut_layer, held_cut_layer, "{low:g} until parts are averaged"
            )
        check_array("Decision.selected", decision.selected, "b", (clients,))
        check_array("Decision.cluster", decision.cluster, "iu", (clients,))
        second_cut = check_array("Decision.second_cut", decision.second_cut, "iu", ())
        last = (self.cuts + self.framework.has_tail) * self.framework.cuts_twice
        check_range("Decision.second_cut", second_cut, 0, last)
        if self.framework.has_tail:
            check_behind(cut_layer, self.second_cut(decision), "Decision.second_cut")
        ratio = check_array("Decision.aggregation_ratio", decision.aggregation_ratio, "iuf", ())
        check_range("Decision.aggregation_ratio", ratio, 0, 1)
        self._check_batch_size(decision, clients, ratio, prescribed_ratio)
        by_client = self.framework.cuts_by_client and not self.framework.averages_later(self.scenario)
        check_common("Decision.cut_layer", cut_layer, decision.selected, ratio, by_client)
        for name, choices in (("codec", len(self.codecs)), ("precision", len(self.codecs[0]))):
            chosen = np.asarray(getattr(decision, name))
            check_array(f"Decision.{name}", chosen, "iu", (clients,) if chosen.ndim else ())
            check_range(f"Decision.{name}", chosen, 0, choices - 1)
            check_common(f"Decision.{name}", chosen, decision.selected, ratio, by_client=True)
        without_broadcast = [k for k, row in enumerate(self.codecs) if not all(each.shares_gradients for each in row)]
        check_broadcast(np.asarray(decision.codec), decision.selected, ratio, without_broadcast)

    def _check_batch_size(self, decision: Decision, clients: int, ratio: np.ndarray, prescribed_ratio: float) -> None:
        """Of the batch size, and of phi, which is a share of its rows."""
        sizes = self.scenario.plan.batch_sizes
        smallest, largest = min(sizes, default=self.scenario.training.batch_size), max(sizes, default=0)
        check_allowed_ratio(ratio, self.framework.allowed_ratio(smallest), prescribed_ratio)
        batch_size = np.asarray(decision.batch_size)
        check_array("Decision.batch_size", batch_size, "iu", (clients,) if batch_size.ndim else ())
        check_range("Decision.batch_size", batch_size, 0, largest)
        check_range("Decision.batch_size", batch_size[batch_size > 0], smallest, largest)
        if batch_size.ndim:
            own = self.batch_sizes(decision)
            check_common("Decision.batch_size", own, decision.selected, ratio, self.batch_by_client)
