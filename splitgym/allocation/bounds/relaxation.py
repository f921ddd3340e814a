"""A lower bound of the round latency for any number of clients and subchannels: the Lagrange dual.

If subchannels could be shared in time, the problem at a cut layer would be convex. Its dual splits into one small
problem for each subchannel, so it costs next to nothing, and each of its values, optimal or not, is a lower bound:

    common + sum_si v_si compute_si + sum_i [2 sqrt(a_i w_i^U) + 2 sqrt(b_i w_i^D) - p_max lambda_i + nu_i] - p_th mu
    - sum_k max_i max_{0 <= p <= p_max/B_k} [w_i^U B_k log2(1 + p/f_ik) - (lambda_i + mu) B_k p + w_i^D D_ik + nu_i]

    a_i = sum_s v_si uplink_si,   b_i = sum_s v_si downlink_si,   f_ik = N0 / (G g_ik),   D_ik: downlink rate

The multipliers: v_si (without unit, of a segment they sum to 1) say which client holds up a segment; w_i is what rates
cost, s/(bit/s), lambda_i and mu what power costs, s/W; nu_i (s) stands for the band of one subchannel that everybody
has at least. 2 sqrt(a w) is the minimum of a/R + w R over rates R.

The maximum over clients is smoothed, which makes it greater and so keeps the bound a bound, in steps towards none.
Multipliers are positive: their logarithms are searched, which spares them units, and a barrier keeps them from
vanishing before their time.
"""

from math import inf
from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize

from splitgym.allocation.bounds.cut_problem import CutProblem, cut_problems, served_clients
from splitgym.arrays import Bools, Floats
from splitgym.timing.rates import LN2, shannon_rates
from splitgym.types import RoundState

SMOOTHING = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5)
"""Steps of the temperature of the smooth maximum, as a share of the latency; the bound errs by it times ln n."""
BARRIER = 0.1
"""Weight of the barrier, as a share of the smoothing: the mean of log(m) - m over the multipliers m, relative to where
they start."""
SEARCH = {"maxfun": 200, "ftol": 1e-12, "gtol": 1e-9}
"""Options of the truncated Newton method in each step; it is faster here than L-BFGS, and uses no threads."""
FARTHEST = 60.0
"""How far the logarithms may go from where they start, so that nothing overflows."""
ROUNDING = 1e-13
"""Share of the terms that cancel by which the bound is lowered, so that rounding does not lift it."""


class Relaxed(NamedTuple):
    """The problem at a cut layer if subchannels could be shared in time."""

    bound_s: float
    """Not greater than the latency of any allocation."""
    level: Floats
    """[n] water level of each client next to the optimum, W/Hz."""


class Multipliers(NamedTuple):
    """The multipliers of the module's text."""

    v: Floats
    """[S, n]."""
    uplink: Floats
    """[n] w^U."""
    downlink: Floats
    """[n] w^D."""
    own: Floats
    """[n] lambda."""
    serving: Floats
    """[n] nu."""
    common: float
    """mu."""

    def level(self) -> Floats:
        """[n] water level of each client, W/Hz: the power up to which a bit/s more gains what it costs."""
        return self.uplink / (LN2 * (self.own + self.common))


class Use(NamedTuple):
    """What becomes of the band at given multipliers."""

    worth_s: float
    """What the subchannels gain together: the last sum of the module's text."""
    share: Floats
    """[n, M] of each subchannel that a client has."""
    uplink: Floats
    """[n] bits/s."""
    downlink: Floats
    """[n] bits/s."""
    power_w: Floats
    """[n]."""


def lower_bound(state: RoundState, selected: Bools, aggregation_ratio: float) -> float:
    """No round in which everybody selected takes part is shorter than this, s, whatever cut, subchannels and powers.

    Args:
        state: Of one world, as the scheduler believes it.
        selected: [C] clients that participate; clients that are not available do not count.
        aggregation_ratio: phi.

    Raises:
        ValueError: the round is none of this kind (see `served_clients`).
    """
    bound_s = inf
    for problem in cut_problems(state, served_clients(state, selected), aggregation_ratio):
        bound_s = min(bound_s, relax(problem, enough_s=bound_s).bound_s)
    return bound_s


def relax(problem: CutProblem, enough_s: float = inf) -> Relaxed:
    """Solves the relaxed problem; ends early once the bound is as great as `enough_s`."""
    start, unit_s = _start(problem)
    bounds = np.stack([start - FARTHEST, start + FARTHEST], axis=1)
    logs, best = start, Relaxed(-inf, np.zeros(len(problem.served)))
    for smoothing in SMOOTHING:
        of = problem, smoothing * unit_s / len(problem.hz), BARRIER * smoothing / len(logs), start, unit_s
        logs = minimize(_objective, logs, of, "TNC", jac=True, bounds=bounds, options=SEARCH).x
        at = _multipliers(problem, logs)
        value_s, _, use = _dual(problem, at, 0.0)
        bound_s = value_s - ROUNDING * use.worth_s
        if bound_s > best.bound_s:
            best = Relaxed(bound_s, at.level())
        if best.bound_s >= enough_s:
            break
    return best


