"""Rounds of the frameworks beside EPSL and PSL, against their equations and against each other."""

from dataclasses import replace

import numpy as np
import pytest
from equations_of_a_round import profile_of, state_of
from equations_of_frameworks import STAGES, framework_equations
from hypothesis import given, settings
from hypothesis import strategies as st

from splitgym.frameworks import get
from splitgym.scenario import Scenario, build
from splitgym.timing import RoundCost, round_cost
from splitgym.types import Decision, RoundState

SCENARIOS = {
    "toy": build("toy"),
    "iot": build("iot", {"training": {"local_steps": 3}}),
    "crowded": build("iot", {"clients": {"count": 6}, "radio": {"subchannels": 3}}),
    "edge6g": build("epsl", {"clients": {"count": 3}, "radio": {"subchannels": 4}, "training": {"batch_size": 9}}),
}
PROFILES = {name: profile_of(scenario) for name, scenario in SCENARIOS.items()}
GAIN_DECADES = {"toy": (-12, -9), "iot": (-13.5, -9), "crowded": (-13.5, -9), "edge6g": (-12, -9)}
FIELDS = ("latency_s", "stage_s", "client_energy_j", "server_energy_j", "traffic_bits", "migration_bits")


def random_round(name: str, framework: str, rng: np.random.Generator) -> tuple[Scenario, RoundState, Decision]:
    """A random cell and decision; the timeout is short enough to be missed in some of them."""
    scenario = SCENARIOS[name]
    clients, subchannels = scenario.clients.count, scenario.radio.subchannels
    arrays = {
        "channel_gain": 10 ** rng.uniform(*GAIN_DECADES[name], (clients, subchannels)),
        "client_hz": rng.uniform(0.5, 1, clients) * scenario.clients.compute_max_hz,
        "server_hz": scenario.server.compute_hz * rng.uniform(0.5, 2),
        "available": rng.random(clients) < 0.85,
        "subchannel_hz": scenario.radio.subchannel_hz * rng.uniform(0.5, 2, subchannels),
    }
    full = scenario.radio.client_power_max_w / scenario.radio.subchannel_hz
    decision = Decision(
        int(rng.integers(1, len(PROFILES[name]) - get(framework).has_tail)),
        rng.integers(-1, clients, subchannels),
        full * rng.uniform(0.1, 1, subchannels) * (rng.random(subchannels) < 0.9),
        rng.random(clients) < rng.choice([0.1, 0.8]),
        float(rng.choice([0.0, 0.5])),
        rng.choice([-2, 0, 3], clients),
    )
    if rng.random() < 0.6:
        patient = build(scenario, {"episode": {"round_timeout_s": 1e6}})
        everybody = replace(decision, selected=np.ones(clients, bool), power_w_per_hz=np.full(subchannels, full))
        typical = round_cost(state_of(patient, framework, **arrays), everybody).latency_s
        scenario = build(patient, {"episode": {"round_timeout_s": float(typical * 10 ** rng.uniform(-1.3, 0.3))}})
    return scenario, state_of(scenario, framework, **arrays), decision


def assert_as_the_equations_say(framework: str, name: str, seed: int) -> tuple[Decision, RoundCost]:
    scenario, state, decision = random_round(name, framework, np.random.default_rng(seed))
    expected = framework_equations(framework, scenario, PROFILES[name], state, decision)
    cost = round_cost(state, decision)
    close = {"rtol": 1e-9, "atol": 1e-15}
    np.testing.assert_allclose(cost.latency_s, expected.latency_s, **close)
    assert set(np.flatnonzero(cost.participants)) == expected.participants
    assert set(np.flatnonzero(cost.timed_out)) == expected.timed_out
    stages = cost.seconds_by_stage()
    assert tuple(stages) == STAGES[framework]
    for stage, seconds in expected.stages.items():
        np.testing.assert_allclose(stages[stage], seconds, err_msg=stage, rtol=1e-8, atol=1e-11 * expected.latency_s)
    np.testing.assert_allclose(cost.client_energy_j, expected.client_energy_j, **close)
    np.testing.assert_allclose(cost.server_energy_j, expected.server_energy_j, **close)
    np.testing.assert_allclose(cost.traffic_bits, expected.traffic_bits, rtol=1e-9, atol=1e-3)
    assert cost.migration_bits == 0
    np.testing.assert_allclose(cost.stage_s.sum(), cost.latency_s, rtol=1e-12)
    reasons = [cost.participants, cost.timed_out, cost.without_subchannel, cost.unavailable]
    np.testing.assert_array_equal(np.sum(reasons, axis=0), decision.selected)
    return decision, cost


@pytest.mark.parametrize("name", sorted(SCENARIOS))
@pytest.mark.parametrize("framework", sorted(STAGES))
@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=40)
def test_cost_of_a_random_decision_is_that_of_the_frameworks_equations(framework: str, name: str, seed: int) -> None:
    assert_as_the_equations_say(framework, name, seed)


@pytest.mark.parametrize("framework", sorted(STAGES))
def test_random_rounds_of_a_framework_are_of_every_kind(framework: str) -> None:
    """Guards the test above."""
    seen = set()
    for seed in range(120):
        _, cost = assert_as_the_equations_say(framework, "crowded", seed)
        kinds = {
            "goes on without the late": cost.participants.any() and cost.timed_out.any(),
            "nobody left": cost.timed_out.any() and not cost.participants.any(),
            "nobody there": not (cost.participants | cost.timed_out).any(),
            "without subchannel": cost.without_subchannel.any(),
            "several": cost.participants.sum() > 1,
        }
        seen |= {kind for kind, happened in kinds.items() if happened}
    missing = {"centralised": {"goes on without the late", "nobody left", "without subchannel"}}.get(framework, set())
    if framework == "sl":
        missing = {"without subchannel"}
    assert seen == set(kinds) - missing


