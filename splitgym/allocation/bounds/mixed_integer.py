"""The problem at a cut layer as a mixed-integer linear programme that tangents make ever tighter (for HiGHS).

Two kinds of functions are not linear, and tangents bound each from its better side, so the programme's optimum is never
greater than that of the problem itself:

- the time for a bit, 1/R, is convex in the rate:        1/R >= 2/R' - R/R'^2
- the rate r B log2(1 + P/(r B f)) on a subchannel is concave in power P and share r together; at an SNR of q,
  with l = 1/((1 + q) ln 2):                             rate <= B [log2(1 + q) - q l] r + l P / f

With tangents at the best powers of some owners, the programme is exact for these owners; so solving it and adding
tangents in turn ends with the best owners (Duran and Grossmann's outer approximation, 1986).
"""

from collections.abc import Sequence
from math import inf
from typing import NamedTuple

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import csr_array

from splitgym.allocation.bounds.cut_problem import CutProblem
from splitgym.arrays import Floats, Ints
from splitgym.timing.rates import LN2, shannon_rates

RATES = 1.2 ** np.arange(-25, 26)
"""Rates at which the time for a bit has a tangent from the start, as shares of the rates with even shares."""
LEVELS = 2.0 ** np.arange(-2, 3)
"""Water levels at whose SNR each subchannel has a tangent from the start, as shares of the given ones."""
OBJECTIVE = 1e3
"""Scale of the objective, of which HiGHS tolerates an absolute gap of 1e-6."""
INFEASIBLE = 2
"""Status of `scipy.optimize.milp`."""


class Answer(NamedTuple):
    """What the solver says."""

    bound_s: float
    """No owners allow a shorter round."""
    owner: Ints | None
    """[M] owners (0..n-1, -1: unused) with which the programme is solved; None: none are known."""