def _start(problem: CutProblem) -> tuple[Floats, float]:
    """Logarithms of multipliers that fit even shares of band and power, and the latency with these, s."""
    clients, segments = len(problem.served), len(problem.compute_s)
    uplink, downlink = problem.even_rates()
    latency_s = problem.latency_s(uplink, downlink)
    uplink_price, downlink_price = latency_s / clients / uplink, latency_s / clients / downlink
    level = problem.even_psd() + np.exp(np.log(problem.floor).mean(1))
    power_price = 0.5 * uplink_price / (LN2 * level)
    serving_price = np.full(clients, 0.01 * latency_s / clients)
    common_price = power_price.min(keepdims=True)
    prices = np.concatenate([uplink_price, downlink_price, power_price, serving_price, common_price])
    return np.concatenate([np.zeros(segments * clients), np.log(prices)]), latency_s


def _multipliers(problem: CutProblem, logs: Floats) -> Multipliers:
    """The multipliers from what is searched."""
    segments, clients = problem.compute_s.shape
    v = logs[: segments * clients].reshape(segments, clients)
    v = np.exp(v - v.max(1, keepdims=True))
    v /= v.sum(1, keepdims=True)
    uplink, downlink, own, serving, common = np.split(np.exp(logs[v.size :]), clients * np.arange(1, 5))
    # A rate that nobody needs costs nothing.
    uplink = np.where(problem.uplink_bits.any(0), uplink, 0.0)
    downlink = np.where(problem.downlink_bits.any(0), downlink, 0.0)
    return Multipliers(v, uplink, downlink, own, serving, float(common[0]))


def _objective(
    logs: Floats, problem: CutProblem, temperature_s: float, barrier: float, start: Floats, unit_s: float
) -> tuple[float, Floats]:
    """What the search minimises, without a unit, and its gradient."""
    at = _multipliers(problem, logs)
    value_s, gradient_s, _ = _dual(problem, at, temperature_s)
    price, clients = (logs - start)[at.v.size :], at.v.shape[1]
    value = value_s / unit_s + barrier * (np.log(at.v).sum() + (price - np.exp(price)).sum())
    away = np.concatenate([1 - clients * at.v.ravel(), 1 - np.exp(price)])
    return -value, -(gradient_s / unit_s + barrier * away)


def _dual(problem: CutProblem, at: Multipliers, temperature_s: float) -> tuple[float, Floats, Use]:
    """Value of the dual, s, its gradient by the logarithms of the multipliers, and what becomes of the band."""
    use = _best_use(problem, at, temperature_s)
    a, b = (at.v * problem.uplink_bits).sum(0), (at.v * problem.downlink_bits).sum(0)
    uplink_s, downlink_s = np.sqrt(a * at.uplink), np.sqrt(b * at.downlink)
    with np.errstate(divide="ignore", invalid="ignore"):
        ends_s = problem.ends(np.sqrt(a / at.uplink), np.sqrt(b / at.downlink))
    value_s = (
        problem.common_s
        + (at.v * problem.compute_s).sum()
        + (2 * uplink_s + 2 * downlink_s - problem.client_max_w * at.own + at.serving).sum()
        - problem.total_max_w * at.common
        - use.worth_s
    )
    gradient_s = (
        (at.v * (ends_s - (at.v * ends_s).sum(1, keepdims=True))).ravel(),
        uplink_s - use.uplink * at.uplink,
        downlink_s - use.downlink * at.downlink,
        (use.power_w - problem.client_max_w) * at.own,
        (1 - use.share.sum(1)) * at.serving,
        np.array([(use.power_w.sum() - problem.total_max_w) * at.common]),
    )
    return float(value_s), np.concatenate(gradient_s), use


def _best_use(problem: CutProblem, at: Multipliers, temperature_s: float) -> Use:
    """Gives each subchannel to the client that gains most from it; at a temperature, also to others."""
    psd = np.clip(at.level()[:, None] - problem.floor, 0.0, problem.client_max_w / problem.hz)
    rate = shannon_rates(problem.hz, psd / problem.floor)
    power_w = problem.hz * psd
    worth_s = (
        at.uplink[:, None] * rate
        - (at.own + at.common)[:, None] * power_w
        + at.downlink[:, None] * problem.downlink
        + at.serving[:, None]
    )
    most_s = worth_s.max(0)
    if temperature_s == 0.0:
        share = (np.arange(len(at.own))[:, None] == worth_s.argmax(0)).astype(np.float64)
    else:
        share = np.exp((worth_s - most_s) / temperature_s)
        most_s = most_s + temperature_s * np.log(share.sum(0))
        share /= share.sum(0)
    uplink, downlink = (share * rate).sum(1), (share * problem.downlink).sum(1)
    return Use(float(most_s.sum()), share, uplink, downlink, (share * power_w).sum(1))
