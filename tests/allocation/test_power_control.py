"""Power control against scipy's solution of the same convex problem, and against its optimality conditions."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq, minimize
from small_cells import COSTS, cell, random_assignment, spent_w, until_uplink_s, with_total

from splitgym.allocation import control_power, even_psd
from splitgym.allocation.assignment import (
    AssignmentState,
    assign,
    assign_all,
    greatest_rate,
    least_power,
    no_assignment,
    release,
)
from splitgym.allocation.even_split import spread_power
from splitgym.allocation.link_budget import Links, own_links
from splitgym.frameworks import PlanGrid
from splitgym.frameworks.program import Program
from splitgym.frameworks.resources import Resource
from splitgym.scenario import Scenario
from splitgym.timing import round_cost
from splitgym.types import Decision, Plan, RoundState


def solve_with_scipy(state: RoundState, assignment: np.ndarray, waits: list[tuple[np.ndarray, np.ndarray]]) -> float:
    """min sum t_s such that t_s >= ready_si + bits_si / R_i(p) and the budgets hold; R_i is concave, so this is convex.

    Variables: each subchannel's power as a share of p_max, and each t_s in units of the even split's.

    Args:
        state: Of one world.
        assignment: [M], every client has something.
        waits: For each uplink with a wait for everybody, [C] seconds without it and [C] bits.
    """
    clients, hz = len(state.client_hz), state.subchannel_hz
    p_max, p_th = state.system.client_power_max_w, state.system.total_power_max_w
    gain = state.channel_gain[assignment, np.arange(len(assignment))]
    snr_at_p_max = p_max / hz * gain / state.system.noise_psd_w_per_hz
    member = assignment[None, :] == np.arange(clients)[:, None]
    even = min(p_max, p_th / clients) / p_max / member.sum(1)[assignment]
    ready, bits = (np.array(values) for values in zip(*waits, strict=True))
    last = (ready + bits / (member @ (hz * np.log2(1 + snr_at_p_max * even)))).max(1)
    unit = last.sum()

    def rates(x: np.ndarray) -> np.ndarray:
        return member @ (hz * np.log2(1 + snr_at_p_max * x))

    def slack(v: np.ndarray) -> np.ndarray:
        ends = v[len(assignment) :, None] * last[:, None]
        return ((ends - ready - bits / rates(v[: len(assignment)])) / unit).ravel()

    def slack_gradient(v: np.ndarray) -> np.ndarray:
        x = v[: len(assignment)]
        slope = hz * snr_at_p_max / (1 + snr_at_p_max * x) / np.log(2)
        by_power = member * slope * (bits / rates(x) ** 2)[:, :, None] / unit
        by_end = np.repeat(np.diag(last / unit), clients, axis=0)
        return np.hstack([by_power.reshape(-1, len(assignment)), by_end])

    budget = np.vstack([member, np.full(len(assignment), p_max / p_th)]).astype(float)
    budget = np.hstack([budget, np.zeros((clients + 1, len(waits)))])
    goal = np.concatenate([np.zeros(len(assignment)), last / unit])
    best = np.inf
    for start in (even, 0.3 * even, 0.3 * even + 0.1 * even.min()):
        solution = minimize(
            lambda v: goal @ v,
            np.concatenate([start, np.full(len(waits), 1.5)]),
            jac=lambda _: goal,
            method="SLSQP",
            bounds=[(1e-9, 1)] * len(assignment) + [(0, None)] * len(waits),
            constraints=[
                {"type": "ineq", "fun": lambda v: 1 - budget @ v, "jac": lambda _: -budget},
                {"type": "ineq", "fun": slack, "jac": slack_gradient},
            ],
            options={"ftol": 1e-15, "maxiter": 500},
        )
        if min((1 - budget @ solution.x).min(), slack(solution.x).min()) > -1e-8:
            best = min(best, float(solution.fun))
    return best * unit


def uplinks_of_sfl(scenario: Scenario, state: RoundState, cut: int, assignment: np.ndarray) -> list[tuple]:
    """Smashed data after the forward pass; the model after gradients have come down and the backward pass is done."""
    b, kappa, units = scenario.training.batch_size, scenario.clients.cycles_per_flop, slice(cut)
    smashed, model = b * COSTS.activation_bits[cut - 1], COSTS.model_bits[units].sum()
    snr = state.system.downlink_psd_w_per_hz * state.channel_gain / state.system.noise_psd_w_per_hz
    rate = state.subchannel_hz * np.log2(1 + snr)
    downlink = np.array([rate[i, assignment == i].sum() for i in range(len(state.client_hz))])
    forward, backward = (
        b * kappa * flops[units].sum() / state.client_hz for flops in (COSTS.forward_flops, COSTS.backward_flops)
    )
    return [(forward, np.full(len(forward), smashed)), (smashed / downlink + backward, np.full(len(forward), model))]


def clients_wait_s(state: RoundState, decision: Decision) -> float:
    """Seconds of a round in which clients work by themselves."""
    cost = round_cost(state, decision)
    common = ("model_down", "server_fp", "server_bp", "broadcast")
    return float(cost.latency_s) - sum(cost.seconds_by_stage().get(stage, 0.0) for stage in common)


def last_uplink_s(scenario: Scenario, state: RoundState, cut: int, assignment: np.ndarray, psd: np.ndarray) -> float:
    clients = len(state.client_hz)
    return float(
        np.nanmax(until_uplink_s(scenario, state, Decision(cut, assignment, psd, np.ones(clients, bool), 0.5)))
    )


def binding_cell(seed: int, binding: str, framework: str) -> tuple[Scenario, RoundState, int, np.ndarray]:
    """A cell in which one of the budgets binds, a cut layer and an assignment."""
    rng = np.random.default_rng(seed)
    clients = int(rng.integers(2, 5))
    subchannels = int(rng.integers(clients, 7))
    scenario, state = cell(seed, clients, subchannels, "iot" if seed % 2 else "bandwidth-limited", framework=framework)
    p_max = scenario.radio.client_power_max_w
    state = with_total(scenario, state, clients * p_max if binding == "client" else 0.4 * p_max)
    return scenario, state, 1 + seed % 3, random_assignment(rng, clients, subchannels)


def check_binding(scenario: Scenario, state: RoundState, decision: Decision, binding: str) -> None:
    power, p_max = spent_w(scenario, decision, len(state.client_hz)), scenario.radio.client_power_max_w
    if binding == "client":
        assert power.max() == pytest.approx(p_max, rel=1e-6)
    else:
        assert power.sum() == pytest.approx(0.4 * p_max, rel=1e-6)


@pytest.mark.parametrize("binding", ["client", "total"])
@pytest.mark.parametrize("seed", range(12))
def test_last_uplink_ends_when_scipys_optimum_says(seed: int, binding: str) -> None:
    scenario, state, cut, assignment = binding_cell(seed, binding, "epsl")
    psd = control_power(state, Plan(cut, 0.5), assignment)
    check_binding(scenario, state, Decision(cut, assignment, psd, np.ones(len(state.client_hz), bool), 0.5), binding)
    ours = last_uplink_s(scenario, state, cut, assignment, psd)
    waits = uplinks_of_sfl(scenario, state, cut, assignment)[:1]
    assert ours == pytest.approx(solve_with_scipy(state, assignment, waits), rel=1e-6)


@pytest.mark.parametrize("binding", ["client", "total"])
@pytest.mark.parametrize("seed", range(12))
def test_two_uplinks_end_when_scipys_optimum_says(seed: int, binding: str) -> None:
    scenario, state, cut, assignment = binding_cell(seed, binding, "sfl-v1")
    psd = control_power(state, Plan(cut, 0.0), assignment)
    decision = Decision(cut, assignment, psd, np.ones(len(state.client_hz), bool), 0.0)
    check_binding(scenario, state, decision, binding)
    best = solve_with_scipy(state, assignment, uplinks_of_sfl(scenario, state, cut, assignment))
    assert clients_wait_s(state, decision) == pytest.approx(best, rel=1e-6)


def test_two_uplinks_share_the_power_by_what_helps_both() -> None:
    """Guards the test above: cells occur where what is best for either uplink alone is not best for both."""
    between = 0
    for seed in range(12):
        scenario, state, cut, assignment = binding_cell(seed, "total", "sfl-v1")
        first, second = uplinks_of_sfl(scenario, state, cut, assignment)
        both = solve_with_scipy(state, assignment, [first, second])
        alone = solve_with_scipy(state, assignment, [first]) + solve_with_scipy(state, assignment, [second])
        between += both > alone * (1 + 1e-4)
    assert between >= 3


def test_more_than_two_uplinks_are_one_clear_error() -> None:
    """As when a model that moves goes up before the broadcast with which SFL begins; or in a made-up program."""
    _, state = cell(0, 3, 4, framework="sfl-v1", client_cut_layer=np.full(3, 3))
    kinds = np.array([[Resource.UPLINK, Resource.SERVER] * 3], np.int64)
    plans = PlanGrid(3, 17)
    work = np.ones((3 * 17, 6))
    _, other = cell(0, 3, 4)
    resources = other.system.program.resources
    made_up = Program(("uplink", "server") * 3, kinds, work, np.zeros_like(work), plans, resources, np.ones(6, int))
    for three in (state, replace(other, system=replace(other.system, program=made_up))):
        with pytest.raises(ValueError, match=r"^the round has 3 uplinks .* allowed: 2$"):
            control_power(three, Plan(1, 0.0), np.array([0, 1, 2, 0]))


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
    decision = Decision(cut, assignment, control_power(state, Plan(cut, 0.5), assignment), np.ones(4, bool), 0.5)
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
    psd = control_power(state, Plan(int(rng.integers(1, 4)), 0.5), assignment)
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
    dry = [
        not control_power(state, Plan(2, 0.5), random_assignment(np.random.default_rng(s), 2, 8)).all()
        for s in range(20)
    ]
    assert any(dry)


def test_power_never_makes_the_last_uplink_later_than_the_even_split() -> None:
    for seed in range(20):
        scenario, state = cell(seed, 3, 5, total_dbm=14.0)
        assignment = random_assignment(np.random.default_rng(seed), 3, 5)
        even = last_uplink_s(scenario, state, 2, assignment, even_psd(state, assignment))
        assert last_uplink_s(scenario, state, 2, assignment, control_power(state, Plan(2, 0.5), assignment)) <= even


def test_one_client_with_one_subchannel_spends_what_the_budgets_allow() -> None:
    scenario, state = cell(0, 1, 1)
    hz, p_max = scenario.radio.subchannel_hz, scenario.radio.client_power_max_w
    assert control_power(state, Plan(1, 0.0), np.array([0])) == pytest.approx(p_max / hz, rel=1e-9)
    state = with_total(scenario, state, p_max / 7)
    assert control_power(state, Plan(1, 0.0), np.array([0])) == pytest.approx(p_max / 7 / hz, rel=1e-9)


def test_unused_subchannels_and_absent_owners_get_no_power() -> None:
    _, state = cell(0, 3, 4)
    psd = control_power(state, Plan(1, 0.0), np.array([-1, 2, -1, 2]))
    assert psd[[0, 2]].tolist() == [0, 0]
    assert psd[[1, 3]].sum() > 0
    assert not control_power(state, Plan(1, 0.0), np.full(4, -1)).any()


@pytest.mark.parametrize("total_share", [10.0, 0.5])
def test_even_split_by_hand(total_share: float) -> None:
    scenario, state = cell(0, 3, 4)
    p_max, hz = scenario.radio.client_power_max_w, scenario.radio.subchannel_hz
    state = with_total(scenario, state, total_share * p_max)
    each = min(p_max, total_share * p_max / 2)  # two clients own something
    np.testing.assert_allclose(even_psd(state, np.array([2, 0, -1, 2])) * hz, [each / 2, each, 0, each / 2], rtol=1e-12)


def test_power_spread_by_hand() -> None:
    psd = np.full(4, np.nan)
    spread_power(np.array([3.0, 5.0, 8.0]), np.array([2, 0, -1, 2]), np.array([1.0, 2.0, 4.0, 3.0]), np.empty(3), psd)
    assert psd.tolist() == [2.0, 1.5, 0.0, 2.0]


def held_by(seed: int, decades: float) -> tuple[RoundState, Links, AssignmentState, np.ndarray]:
    """A client's links over eight subchannels of different widths, of which it holds the first ones that are listed."""
    rng = np.random.default_rng(seed)
    _, state = cell(seed, 2, 8, decades=decades)
    state = replace(state, subchannel_hz=rng.uniform(0.5, 2, 8) * 180e3)
    links, held = own_links(state), no_assignment(2, 8)
    own = rng.permutation(8)[: rng.integers(1, 9)]
    assign_all(held, links, np.where(np.isin(np.arange(8), own), 0, -1))
    return state, links, held, own


