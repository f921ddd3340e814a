"""Optima and lower bounds: against enumeration, against each other, against a general solver."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from small_cells import cell

from splitgym.allocation.bounds.cut_problem import CutProblem, cut_problem, cut_problems, served_clients
from splitgym.allocation.bounds.optimum import exact, exact_subchannels, exhaustive
from splitgym.allocation.bounds.relaxation import lower_bound, relax
from splitgym.allocation.power import control_power
from splitgym.timing import round_cost
from splitgym.types import Decision, Plan, RoundState

SEEDS = st.integers(0, 2**32 - 1)


def latency(state: RoundState, decision: Decision) -> float:
    return float(round_cost(state, decision).latency_s)


def random_cell(seed: int, clients: int, subchannels: int, **settings: object) -> RoundState:
    """Uplink-heavy or compute-heavy, with budgets that bind for each client or for all together."""
    preset = ("iot", "bandwidth-limited")[seed % 2]
    total_dbm = (40.0, 12.0)[seed // 2 % 2]
    return cell(seed, clients, subchannels, preset, total_dbm=total_dbm, **settings)[1]


def enumerated(state: RoundState, selected: np.ndarray, phi: float) -> float:
    """Least latency over all owners, unused subchannels included, and all cuts."""
    served, best = np.flatnonzero(selected & state.available), np.inf
    for owners in itertools.product((-1, *served), repeat=state.system.subchannels):
        if not set(served) <= set(owners):
            continue
        for cut in range(1, state.system.cut_layers + 1):
            psd = control_power(state, Plan(cut, phi), np.array(owners))
            best = min(best, latency(state, Decision(cut, np.array(owners), psd, selected, phi)))
    return best


@given(seed=SEEDS, clients=st.integers(1, 3), phi=st.sampled_from([0.0, 0.5, 1.0]))
@settings(max_examples=8, deadline=None)
def test_exhaustive_is_the_best_of_an_enumeration(seed: int, clients: int, phi: float) -> None:
    rng = np.random.default_rng(seed)
    selected = rng.permutation(np.arange(4) < clients)
    state = random_cell(seed, 4, 4, client_cut_layer=rng.integers(0, 4, 4))
    if clients > 1:
        state = replace(state, available=np.arange(4) != np.flatnonzero(selected)[0])
    decision = exhaustive(state, selected, phi)
    decision.check(state)
    cost = round_cost(state, decision)
    assert cost.participants.tolist() == (selected & state.available).tolist()
    assert float(cost.latency_s) == pytest.approx(enumerated(state, selected, phi), rel=1e-9)


@pytest.mark.parametrize(
    ("seed", "framework", "phi"),
    list(zip(range(8), ("epsl", "epsl", "psl", "fl") * 2, (0.5, 1.0, 0.0, 0.0) * 2, strict=True)),
)
def test_programmes_and_enumeration_agree(seed: int, framework: str, phi: float) -> None:
    rng = np.random.default_rng(seed)
    clients = int(rng.integers(2, 5))
    state = random_cell(seed, clients, int(rng.integers(clients, 7)), framework=framework)
    everybody = np.ones(clients, bool)
    best_s = latency(state, exhaustive(state, everybody, phi))
    found = exact(state, everybody, phi)
    found.decision.check(state)
    assert latency(state, found.decision) == pytest.approx(found.latency_s, rel=1e-9)
    assert found.latency_s == pytest.approx(best_s, rel=1e-6)
    assert found.bound_s == pytest.approx(best_s, rel=3e-6)


def test_programmes_that_had_no_time_still_bound() -> None:
    state, everybody = random_cell(1, 3, 6), np.ones(3, bool)
    best_s = latency(state, exhaustive(state, everybody, 0.5))
    found = exact(state, everybody, 0.5, time_limit_s=0.0)
    assert found.bound_s < best_s < found.latency_s
    assert latency(state, found.decision) == pytest.approx(found.latency_s, rel=1e-9)


@given(
    seed=SEEDS,
    clients=st.integers(1, 4),
    more=st.integers(0, 2),
    decades=st.sampled_from([0.5, 2.0, 4.0]),
    framework=st.sampled_from(["epsl", "psl", "fl", "centralised"]),
)
@settings(max_examples=25, deadline=None)
def test_nothing_is_below_the_lower_bound(seed: int, clients: int, more: int, decades: float, framework: str) -> None:
    rng = np.random.default_rng(seed)
    state = random_cell(seed, clients, clients + more, decades=decades, framework=framework)
    phi = float(rng.choice([0.0, 0.5, 1.0]))
    everybody = np.ones(clients, bool)
    best_s = latency(state, exhaustive(state, everybody, phi))
    bound_s = lower_bound(state, everybody, phi)
    assert 0 < bound_s <= best_s * (1 + 1e-9)


@given(seed=SEEDS, subchannels=st.integers(1, 12), phi=st.sampled_from([0.0, 0.5, 1.0]))
@settings(max_examples=20, deadline=None)
def test_lower_bound_of_one_client_is_its_optimum(seed: int, subchannels: int, phi: float) -> None:
    """There is nothing to share, and what is left is convex."""
    state, alone = random_cell(seed, 1, subchannels), np.ones(1, bool)
    best_s = latency(state, exhaustive(state, alone, phi))
    assert lower_bound(state, alone, phi) == pytest.approx(best_s, rel=1e-5)


def relaxed_optimum(problem: CutProblem) -> float:
    """The relaxed problem by a general solver: shares and powers of every client on every subchannel, ends."""
    clients, subchannels = problem.floor.shape
    links, segments = clients * subchannels, len(problem.compute_s)
    unit_s, unit_w = problem.latency_s(*problem.even_rates()), problem.even_power_w()

    def ends(x: np.ndarray) -> np.ndarray:
        share, power = x[: 2 * links].reshape(2, clients, subchannels)
        hz = share * problem.hz
        uplink = (hz * np.log2(1 + power * unit_w / (hz * problem.floor))).sum(1)
        return (x[2 * links :, None] - problem.ends(uplink, (share * problem.downlink).sum(1)) / unit_s).ravel()

    def budgets(x: np.ndarray) -> np.ndarray:
        share, power = x[: 2 * links].reshape(2, clients, subchannels)
        most = problem.client_max_w / unit_w
        left = problem.total_max_w / unit_w - power.sum()
        return np.concatenate(
            [1 - share.sum(0), share.sum(1) - 1, most - power.sum(1), (most * share - power).ravel(), [left]]
        )

    start = [*np.full(links, 1 / clients), *np.full(links, 1 / subchannels), *np.ones(segments)]
    solved = minimize(
        lambda x: x[2 * links :].sum(),
        start,
        bounds=[(1e-6, 1)] * links + [(0, None)] * (links + segments),
        constraints=[{"type": "ineq", "fun": ends}, {"type": "ineq", "fun": budgets}],
        options={"maxiter": 1000, "ftol": 1e-8},
    )
    assert solved.success, solved.message
    return problem.common_s + unit_s * float(solved.fun)


@pytest.mark.parametrize("seed", range(8))
def test_lower_bound_is_the_optimum_of_the_relaxed_problem(seed: int) -> None:
    state = random_cell(seed, 2, 4)
    for problem in cut_problems(state, np.arange(2), 0.5):
        assert relax(problem).bound_s == pytest.approx(relaxed_optimum(problem), rel=1e-4)


@pytest.mark.parametrize("seed", range(8))
def test_best_subchannels_for_given_powers(seed: int) -> None:
    rng = np.random.default_rng(seed)
    state, everybody = random_cell(seed, 3, 5), np.ones(3, bool)
    system = state.system
    psd = rng.uniform(0.2, 1.0, 5) * 0.5 * system.client_power_max_w / state.subchannel_hz
    psd *= min(1.0, 0.8 * system.total_power_max_w / float(psd @ state.subchannel_hz))
    best_s = np.inf
    for owners in itertools.product((-1, 0, 1, 2), repeat=5):
        owner = np.array(owners)
        used = np.where(owner >= 0, psd, 0.0)
        spent_w = [(used * state.subchannel_hz)[owner == i].sum() for i in range(3)]
        if {0, 1, 2} <= set(owners) and max(spent_w) <= system.client_power_max_w:
            best_s = min(best_s, latency(state, Decision(2, owner, used, everybody, 0.5)))
    found = exact_subchannels(state, Plan(2, 0.5), everybody, psd)
    assert latency(state, found.decision) == pytest.approx(best_s, rel=1e-6)
    assert found.bound_s == pytest.approx(best_s, rel=3e-6)


def test_powers_that_nobody_may_send_with_are_an_error() -> None:
    state = random_cell(0, 2, 3)
    psd = 2 * state.system.client_power_max_w / state.subchannel_hz
    with pytest.raises(ValueError, match=r"power_w_per_hz = .*, allowed: what the budgets allow"):
        exact_subchannels(state, Plan(1, 0.5), np.ones(2, bool), psd)


def test_too_many_assignments_are_an_error() -> None:
    with pytest.raises(
        ValueError, match=r"4 clients on 12 subchannels = 1\.68e\+07 assignments, allowed: at most 1e\+07"
    ):
        exhaustive(random_cell(0, 4, 12), np.ones(4, bool), 0.5)


@pytest.mark.parametrize(
    ("state", "selected", "text"),
    [
        (random_cell(0, 3, 2), [True] * 3, r"selected = 3 available clients, allowed: 1\.\.2"),
        (random_cell(0, 3, 4), [False] * 3, r"selected = 0 available clients, allowed: 1\.\.4"),
        (random_cell(0, 3, 4, framework="sl"), [True] * 3, "access = SEQUENTIAL, allowed: PARALLEL"),
    ],
)
def test_rounds_of_another_kind_are_an_error(state: RoundState, selected: list[bool], text: str) -> None:
    for solve in (exhaustive, exact, lower_bound):
        with pytest.raises(ValueError, match=text):
            solve(state, np.array(selected), 0.5)


def test_rounds_on_demand_are_an_error() -> None:
    state = random_cell(0, 3, 4)
    state = replace(state, system=replace(state.system, on_demand=True))
    with pytest.raises(ValueError, match="sharing = 'on-demand', allowed: 'static'"):
        lower_bound(state, np.ones(3, bool), 0.5)


def test_latency_of_a_problem_is_that_of_the_round() -> None:
    state, rng = random_cell(3, 3, 6, client_cut_layer=np.array([0, 1, 3])), np.random.default_rng(0)
    owner = np.array([2, 0, 1, 1, -1, 0])
    psd = np.where(owner >= 0, rng.uniform(0.1, 0.3, 6) * state.system.client_power_max_w / 5e5, 0.0)
    problem = cut_problem(state, served_clients(state, np.ones(3, bool)), Plan(2, 0.5))
    expected = latency(state, Decision(2, owner, psd, np.ones(3, bool), 0.5))
    assert problem.latency_s(*problem.rates(owner, psd)) == pytest.approx(expected, rel=1e-12)
