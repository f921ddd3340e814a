"""On-demand sharing in random rounds of every framework: what plain Python says, and never slower than static."""

from dataclasses import replace

import numpy as np
import pytest
from barriers import with_barriers
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_on_demand import Slot
from synchronous import SYNCHRONOUS
from test_framework_rounds import SCENARIOS, random_round

from splitgym.frameworks import Resource
from splitgym.timing import RoundCost, round_cost
from splitgym.types import Decision, RoundState

SEEDS = st.integers(0, 2**32 - 1)
OWN_CLIENTS = ("psl", "epsl", "psl-drop", "epsl-pt", "hierarchical", "u-shaped")
"""Only these move parts of the network when the cut moves."""
SIDE_BY_SIDE = sorted(set(SYNCHRONOUS) - {"sl", "cpsl"})


def on_demand(state: RoundState, by_client: bool = True) -> RoundState:
    program = with_barriers(state.system.program, by_client)
    return replace(state, system=replace(state.system, on_demand=True, program=program))


def random_case(name: str, framework: str, seed: int, by_client: bool) -> tuple[RoundState, RoundState, Decision]:
    """The same random cell with static shares and on demand; parts of the network may have to move."""
    rng = np.random.default_rng(seed)
    _, state, decision = random_round(name, framework, rng)
    if framework in OWN_CLIENTS and rng.random() < 0.7:
        held = rng.integers(0, state.system.cut_layers + 1, len(state.client_hz))
        state = replace(state, client_cut_layer=held)
    return state, on_demand(state, by_client), decision


@pytest.mark.parametrize("name", sorted(SCENARIOS))
@pytest.mark.parametrize("framework", SYNCHRONOUS)
@given(seed=SEEDS, by_client=st.booleans())
@settings(max_examples=20, deadline=None)
def test_nobody_is_later_than_with_static_shares(name: str, framework: str, seed: int, by_client: bool) -> None:
    state, lending, decision = random_case(name, framework, seed, by_client)
    static, cost = round_cost(state, decision), round_cost(lending, decision)
    assert np.all(cost.participants >= static.participants)
    if np.array_equal(cost.participants, static.participants):
        assert cost.latency_s <= static.latency_s * (1 + 1e-9)
        own = np.append([True, True], state.system.program.resource < Resource.SERVER)
        if framework == "u-shaped" and by_client:
            # A server that works for one client on the way back may let another wait on the way there.
            own &= np.isin(cost.stages, ("migration", "client_fp", "uplink", "unicast", "client_bp"))
        begin, static_begin = (c.start_s[own][:, c.participants] for c in (cost, static))
        assert np.all(begin <= static_begin * (1 + 1e-9))
        if not static.timed_out.any():
            np.testing.assert_allclose(cost.traffic_bits, static.traffic_bits, rtol=1e-9)
            assert cost.migration_bits == static.migration_bits


@pytest.mark.parametrize("name", ["crowded", "edge6g"])
@pytest.mark.parametrize("framework", SYNCHRONOUS)
@given(seed=SEEDS, by_client=st.booleans())
@settings(max_examples=20, deadline=None)
def test_timeline_is_in_order_and_its_critical_path_sums_to_the_latency(
    name: str, framework: str, seed: int, by_client: bool
) -> None:
    _, state, decision = random_case(name, framework, seed, by_client)
    cost = round_cost(state, decision)
    assert np.isfinite(cost.latency_s)
    assert np.all(cost.stage_s >= 0)
    np.testing.assert_allclose(cost.stage_s.sum(), cost.latency_s, rtol=1e-12)
    assert np.all(cost.stop_s >= cost.start_s)
    for client in np.flatnonzero(cost.participants):
        assert np.all(cost.start_s[1:, client] >= cost.stop_s[:-1, client])
    if cost.participants.any() or cost.timed_out.any():
        np.testing.assert_allclose(cost.stop_s.max(), cost.latency_s, rtol=1e-12)
    reasons = [cost.participants, cost.timed_out, cost.without_subchannel, cost.unavailable]
    np.testing.assert_array_equal(np.sum(reasons, axis=0), decision.selected)


