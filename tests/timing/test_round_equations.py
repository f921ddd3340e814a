"""Latency, stages, energy and traffic against the equations of the specification, written a second time."""

from dataclasses import replace

import numpy as np
import pytest
from equations_of_a_round import STAGES, equations, profile_of, state_of
from hypothesis import given, settings
from hypothesis import strategies as st

from splitgym.scenario import Scenario, build
from splitgym.timing import RoundCost, round_cost
from splitgym.types import Decision, RoundState

SCENARIOS = {
    "toy": build("toy"),
    "iot": build("iot"),
    "epsl": build("epsl"),
    "epsl-small": build("epsl", {"clients": {"count": 2}, "radio": {"subchannels": 3}, "training": {"batch_size": 25}}),
    "iot-alone": build("iot", {"clients": {"count": 1}, "radio": {"subchannels": 1}}),
}
PROFILES = {name: profile_of(scenario) for name, scenario in SCENARIOS.items()}
SNR_GAIN_DECADES = {
    "toy": (-12, -9),
    "iot": (-14, -9),
    "epsl": (-12, -9),
    "epsl-small": (-12, -9),
    "iot-alone": (-13, -9),
}


def random_state(name: str, rng: np.random.Generator, framework: str = "epsl") -> tuple[Scenario, RoundState]:
    """A random cell; the timeout is short enough to be missed in some of them."""
    scenario = SCENARIOS[name]
    typical = equations(scenario, PROFILES[name], *_typical(scenario)).latency_s
    if rng.random() < 0.5:
        scenario = build(scenario, {"episode": {"round_timeout_s": float(typical * 10 ** rng.uniform(-0.7, 0.7))}})
    clients, cuts = scenario.clients.count, len(PROFILES[name]) - 1
    started = rng.random() < 0.7
    return scenario, state_of(
        scenario,
        framework,
        channel_gain=10 ** rng.uniform(*SNR_GAIN_DECADES[name], (clients, scenario.radio.subchannels)),
        client_hz=rng.uniform(0.5, 1, clients) * scenario.clients.compute_max_hz,
        server_hz=scenario.server.compute_hz * rng.uniform(0.5, 2),
        client_cut_layer=rng.integers(1, cuts + 1, clients) if started else np.zeros(clients, np.int64),
        available=rng.random(clients) < 0.85,
        subchannel_hz=scenario.radio.subchannel_hz * rng.uniform(0.5, 2, scenario.radio.subchannels),
    )


def _typical(scenario: Scenario) -> tuple[RoundState, Decision]:
    state = state_of(scenario)
    clients, subchannels = state.channel_gain.shape
    psd = np.full(subchannels, scenario.radio.client_power_max_w / scenario.radio.subchannel_hz)
    return state, Decision(1, np.arange(subchannels) % clients, psd, np.ones(clients, bool), 0.5)


def random_decision(scenario: Scenario, state: RoundState, rng: np.random.Generator) -> Decision:
    clients, subchannels = state.channel_gain.shape
    full = scenario.radio.client_power_max_w / scenario.radio.subchannel_hz
    psd = full * rng.random(subchannels) * (rng.random(subchannels) < 0.9)
    phi = rng.choice([0.0, 1.0, 0.25, 0.28, round(float(rng.random()), 3)])
    return Decision(
        int(rng.integers(1, state.system.cut_layers + 1)),
        rng.integers(-1, clients, subchannels),
        psd,
        rng.random(clients) < 0.8,
        float(phi),
    )


def assert_as_the_equations_say(scenario: Scenario, name: str, state: RoundState, decision: Decision) -> RoundCost:
    expected, cost = equations(scenario, PROFILES[name], state, decision), round_cost(state, decision)
    close = {"rtol": 1e-9, "atol": 1e-15}
    np.testing.assert_allclose(cost.latency_s, expected.latency_s, **close)
    assert set(np.flatnonzero(cost.participants)) == expected.participants
    assert set(np.flatnonzero(cost.timed_out)) == expected.timed_out
    stages = cost.seconds_by_stage()
    assert tuple(stages) == STAGES
    for stage in STAGES:
        np.testing.assert_allclose(stages[stage], expected.stages[stage], err_msg=stage, rtol=1e-9, atol=1e-13)
    np.testing.assert_allclose(cost.client_energy_j, expected.client_energy_j, **close)
    np.testing.assert_allclose(cost.server_energy_j, expected.server_energy_j, **close)
    np.testing.assert_allclose(cost.traffic_bits, expected.traffic_bits, rtol=1e-9, atol=1e-3)
    np.testing.assert_allclose(cost.migration_bits, expected.migration_bits, **close)
    np.testing.assert_allclose(cost.stage_s.sum(), cost.latency_s, rtol=1e-12)
    return cost


