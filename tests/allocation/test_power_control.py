"""Power control against scipy's solution of the same convex problem, and against its optimality conditions."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from small_cells import COSTS, cell, random_assignment, spent_w, until_uplink_s, with_total

from splitgym.allocation.power import control_power, even_psd
from splitgym.rounds import Decision, RoundState
from splitgym.scenario import Scenario


def solve_with_scipy(scenario: Scenario, state: RoundState, cut: int, assignment: np.ndarray) -> float:
    """min t such that t >= ready_i + bits / R_i(p) and the budgets hold: R_i is concave in p, so this is convex.

    Variables: each subchannel's power as a share of p_max, and t in units of the even split's.
    """
    radio, clients = scenario.radio, len(state.client_hz)
    p_max, p_th, hz = state.system.client_power_max_w, state.system.total_power_max_w, radio.subchannel_hz
    bits = scenario.training.batch_size * COSTS.activation_bits[cut - 1]
    ready = scenario.training.batch_size * scenario.clients.cycles_per_flop * COSTS.forward_flops[:cut].sum()
    ready = ready / state.client_hz
    subchannels = np.arange(len(assignment))
    snr_at_p_max = p_max / hz * state.channel_gain[assignment, subchannels] / radio.noise_psd_w_per_hz
    member = assignment[None, :] == np.arange(clients)[:, None]
    even = min(p_max, p_th / clients) / p_max / member.sum(1)[assignment]
    unit = (ready + bits / (member @ (hz * np.log2(1 + snr_at_p_max * even)))).max()

    def rates(x: np.ndarray) -> np.ndarray:
        return member @ (hz * np.log2(1 + snr_at_p_max * x))

    def slack(v: np.ndarray) -> np.ndarray:
        return v[-1] - (ready + bits / rates(v[:-1])) / unit

    def slack_gradient(v: np.ndarray) -> np.ndarray:
        slope = hz * snr_at_p_max / (1 + snr_at_p_max * v[:-1]) / np.log(2)
        by_power = member * slope * (bits / rates(v[:-1]) ** 2)[:, None] / unit
        return np.hstack([by_power, np.ones((clients, 1))])

    budget = np.vstack([member, np.full(len(assignment), p_max / p_th)]).astype(float)
    budget = np.hstack([budget, np.zeros((clients + 1, 1))])
    linear = {"type": "ineq", "fun": lambda v: 1 - budget @ v, "jac": lambda _: -budget}
    convex = {"type": "ineq", "fun": slack, "jac": slack_gradient}
    goal = np.append(np.zeros(len(assignment)), 1.0)
    best = np.inf
    for start in (even, 0.3 * even, 0.3 * even + 0.1 * even.min()):
        solution = minimize(
            lambda v: v[-1],
            np.append(start, 1.5),
            jac=lambda _: goal,
            method="SLSQP",
            bounds=[(1e-9, 1)] * len(assignment) + [(0, None)],
            constraints=[linear, convex],
            options={"ftol": 1e-15, "maxiter": 500},
        )
        if min((1 - budget @ solution.x).min(), slack(solution.x).min()) > -1e-8:
            best = min(best, solution.fun)
    return best * unit


def last_uplink_s(scenario: Scenario, state: RoundState, cut: int, assignment: np.ndarray, psd: np.ndarray) -> float:
    clients = len(state.client_hz)
    return float(
        np.nanmax(until_uplink_s(scenario, state, Decision(cut, assignment, psd, np.ones(clients, bool), 0.5)))
    )


@pytest.mark.parametrize("binding", ["client", "total"])
@pytest.mark.parametrize("seed", range(12))
def test_last_uplink_ends_when_scipys_optimum_says(seed: int, binding: str) -> None:
    rng = np.random.default_rng(seed)
    clients = int(rng.integers(2, 5))
    subchannels = int(rng.integers(clients, 7))
    preset = "iot" if seed % 2 else "bandwidth-limited"
    scenario, state = cell(seed, clients, subchannels, preset)
    p_max = scenario.radio.client_power_max_w
    state = with_total(scenario, state, clients * p_max if binding == "client" else 0.4 * p_max)
    cut, assignment = 1 + seed % 3, random_assignment(rng, clients, subchannels)
    psd = control_power(state, cut, assignment, 0.5)
    power = spent_w(scenario, Decision(cut, assignment, psd, np.ones(clients, bool), 0.5), clients)
    if binding == "client":
        assert power.max() == pytest.approx(p_max, rel=1e-6)
    else:
        assert power.sum() == pytest.approx(0.4 * p_max, rel=1e-6)
    ours = last_uplink_s(scenario, state, cut, assignment, psd)
    assert ours == pytest.approx(solve_with_scipy(scenario, state, cut, assignment), rel=1e-6)


@given(seed=st.integers(0, 2**32 - 1), total_share=st.floats(0.01, 2.0), moved=st.booleans())
@settings(max_examples=60, deadline=None)
def test_budgets_hold_and_every_client_ends_with_the_straggler(seed: int, total_share: float, moved: bool) -> None:
    rng = np.random.default_rng(seed)
    scenario, state = cell(seed, 4, 6, decades=4.0)
    p_max = scenario.radio.client_power_max_w
    state = with_total(scenario, state, total_share * 4 * p_max)
    if moved:
        state = replace(state, client_cut_layer=rng.integers(0, 4, 4))
    cut, assignment = int(rng.integers(1, 4)), random_assignment(rng, 4, 6)
    decision = Decision(cut, assignment, control_power(state, cut, assignment, 0.5), np.ones(4, bool), 0.5)
    power = spent_w(scenario, decision, 4)
    assert np.all(decision.power_w_per_hz >= 0)
    assert np.all(power <= p_max * (1 + 1e-9))
    assert power.sum() <= total_share * 4 * p_max * (1 + 1e-9)
    # Optimal and with no more power than needed: nobody ends before the last, and a budget is spent.
    ends = until_uplink_s(scenario, state, decision)
    np.testing.assert_allclose(ends, ends.max(), rtol=1e-8)
    assert max(power.max() / p_max, power.sum() / (total_share * 4 * p_max)) == pytest.approx(1, rel=1e-5)


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_each_client_fills_its_subchannels_to_one_water_level(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scenario, state = cell(seed, 2, 8, decades=5.0)
    assignment = random_assignment(rng, 2, 8)
    psd = control_power(state, int(rng.integers(1, 4)), assignment, 0.5)
    for i in range(2):
        own = np.flatnonzero(assignment == i)
        floor = scenario.radio.noise_psd_w_per_hz / state.channel_gain[i, own]
        wet = psd[own] > 0
        level = (psd[own] + floor)[wet]
        np.testing.assert_allclose(level, level[0], rtol=1e-9)
        assert np.all(floor[~wet] >= level[0] * (1 - 1e-9))


def test_water_filling_leaves_some_subchannels_dry() -> None:
    """Guards the test above: both kinds of subchannels occur in it."""
    _, state = cell(1, 2, 8, decades=5.0)
    dry = [not control_power(state, 2, random_assignment(np.random.default_rng(s), 2, 8), 0.5).all() for s in range(20)]
    assert any(dry)


def test_power_never_makes_the_last_uplink_later_than_the_even_split() -> None:
    for seed in range(20):
        scenario, state = cell(seed, 3, 5, total_dbm=14.0)
        assignment = random_assignment(np.random.default_rng(seed), 3, 5)
        even = last_uplink_s(scenario, state, 2, assignment, even_psd(state, assignment))
        assert last_uplink_s(scenario, state, 2, assignment, control_power(state, 2, assignment, 0.5)) <= even


def test_one_client_with_one_subchannel_spends_what_the_budgets_allow() -> None:
    scenario, state = cell(0, 1, 1)
    hz, p_max = scenario.radio.subchannel_hz, scenario.radio.client_power_max_w
    assert control_power(state, 1, np.array([0]), 0.0) == pytest.approx(p_max / hz, rel=1e-9)
    state = with_total(scenario, state, p_max / 7)
    assert control_power(state, 1, np.array([0]), 0.0) == pytest.approx(p_max / 7 / hz, rel=1e-9)


def test_unused_subchannels_and_absent_owners_get_no_power() -> None:
    _, state = cell(0, 3, 4)
    psd = control_power(state, 1, np.array([-1, 2, -1, 2]), 0.0)
    assert psd[[0, 2]].tolist() == [0, 0]
    assert psd[[1, 3]].sum() > 0
    assert not control_power(state, 1, np.full(4, -1), 0.0).any()


@pytest.mark.parametrize("total_share", [10.0, 0.5])
def test_even_split_by_hand(total_share: float) -> None:
    scenario, state = cell(0, 3, 4)
    p_max, hz = scenario.radio.client_power_max_w, scenario.radio.subchannel_hz
    state = with_total(scenario, state, total_share * p_max)
    each = min(p_max, total_share * p_max / 2)  # two clients own something
    np.testing.assert_allclose(even_psd(state, np.array([2, 0, -1, 2])) * hz, [each / 2, each, 0, each / 2], rtol=1e-12)
