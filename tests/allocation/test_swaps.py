"""Exchanges of subchannels, against all moves and swaps one by one, with power control and the round's own clock."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from small_cells import cell, latency, random_assignment

from splitgym.allocation import control_power
from splitgym.allocation.assignment import assign_all, no_assignment
from splitgym.allocation.descent.goal import no_goal
from splitgym.allocation.descent.local_search import search_swaps
from splitgym.allocation.link_budget import own_links
from splitgym.allocation.workload import own_workload
from splitgym.types import Decision, Plan

TOLERANCE = 1e-6
"""Of the latency: a swap that wins less may be left undone."""
ENDLESS = 10**5


def swapped_owners(state, cut, owner, phi, trials=ENDLESS):
    """[M] owners after the swaps, seconds that all segments take by their account, and how many trials are left."""
    links, workload = own_links(state), own_workload(state, Plan(cut, phi))
    held, ends = no_assignment(*state.channel_gain.shape), np.zeros(len(workload.compute_s))
    assign_all(held, links, owner)
    _, seconds, left = search_swaps(held, links, workload, ends, no_goal(*workload.compute_s.shape, len(owner)), trials)
    return held.owner.copy(), seconds, left


def round_s(state, cut, owner, phi):
    """Latency with exact power control, all clients selected."""
    clients = len(state.client_hz)
    return latency(
        state, Decision(cut, owner, control_power(state, Plan(cut, phi), owner), np.ones(clients, bool), phi)
    )


def single_swaps(owner):
    """All assignments that one move or one swap away leave everybody something; nobody's subchannels count, too."""
    for k in range(len(owner)):
        for i in set(owner) - {-1, owner[k]}:
            moved = owner.copy()
            moved[k] = i
            if set(owner) - {-1} <= set(moved):
                yield moved
        for other in range(k):
            if owner[k] != owner[other]:
                swapped = owner.copy()
                swapped[[k, other]] = owner[[other, k]]
                yield swapped


def some(seed, framework, **options):
    """A cell, a cut layer, an assignment in which everybody has something and some subchannels are free, and phi."""
    rng = np.random.default_rng(seed)
    clients = int(rng.integers(2, 5))
    subchannels = int(rng.integers(clients, 7))
    values = {
        "preset": str(rng.choice(["iot", "bandwidth-limited"])),
        "total_dbm": float(rng.choice([12.0, 40.0])),
        "decades": float(rng.choice([1.0, 3.0])),
        "client_cut_layer": rng.integers(0, 4, clients) if framework == "epsl" else np.zeros(clients, np.int64),
        "timeout_s": 1e9,
    }
    _, state = cell(seed, clients, subchannels, framework=framework, **{**values, **options})
    owner = random_assignment(rng, clients, subchannels)
    free = rng.random(subchannels) < 0.3
    owner[free & (np.bincount(owner)[owner] > 1)] = -1
    owner = np.where(np.isin(np.arange(clients), owner).all(), owner, random_assignment(rng, clients, subchannels))
    return state, int(rng.integers(1, 4)), owner, float(rng.choice([0, 0.5, 1]))


@pytest.mark.parametrize("framework", ["epsl", "fl", "sfl-v1"])
@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=30)
def test_swaps_keep_everybody_served_and_never_take_longer(framework, seed):
    state, cut, owner, phi = some(seed, framework)
    after, seconds, _ = swapped_owners(state, cut, owner, phi)
    assert set(owner) - {-1} == set(after) - {-1}
    before_s, after_s = round_s(state, cut, owner, phi), round_s(state, cut, after, phi)
    assert after_s <= before_s * (1 + 1e-9)
    _, before_by_their_account, _ = swapped_owners(state, cut, owner, phi, trials=0)
    assert before_by_their_account - seconds == pytest.approx(before_s - after_s, abs=1e-9 * before_s)


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=60)
def test_a_client_that_sends_nothing_is_waited_for_too(seed):
    """In a round in which units move and nothing else: some clients fetch, others give."""
    held = np.random.default_rng(seed).permutation([1, 1, 3])
    _, state = cell(seed, 3, 4, framework="centralised", client_cut_layer=held, decades=3.0, timeout_s=1e9)
    owner = random_assignment(np.random.default_rng(seed), 3, 4)
    after, _, left = swapped_owners(state, 2, owner, 0.0, trials=10**4)
    assert left > 0
    now_s = round_s(state, 2, after, 0.0)
    assert now_s <= round_s(state, 2, owner, 0.0) * (1 + 1e-9)
    for other in single_swaps(after):
        assert round_s(state, 2, other, 0.0) >= now_s * (1 - TOLERANCE)


@pytest.mark.parametrize("framework", ["epsl", "fl"])
@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=30)
def test_afterwards_no_single_swap_helps(framework, seed):
    """Not with two uplinks: a trial holds the end of the second, so swaps that help only together are not seen."""
    state, cut, owner, phi = some(seed, framework)
    # Who gives units to the server has a second uplink, too.
    assume(framework != "epsl" or (state.client_cut_layer <= cut).all())
    after, _, _ = swapped_owners(state, cut, owner, phi)
    now_s = round_s(state, cut, after, phi)
    for other in single_swaps(after):
        assert round_s(state, cut, other, phi) >= now_s * (1 - TOLERANCE)


def test_single_swaps_help_before():
    """Guards the test above."""
    helped = 0
    for seed in range(20):
        state, cut, owner, phi = some(seed, "epsl")
        now_s = round_s(state, cut, owner, phi)
        helped += any(round_s(state, cut, o, phi) < now_s * (1 - TOLERANCE) for o in single_swaps(owner))
    assert helped > 10


@given(seed=st.integers(0, 2**32 - 1), trials=st.integers(0, 60))
@settings(max_examples=40)
def test_trials_run_out(seed, trials):
    """With none nothing changes; with more of them the round is no longer."""
    state, cut, owner, phi = some(seed, "epsl")
    after, seconds, left = swapped_owners(state, cut, owner, phi, trials)
    assert 0 <= left <= trials
    if trials == 0:
        np.testing.assert_array_equal(after, owner)
    _, with_more_s, _ = swapped_owners(state, cut, owner, phi, trials + 20)
    assert with_more_s <= seconds


def test_a_swap_by_hand():
    """Each of two alike clients hears the other's subchannel 10 dB better."""
    gain = np.array([[1e-12, 1e-11], [1e-11, 1e-12]])
    _, state = cell(0, 2, 2, channel_gain=gain, client_hz=np.full(2, 2e7), timeout_s=1e9)
    after, _, _ = swapped_owners(state, 1, np.array([0, 1]), 0.5)
    assert after.tolist() == [1, 0]
    after, _, _ = swapped_owners(state, 1, np.array([1, 0]), 0.5)
    assert after.tolist() == [1, 0]


def test_a_free_subchannel_goes_to_the_slower_device():
    gain, hz = np.full((2, 3), 1e-12), np.array([2e7, 1e7])
    _, state = cell(0, 2, 3, channel_gain=gain, client_hz=hz, timeout_s=1e9)
    after, _, _ = swapped_owners(state, 1, np.array([0, 1, -1]), 0.5)
    assert after.tolist() == [0, 1, 1]