@given(seed=st.integers(0, 2**32 - 1), decades=st.sampled_from([0.0, 2.0, 5.0]), decade=st.floats(-4, 6))
def test_largest_rate_is_that_of_a_water_level_found_by_bisection(seed: int, decades: float, decade: float) -> None:
    state, links, held, own = held_by(seed, decades)
    power, hz = state.system.client_power_max_w * 10**decade, state.subchannel_hz[own]
    floor = state.system.noise_psd_w_per_hz / state.channel_gain[0, own]

    def excess(log_level: float) -> float:
        return float(np.log(hz @ np.maximum(np.exp(log_level) - floor, 1e-300) / power))

    level = np.exp(brentq(excess, np.log(floor.min()), np.log(floor.max() + power / hz.min()) + 1, xtol=1e-14))
    best = hz @ np.log1p(np.maximum(level - floor, 0) / floor) / np.log(2)
    assert greatest_rate(held, links, 0, power) == pytest.approx(best, rel=1e-8)
    shares = np.random.default_rng(seed).dirichlet(np.full(len(own), 0.5), 100)
    rates = np.log1p(shares * power / hz / floor) @ hz / np.log(2)
    assert rates.max() <= greatest_rate(held, links, 0, power) * (1 + 1e-8)


@given(seed=st.integers(0, 2**32 - 1), decades=st.sampled_from([0.0, 2.0, 5.0]), decade=st.floats(-4, 2))
def test_least_power_is_the_inverse_of_the_largest_rate(seed: int, decades: float, decade: float) -> None:
    state, links, held, _ = held_by(seed, decades)
    power = state.system.client_power_max_w * 10**decade
    assert least_power(held, links, 0, greatest_rate(held, links, 0, power)) == pytest.approx(power, rel=1e-8)