def assert_same_cost(one: RoundCost, other: RoundCost) -> None:
    for field in ("participants", "timed_out", "without_subchannel", "start_s", "stop_s", *FIELDS):
        np.testing.assert_array_equal(getattr(one, field), getattr(other, field), err_msg=field)


@given(seed=st.integers(0, 2**32 - 1), name=st.sampled_from(sorted(SCENARIOS)))
@settings(max_examples=40)
def test_sl_is_cpsl_with_everybody_a_cluster(seed: int, name: str) -> None:
    scenario, state, decision = random_round(name, "sl", np.random.default_rng(seed))
    if np.sum(decision.selected & state.available) < 2:
        return  # a single cluster does not have the band assigned again
    apart = replace(decision, cluster=np.arange(len(state.client_hz)))
    assert_same_cost(round_cost(with_framework(state, scenario, "cpsl"), apart), round_cost(state, decision))


@given(seed=st.integers(0, 2**32 - 1), name=st.sampled_from(sorted(SCENARIOS)), index=st.integers(-3, 3))
@settings(max_examples=40)
def test_cpsl_with_one_cluster_is_sfl(seed: int, name: str, index: int) -> None:
    scenario, state, decision = random_round(name, "sfl-v1", np.random.default_rng(seed))
    one = replace(decision, cluster=np.full(len(state.client_hz), index))
    assert_same_cost(round_cost(with_framework(state, scenario, "cpsl"), one), round_cost(state, decision))


@given(seed=st.integers(0, 2**32 - 1), framework=st.sampled_from(["fl", "sfl-v1", "psl", "epsl"]))
@settings(max_examples=20)
def test_clusters_mean_nothing_where_all_work_side_by_side(seed: int, framework: str) -> None:
    _, state, decision = random_round("iot", framework, np.random.default_rng(seed))
    assert_same_cost(round_cost(state, decision), round_cost(state, replace(decision, cluster=np.zeros(8, np.int64))))


@given(seed=st.integers(0, 2**32 - 1), phi=st.floats(0, 1))
@settings(max_examples=20)
def test_epsl_pt_costs_what_epsl_costs(seed: int, phi: float) -> None:
    scenario, state, decision = random_round("iot", "epsl", np.random.default_rng(seed))
    decision = replace(decision, aggregation_ratio=phi)
    assert_same_cost(round_cost(state, decision), round_cost(with_framework(state, scenario, "epsl-pt"), decision))


@given(seed=st.integers(0, 2**32 - 1), rows=st.integers(0, 14))
@settings(max_examples=40)
def test_psl_drop_costs_what_psl_costs_on_a_smaller_batch(seed: int, rows: int) -> None:
    scenario, state, decision = random_round("iot", "psl-drop", np.random.default_rng(seed))
    smaller = build(scenario, {"training": {"batch_size": 16 - rows}})
    rest = round_cost(with_framework(state, smaller, "psl"), replace(decision, aggregation_ratio=0.0))
    cost = round_cost(state, replace(decision, aggregation_ratio=rows / 16))
    assert cost.participants.tolist() == rest.participants.tolist()
    for field in FIELDS:
        if field != "stage_s":
            np.testing.assert_allclose(getattr(cost, field), getattr(rest, field), rtol=1e-9, err_msg=field)
    for stage, seconds in rest.seconds_by_stage().items():
        assert cost.seconds_by_stage()[stage] == pytest.approx(seconds, rel=1e-9, abs=1e-12)


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=30)
def test_a_round_of_sl_is_its_clients_rounds_one_after_the_other(seed: int) -> None:
    _, state, decision = random_round("iot", "sl", np.random.default_rng(seed))
    cost = round_cost(state, decision)
    begin = 0.0
    sums = dict.fromkeys(FIELDS, 0.0)
    for i in np.flatnonzero(decision.selected & state.available):
        alone = round_cost(state, replace(decision, selected=np.arange(8) == i))
        assert alone.participants[i] == cost.participants[i]
        np.testing.assert_allclose(cost.start_s[:, i], begin + alone.start_s[:, i], rtol=1e-12)
        np.testing.assert_allclose(cost.stop_s[:, i], begin + alone.stop_s[:, i], rtol=1e-12)
        begin += float(alone.latency_s)
        sums = {field: total + getattr(alone, field) for field, total in sums.items()}
    if begin > 0:
        for field, total in sums.items():
            np.testing.assert_allclose(getattr(cost, field), total, rtol=1e-12, err_msg=field)


@pytest.mark.parametrize("framework", sorted(STAGES))
def test_a_batch_of_worlds_costs_what_each_costs_alone_to_the_bit(framework: str) -> None:
    scenario = build(SCENARIOS["crowded"], {"episode": {"round_timeout_s": 60.0}})
    rounds = [random_round("crowded", framework, np.random.default_rng(seed))[1:] for seed in range(9)]
    states, decisions = [with_framework(state, scenario, framework) for state, _ in rounds], [d for _, d in rounds]
    arrays = {k: np.stack([getattr(s, k) for s in states]) for k in vars(states[0]) if k != "system"}
    together = round_cost(RoundState(**arrays, system=states[0].system), Decision.stack(decisions))
    assert len({float(latency) for latency in together.latency_s}) > 2
    for index, (state, decision) in enumerate(zip(states, decisions, strict=True)):
        assert_same_cost(round_cost(state, decision), together.world(index))


def with_framework(state: RoundState, scenario: Scenario, framework: str) -> RoundState:
    return state_of(scenario, framework, **{name: value for name, value in vars(state).items() if name != "system"})