def assert_as_plain_python_says(state: RoundState, decision: Decision) -> tuple[RoundCost, Slot]:
    cost, slot = round_cost(state, decision), Slot(state, decision)
    latency = slot.run()
    np.testing.assert_allclose(cost.latency_s, latency, rtol=1e-8)
    assert np.flatnonzero(cost.participants).tolist() == [i for i, c in slot.clients.items() if not c.left_out]
    assert np.flatnonzero(cost.timed_out).tolist() == [i for i, c in slot.clients.items() if c.left_out]
    computing = np.array(state.system.program.resource) == 0
    bits = slot.common_bits
    for i, client in slot.clients.items():
        for phase, stop in client.stops.items():
            np.testing.assert_allclose(cost.stop_s[2 + phase, i], stop, rtol=1e-8)
        computing_s = (cost.stop_s - cost.start_s)[2:][computing, i].sum()
        sent_j = cost.client_energy_j[i] - state.system.client_capacitance * state.client_hz[i] ** 3 * computing_s
        np.testing.assert_allclose(sent_j, client.joules, rtol=1e-6, atol=1e-9 * cost.client_energy_j[i])
        bits += client.bits
    if cost.participants.any():  # a broadcast that is cut off has sent a part, which plain Python does not count
        np.testing.assert_allclose(cost.traffic_bits, bits, rtol=1e-8)
    return cost, slot


@pytest.mark.parametrize("name", sorted(SCENARIOS))
@pytest.mark.parametrize("framework", SIDE_BY_SIDE)
@given(seed=SEEDS, by_client=st.booleans())
@settings(max_examples=15, deadline=None)
def test_a_round_is_what_plain_python_says(name: str, framework: str, seed: int, by_client: bool) -> None:
    _, state, decision = random_round(name, framework, np.random.default_rng(seed))
    assert_as_plain_python_says(on_demand(state, by_client), decision)


def test_random_rounds_are_of_every_kind() -> None:
    """Guards the tests above: they lend, leave out, and let clients in that would have been late."""
    seen = set()
    for seed in range(150):
        state, lending, decision = random_case("crowded", "psl", seed, by_client=True)
        static, cost = round_cost(state, decision), round_cost(lending, decision)
        same = np.array_equal(static.participants, cost.participants)
        kinds = {
            "faster": same and cost.latency_s < 0.99 * static.latency_s,
            "let in": (cost.participants & static.timed_out).any(),
            "goes on without the late": cost.participants.any() and cost.timed_out.any(),
            "parts moved": cost.migration_bits > 0,
            "several": cost.participants.sum() > 2,
        }
        seen |= {kind for kind, happened in kinds.items() if happened}
    assert seen == set(kinds)


@pytest.mark.parametrize("framework", SYNCHRONOUS)
@given(seed=SEEDS)
@settings(max_examples=12, deadline=None)
def test_where_there_is_nothing_to_lend_it_is_as_with_static_shares(framework: str, seed: int) -> None:
    """One client has the whole band, in one slot."""
    state, lending, decision = random_case("iot", framework, seed, by_client=bool(seed % 2))
    alone = replace(decision, assignment=np.zeros(8, np.int64), selected=np.arange(8) == 0)
    static, cost = round_cost(state, alone), round_cost(lending, alone)
    np.testing.assert_array_equal(cost.participants, static.participants)
    for field in ("latency_s", "start_s", "stop_s", "stage_s", "client_energy_j", "server_energy_j", "traffic_bits"):
        np.testing.assert_allclose(getattr(cost, field), getattr(static, field), rtol=1e-11, atol=1e-15, err_msg=field)


@pytest.mark.parametrize("framework", SYNCHRONOUS)
def test_a_batch_of_worlds_costs_what_each_costs_alone_to_the_bit(framework: str) -> None:
    cases = [random_case("crowded", framework, seed, by_client=True)[1:] for seed in range(9)]
    system = cases[0][0].system
    states = [replace(state, system=system) for state, _ in cases]
    arrays = {k: np.stack([getattr(s, k) for s in states]) for k in vars(states[0]) if k != "system"}
    together = round_cost(RoundState(**arrays, system=system), Decision.stack([d for _, d in cases]))
    assert len({float(latency) for latency in together.latency_s}) > 2
    for index, (state, (_, decision)) in enumerate(zip(states, cases, strict=True)):
        alone, among = round_cost(state, decision), together.world(index)
        for field in vars(alone):
            if field != "stages":
                np.testing.assert_array_equal(getattr(alone, field), getattr(among, field), err_msg=field)