def test_nothing_needs_no_power_and_without_subchannels_nothing_is_enough() -> None:
    _, links, held, _ = held_by(0, 2.0)
    assert least_power(held, links, 0, 0.0) == 0
    assert greatest_rate(held, links, 0, 0.0) == 0
    assert greatest_rate(held, links, 1, 1.0) == 0
    assert least_power(held, links, 1, 1.0) == np.inf
    assert least_power(held, links, 0, np.inf) == np.inf


@given(seed=st.integers(0, 2**32 - 1))
def test_sums_of_what_is_held_do_not_depend_on_how_it_came_about(seed: int) -> None:
    rng = np.random.default_rng(seed)
    _, state = cell(seed, 3, 6, decades=6.0)
    links = own_links(state)
    held, rebuilt, owner = no_assignment(3, 6), no_assignment(3, 6), np.full(6, -1)
    for _ in range(40):
        k = int(rng.integers(6))
        if owner[k] >= 0:
            release(held, links, k)
            owner[k] = -1
        else:
            owner[k] = int(rng.integers(3))
            assign(held, links, int(owner[k]), k)
    assign_all(rebuilt, links, owner)
    np.testing.assert_array_equal(held.owner, owner)
    for got, expected, name in zip(held, rebuilt, AssignmentState._fields, strict=True):
        if name != "own":
            np.testing.assert_array_equal(got, expected)
    for i in range(3):
        own = np.flatnonzero(owner == i)
        assert held.own[i, : len(own)].tolist() == own[np.argsort(-state.channel_gain[i, own])].tolist()
        assert held.floor[i] == pytest.approx((links.floor[i, own] * links.hz[own]).sum(), rel=1e-12)