@pytest.mark.parametrize("name", sorted(SCENARIOS))
@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_cost_of_a_random_decision_is_that_of_the_equations(name: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    scenario, state = random_state(name, rng)
    assert_as_the_equations_say(scenario, name, state, random_decision(scenario, state, rng))


def test_random_decisions_reach_every_kind_of_round() -> None:
    """Guards the test above: late clients, moved parts, rounds without anybody and full rounds are all among them."""
    seen = set()
    for seed in range(150):
        rng = np.random.default_rng(seed)
        scenario, state = random_state("iot", rng)
        cost = assert_as_the_equations_say(scenario, "iot", state, random_decision(scenario, state, rng))
        if cost.participants.any() and cost.timed_out.any():
            seen.add("goes on without the late")
        if not cost.participants.any():
            seen.add("nobody left")
        if cost.migration_bits > 0:
            seen.add("parts moved")
        if cost.without_subchannel.any():
            seen.add("without subchannel")
        if cost.unavailable.any():
            seen.add("unavailable")
        if cost.participants.sum() > 3:
            seen.add("many")
    assert seen == {
        "goes on without the late",
        "nobody left",
        "parts moved",
        "without subchannel",
        "unavailable",
        "many",
    }


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=30, deadline=None)
def test_psl_costs_what_epsl_costs_without_aggregation(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scenario, state = random_state("iot", rng)
    decision = random_decision(scenario, state, rng)
    without = Decision(decision.cut_layer, decision.assignment, decision.power_w_per_hz, decision.selected, 0.0)
    psl = state_of(scenario, "psl", **{name: value for name, value in vars(state).items() if name not in ("system",)})
    epsl = round_cost(state, without)
    for phi in (0.0, 0.7):
        one = round_cost(psl, replace(without, aggregation_ratio=phi))
        assert one.latency_s == epsl.latency_s
        assert one.traffic_bits == epsl.traffic_bits
        np.testing.assert_array_equal(one.client_energy_j, epsl.client_energy_j)


@pytest.mark.parametrize("name", ["toy", "iot", "epsl"])
def test_a_batch_of_worlds_costs_what_each_costs_alone_to_the_bit(name: str) -> None:
    rng = np.random.default_rng(5)
    scenario = build(SCENARIOS[name], {"episode": {"round_timeout_s": 8.0}})
    states, decisions = [], []
    for _ in range(9):
        _, state = random_state(name, rng)
        states.append(state_of(scenario, **{k: v for k, v in vars(state).items() if k != "system"}))
        decisions.append(random_decision(scenario, states[-1], rng))
    arrays = {k: np.stack([getattr(s, k) for s in states]) for k in vars(states[0]) if k != "system"}
    batch = RoundState(**arrays, system=states[0].system)
    together = round_cost(batch, Decision.stack(decisions))
    for index, (state, decision) in enumerate(zip(states, decisions, strict=True)):
        alone, among = round_cost(state, decision), together.world(index)
        assert alone.stages == among.stages
        for field in vars(alone):
            if field != "stages":
                np.testing.assert_array_equal(getattr(alone, field), getattr(among, field), err_msg=field)


@pytest.mark.parametrize("name", ["iot", "epsl"])
@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None)
def test_timeline_is_in_order_and_ends_at_the_latency(name: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    scenario, state = random_state(name, rng)
    cost = round_cost(state, random_decision(scenario, state, rng))
    assert np.isfinite(cost.latency_s)
    assert np.isfinite(cost.start_s).all()
    assert np.isfinite(cost.stop_s).all()
    assert np.all(cost.stop_s >= cost.start_s)
    for client in np.flatnonzero(cost.participants):
        assert np.all(cost.start_s[1:, client] >= cost.stop_s[:-1, client] - 1e-12 * cost.latency_s)
    outside = ~(cost.participants | cost.timed_out)
    assert not cost.stop_s[:, outside].any()
    if cost.participants.any():
        np.testing.assert_allclose(cost.stop_s.max(), cost.latency_s, rtol=1e-12)
    else:
        assert cost.latency_s == scenario.episode.round_timeout_s