class MixedInteger:
    """The programme; `send_with` or `send_as_best` says how clients spend power, then it can be solved.

    Columns, in units in which numbers are about 1, those of even shares: `end` [S] seconds; `uplink`, `downlink` [n]
    rates, and `up_time`, `down_time` [n], their inverse; `owns` [n, M]; `power` [n, M], and `rate` [n, M]: of the
    uplink on each subchannel.
    """

    def __init__(self, problem: CutProblem) -> None:
        clients, subchannels = problem.floor.shape
        segments = len(problem.compute_s)
        self.problem = problem
        self.even_uplink, self.even_downlink = problem.even_rates()
        self.unit_s = problem.latency_s(self.even_uplink, self.even_downlink)
        self.unit_w = problem.even_power_w()
        sizes = np.array([segments, *[clients] * 4, *[clients * subchannels] * 3])
        self._columns = int(sizes.sum())
        parts = np.split(np.arange(self._columns), np.cumsum(sizes)[:-1])
        self.end, self.uplink, self.downlink, self.up_time, self.down_time = parts[:5]
        self.owns, self.power, self.rate = (part.reshape(clients, subchannels) for part in parts[5:])
        self._rows: list[tuple[Ints, Floats, float]] = []
        self._add_ends()
        for k in range(subchannels):
            self._add(self.owns[:, k], np.ones(clients), 1.0)
        for i in range(clients):
            self._add(self.owns[i], -np.ones(subchannels), -1.0)
            self._add([self.downlink[i], *self.owns[i]], [1.0, *(-problem.downlink[i] / self.even_downlink[i])], 0.0)
            for share in RATES:
                self._add_time(self.up_time[i], self.uplink[i], share)
                self._add_time(self.down_time[i], self.downlink[i], share)

    def send_with(self, psd: Floats) -> None:
        """Whoever owns a subchannel sends on it with the given power ([M] W/Hz), within the budgets."""
        problem = self.problem
        power_w = psd * problem.hz
        rates = shannon_rates(problem.hz, psd / problem.floor)
        for i, owns in enumerate(self.owns):
            self._add([self.uplink[i], *owns], [1.0, *(-rates[i] / self.even_uplink[i])], 0.0)
            self._add(owns, power_w / problem.client_max_w, 1.0)
        self._add(self.owns.ravel(), np.tile(power_w, len(self.owns)) / problem.total_max_w, 1.0)

    def send_as_best(self, level: Floats) -> None:
        """Everybody chooses its powers within the budgets; the best water levels may lie around `level` ([n] W/Hz)."""
        problem = self.problem
        most = min(problem.client_max_w, problem.total_max_w) / self.unit_w
        for i, (owns, power, rate) in enumerate(zip(self.owns, self.power, self.rate, strict=True)):
            self._add([self.uplink[i], *rate], [1.0, *-np.ones(len(rate))], 0.0)
            self._add(power, np.ones(len(power)), problem.client_max_w / self.unit_w)
            for k in range(len(owns)):
                self._add([power[k], owns[k]], [1.0, -most], 0.0)
                for snr in {0.0, *np.maximum(LEVELS * level[i] / problem.floor[i, k] - 1, 0.0)}:
                    self._add_rate(i, k, snr)
        self._add(self.power.ravel(), np.ones(self.power.size), problem.total_max_w / self.unit_w)

    def refine(self, owner: Ints, psd: Floats) -> None:
        """Adds tangents where these owners ([M], -1: unused) stand with these powers ([M] W/Hz)."""
        uplink, downlink = self.problem.rates(owner, psd)
        for k in np.flatnonzero(owner >= 0).tolist():
            self._add_rate(int(owner[k]), k, psd[k] / self.problem.floor[owner[k], k])
        for i in range(len(uplink)):
            if uplink[i] > 0.0:
                self._add_time(self.up_time[i], self.uplink[i], uplink[i] / self.even_uplink[i])
            self._add_time(self.down_time[i], self.downlink[i], downlink[i] / self.even_downlink[i])

    def solve(self, below_s: float = inf, time_limit_s: float = inf) -> Answer:
        """Solves the programme.

        Args:
            below_s: Only rounds that are no longer than this count.
            time_limit_s: When to give up and say what is known.
        """
        at_most = (below_s - self.problem.common_s) / self.unit_s
        rows = [*self._rows, (self.end, np.ones(len(self.end)), at_most)]
        # HiGHS counts in 32 bits, and not every version of SciPy converts other indices.
        starts = np.cumsum([0, *(len(columns) for columns, _, _ in rows)], dtype=np.int32)
        columns, values = (np.concatenate([row[part] for row in rows]) for part in (0, 1))
        matrix = csr_array((values, columns.astype(np.int32), starts), shape=(len(rows), self._columns))
        upper, whole, cost = np.full(self._columns, np.inf), np.zeros(self._columns), np.zeros(self._columns)
        upper[self.owns], whole[self.owns], cost[self.end] = 1.0, 1.0, OBJECTIVE
        solved = milp(
            cost,
            integrality=whole,
            bounds=Bounds(0.0, upper),
            constraints=LinearConstraint(matrix, -np.inf, np.array([limit for _, _, limit in rows])),
            options={"mip_rel_gap": 1e-9, "time_limit": time_limit_s},
        )
        if solved.status == INFEASIBLE:
            return Answer(below_s, None)
        bound_s = -inf
        if solved.mip_dual_bound is not None:
            bound_s = self.problem.common_s + self.unit_s * solved.mip_dual_bound / OBJECTIVE
        if solved.x is None:
            return Answer(bound_s, None)
        owns = solved.x[self.owns]
        return Answer(bound_s, np.where(owns.max(0) > 0.5, owns.argmax(0), -1))

    def _add_ends(self) -> None:
        """No segment ends before its last client does."""
        problem = self.problem
        for s, end in enumerate(self.end):
            for i in range(len(problem.served)):
                up = problem.uplink_bits[s, i] / self.even_uplink[i]
                down = problem.downlink_bits[s, i] / self.even_downlink[i]
                columns = [self.up_time[i], self.down_time[i], end]
                self._add(
                    columns, np.array([up, down, -self.unit_s]) / self.unit_s, -problem.compute_s[s, i] / self.unit_s
                )

    def _add_time(self, time: int, rate: int, at: float) -> None:
        """The time for a bit is not less than at its tangent."""
        self._add([time, rate], [-1.0, -1.0 / at**2], -2.0 / at)

    def _add_rate(self, i: int, k: int, snr: float) -> None:
        """The uplink of client i on subchannel k is not more than at its tangent."""
        problem = self.problem
        slope = 1.0 / ((1.0 + snr) * LN2)
        by_share = problem.hz[k] * (np.log2(1.0 + snr) - snr * slope) / self.even_uplink[i]
        by_power = slope * self.unit_w / problem.floor[i, k] / self.even_uplink[i]
        scale = max(1.0, by_share, by_power)
        columns = [self.rate[i, k], self.owns[i, k], self.power[i, k]]
        self._add(columns, np.array([1.0, -by_share, -by_power]) / scale, 0.0)

    def _add(self, columns: Sequence[int] | Ints, values: Sequence[float] | Floats, limit: float) -> None:
        """The sum of values times columns is not more than the limit."""
        self._rows.append((np.asarray(columns), np.asarray(values), limit))
