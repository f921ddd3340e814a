"""Who is served if not everybody can be in time or there are too few subchannels, and why somebody is not, in words."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from small_cells import cell, check_budgets, latency, with_timeout

from splitgym.allocation import control_power, descend, descent, equal_shares, unserved
from splitgym.frameworks import Resource
from splitgym.timing import round_cost
from splitgym.types import Decision, Plan
from splitgym.types.legal import check_decision

TWO, THREE = np.ones(2, bool), np.ones(3, bool)


def last_uplink_s(state, decision):
    """When the last uplink before the timeout applies ends, if nobody has to be in time."""
    cost = round_cost(with_timeout(state, 1e9), decision)
    row = max(r for r, name in enumerate(cost.stages) if name in ("uplink", "model_up", "migration"))
    rows = [r for r, name in enumerate(cost.stages) if name == "uplink"] or [row]
    return float(cost.stop_s[rows].max())


def tight(seed, clients=3, subchannels=4, **options):
    """A cell whose timeout some can make, and phi."""
    rng = np.random.default_rng(seed)
    values = {"decades": 3.0, "total_dbm": float(rng.choice([12.0, 40.0])), "timeout_s": 1e9}
    _, state = cell(seed, clients, subchannels, **{**values, **options})
    phi = float(rng.choice([0, 0.5]))
    everybody_s = last_uplink_s(state, descend(state, np.ones(clients, bool), phi))
    return with_timeout(state, everybody_s * rng.uniform(0.2, 1.1)), phi


def check_expectations(state, found):
    cost = round_cost(state, found.decision)
    assert found.participants == cost.participants.sum()
    assert found.latency_s == pytest.approx(cost.latency_s, rel=1e-9)
    check_budgets(state, found.decision)
    return cost


def most_in_time(state, phi):
    """How many can be in time at all: every set of clients, every way to share the band, every cut, exact powers."""
    clients, subchannels = state.channel_gain.shape
    for size in range(min(clients, subchannels), 0, -1):
        for served in itertools.combinations(range(clients), size):
            for owners in itertools.product(served, repeat=subchannels):
                if len(set(owners)) < size:
                    continue
                for cut in range(1, state.system.cut_layers + 1):
                    band = np.array(owners)
                    psd = control_power(state, Plan(cut, phi), band)
                    decision = Decision(cut, band, psd, np.isin(np.arange(clients), served), phi)
                    if round_cost(state, decision).participants.sum() == size:
                        return size
    return 0


@pytest.mark.parametrize("framework", ["epsl", "fl", "sfl-v1", "cpsl", "sl"])
@pytest.mark.parametrize("power", ["control", "even"])
@given(seed=st.integers(0, 2**32 - 1), clients=st.integers(1, 6))
@example(seed=109, clients=2)
@example(seed=4901, clients=3)
@settings(max_examples=15)
def test_with_a_timeout_it_expects_what_happens(framework, power, seed, clients):
    state, phi = tight(seed, clients, framework=framework)
    found = descent(state, np.ones(clients, bool), phi, power=power)
    check_decision(found.decision, state)
    check_expectations(state, found)


@pytest.mark.parametrize("framework", ["epsl", "fl", "sfl-v1", "cpsl", "sl"])
@given(seed=st.integers(0, 2**32 - 1), clients=st.integers(1, 6))
@settings(max_examples=15)
def test_a_client_that_is_not_in_time_gets_nothing_so_that_nobody_waits(framework, seed, clients):
    state, phi = tight(seed, clients, framework=framework)
    found = descent(state, np.ones(clients, bool), phi)
    cost = check_expectations(state, found)
    if found.participants == 0:
        assert found.latency_s == pytest.approx(cost.latency_s)
        return
    for band in np.atleast_2d(found.decision.assignment):
        owners = set(band) - {-1}
        assert owners <= set(np.flatnonzero(cost.participants)) or not cost.participants[list(owners)].any()
    alone = replace(found.decision, selected=cost.participants)
    assert latency(state, alone) <= found.latency_s * (1 + 1e-12)


def test_as_many_as_can_are_in_time_in_nearly_all_cells():
    served, most = [], []
    for seed in range(60):
        state, phi = tight(seed, client_cut_layer=np.random.default_rng(seed).integers(0, 4, 3))
        served.append(descent(state, THREE, phi).participants)
        most.append(most_in_time(state, phi))
    assert np.all(np.array(served) <= most)
    assert np.sum(np.array(served) < most) <= 5
    assert np.all(np.bincount(most, minlength=4) > 0)  # all kinds of cells occur


def test_a_client_that_is_late_even_alone_gets_nothing():
    """Client 1 computes 100 times as long; the others have the round that they have without it."""
    _, state = cell(0, 3, 4, client_hz=np.array([4e7, 4e5, 4e7]), timeout_s=10.0)
    found = descent(state, THREE, 0.5)
    without = descent(state, np.array([True, False, True]), 0.5)
    assert found.participants == 2
    assert found.latency_s == without.latency_s
    np.testing.assert_array_equal(found.decision.assignment, without.decision.assignment)
    assert list(unserved(state, found.decision)) == [1]


@pytest.mark.parametrize("framework", ["epsl", "fl", "sfl-v1", "cpsl", "sl"])
@pytest.mark.parametrize("power", ["control", "even"])
def test_a_client_without_a_signal_gets_nothing(framework, power):
    gain = 10 ** np.random.default_rng(0).uniform(-13, -11, (3, 5)) * np.array([[0.0], [1.0], [1.0]])
    _, state = cell(0, 3, 5, framework=framework, channel_gain=gain, client_hz=np.array([8e7, 4e7, 4e7]))
    found = descent(state, THREE, 0.0, power=power)
    cost = check_expectations(state, found)
    assert cost.participants.tolist() == [False, True, True]
    slot = state.system.program.access.slot_of_clients(found.decision.cluster)
    for t, band in enumerate(np.atleast_2d(found.decision.assignment)):
        assert set(band) - {-1} == set(np.flatnonzero(cost.participants & (slot == t)))
    assert list(unserved(state, found.decision)) == [0]


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=40)
def test_the_free_cut_layer_is_the_best_of_those_held(seed):
    """First in clients that are in time, then in seconds; swaps, of which a held cut tries fewer, left aside."""
    state, phi = tight(seed, 2, 3)
    found = descent(state, TWO, phi, search=False)
    held = [descent(state, TWO, phi, cut_layer=cut, search=False) for cut in (1, 2, 3)]
    assert (-found.participants, found.latency_s) == min((-each.participants, each.latency_s) for each in held)


@pytest.mark.parametrize("framework", ["epsl", "fl", "sfl-v1", "cpsl", "sl"])
def test_nobody_in_time(framework):
    _, state = cell(0, framework=framework, timeout_s=1e-6)
    found = descent(state, THREE, 0.0)
    check_decision(found.decision, state)
    cost = check_expectations(state, found)
    assert found.participants == 0
    assert cost.latency_s == pytest.approx(1e-6 * {"sl": 3, "cpsl": 2}.get(framework, 1))


# Reasons.


def toy(timeout_s=2.0, **arrays):
    gain, hz = np.full((2, 2), 1e-10), np.full(2, 1e6)
    values = {"channel_gain": gain, "client_hz": hz, **arrays}
    return cell(0, 2, 2, "toy", total_dbm=33.0103, timeout_s=timeout_s, **values)[1]


def test_everybody_served_needs_no_reason():
    state = toy()
    assert unserved(state, descend(state, TWO, 0.5)) == {}
    assert unserved(state, descend(state, np.array([True, False]), 0.5)) == {}


def test_unavailable():
    state = toy(available=np.array([True, False]))
    assert unserved(state, descend(state, TWO, 0.5)) == {1: "it is unavailable"}
    assert unserved(state, descend(state, np.array([True, False]), 0.5)) == {}


@pytest.mark.parametrize("decide", [descend, lambda s, everybody, phi: equal_shares(s, Plan(1, phi), everybody)])
def test_too_slow_even_alone_by_hand(decide):
    """Toy, cut 1: 8 rows of 4096 cycles at 1e4 cycles/s are 3.3 s, and 8 kbit over 2 Mbit/s or more some ms."""
    state = toy(client_hz=np.array([1e6, 1e4]))
    reasons = unserved(state, decide(state, TWO, 0.5))
    assert list(reasons) == [1]
    assert reasons[1].startswith("even with the whole band its uplink ends after 3.")
    assert reasons[1].endswith(" s, the timeout is 2 s")


def test_too_slow_over_all_that_comes_before_the_timeout():
    """A broadcast stands between two parts of the work before the uplink: 3 s at first, then 1.5 s, and some ms."""
    state = toy(timeout_s=4.0, client_hz=np.array([1e6, 1e4]))
    program, phases = state.system.program, (Resource.CLIENT, Resource.BROADCAST, Resource.CLIENT, Resource.UPLINK)
    work = np.tile([3e4, 1.0, 1.5e4, 8e3], (len(program.work), 1))
    stages, barrier = ("first", "weights", "second", "uplink"), np.ones(4, int)
    longer = replace(
        program,
        stages=stages,
        route=np.array([phases]),
        work=work,
        per_participant=np.zeros_like(work),
        barrier=barrier,
    )
    state = replace(state, system=replace(state.system, program=longer))
    reasons = unserved(state, equal_shares(state, Plan(1), TWO))
    assert reasons[1].startswith("even with the whole band its uplink ends after 4.5")


def test_too_slow_beside_the_others():
    """Client 1 makes it with the whole band (39.8 ms), not with one subchannel (41.0 ms)."""
    state = toy(timeout_s=0.0405, client_hz=np.array([1e8, 1e6]))
    alone = Decision(1, np.array([1, 1]), control_power(state, Plan(1, 0.5), np.array([1, 1])), TWO, 0.5)
    assert round_cost(state, alone).participants.tolist() == [False, True]
    reasons = unserved(state, equal_shares(state, Plan(1, 0.5), TWO))
    assert reasons == {1: "beside the others its uplink does not end before the timeout of 0.0405 s"}


def test_too_few_subchannels():
    _, state = cell(0, 4, 2, client_hz=np.array([1e7, 5e7, 2e7, 6e7]), channel_gain=np.full((4, 2), 1e-11))
    selected = np.array([True, True, False, True])
    reasons = unserved(state, descend(state, selected, 0.5))
    assert reasons == {0: "3 clients share 2 subchannels, and it is one of the last in line"}


def test_a_client_is_not_dropped_because_of_another_slot():
    """Four clients share three subchannels, but two at a time: who is left out would make the slot too long."""
    _, state = cell(0, 4, 3, framework="cpsl", channel_gain=np.full((4, 3), 1e-12), client_hz=np.full(4, 8e7))
    decision = descend(state, np.ones(4, bool), 0.0, cut_layer=1)
    assert decision.cluster.tolist() == [0, 0, 1, 1]
    cost = round_cost(state, decision)
    first_turn_s = cost.stop_s[cost.stages.index("uplink"), :2].max()
    short = with_timeout(state, float(0.9 * first_turn_s))
    reasons = unserved(short, descend(short, np.ones(4, bool), 0.0, cut_layer=1))
    assert len(reasons) == 2
    assert all("would miss the timeout" in reason for reason in reasons.values()), reasons


def test_with_it_somebody_would_be_late():
    """Either makes the timeout with the whole band (39.8 ms), together they do not (41.0 ms)."""
    state = toy(timeout_s=0.0405, client_hz=np.array([1e6, 0.999e6]))
    found = descent(state, TWO, 0.5, cut_layer=1)
    assert found.participants == 1
    reason = "with it somebody would miss the timeout of 0.0405 s, and it is one of the last in line"
    assert unserved(state, found.decision) == {1: reason}


def test_the_worst_client_of_a_broadcast_counts_only_if_it_takes_part():
    """SFL broadcasts the model at the rate of the worst client that takes part; an unavailable one is no reason."""
    gain = np.array([[1e-11], [1e-11], [1e-19]]) * np.ones(4)
    there, hz = np.array([True, True, False]), np.full(3, 4e7)
    _, state = cell(0, 3, 4, framework="sfl-v1", channel_gain=gain, available=there, client_hz=hz)
    decision = replace(descend(state, THREE, 0.0), assignment=np.full(4, 0))
    in_time = with_timeout(state, 2 * last_uplink_s(state, decision))
    reasons = unserved(in_time, decision)
    assert reasons[2] == "it is unavailable"
    assert "even with the whole band" not in reasons[1]
