"""Shares: whole, all of them, nobody's left out; actions that say them; subchannels that stay where they are."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from splitgym.inputs import InputError
from splitgym.slices import Shares
from splitgym.slices.shares import NOBODY, owners, shares_of, weights_of, whole_shares


@st.composite
def actions(draw):
    """Entries of an action, which slices run, and the number of subchannels."""
    slices = draw(st.integers(1, 6))
    entries = draw(st.lists(st.floats(-1, 1), min_size=2 * slices, max_size=2 * slices))
    running = draw(st.lists(st.booleans(), min_size=slices, max_size=slices))
    return np.array(entries).reshape(2, slices), np.array(running), draw(st.integers(slices, 40))


@given(actions())
def test_every_action_gives_whole_subchannels_and_all_of_both(action):
    entries, running, subchannels = action
    shares = shares_of(8.0**entries, running, subchannels)
    assert shares.subchannels.dtype.kind == "i"
    assert shares.subchannels.sum() == subchannels
    assert abs(shares.server.sum() - 1) < 1e-12
    assert np.all(shares.subchannels[running] >= 1)
    assert np.all(shares.server[running] > 0)
    if running.any():
        assert not shares.subchannels[~running].any()
        assert not shares.server[~running].any()
    shares.check(running, subchannels)


@given(st.lists(st.floats(1.0, 3.0), min_size=1, max_size=5), st.integers(3, 12))
def test_largest_remainder_as_on_paper(weights, each):
    """Where every quota is at least 1 it is the plain method of Hamilton."""
    total = each * len(weights)
    quota = np.array([total * weight / sum(weights) for weight in weights])
    if quota.min() < 1:
        return
    floors = [int(q) for q in quota]
    order = sorted(range(len(weights)), key=lambda i: (-(quota[i] - floors[i]), i))
    for index in order[: total - sum(floors)]:
        floors[index] += 1
    assert abs(np.array(whole_shares(np.array(weights), total)) - quota).max() < 1
    remainders = np.sort(quota - np.floor(quota))
    if len(remainders) < 2 or np.diff(remainders).min() > 1e-9:  # Equal ones are decided by rounding.
        assert whole_shares(np.array(weights), total).tolist() == floors


def test_a_tiny_weight_gets_one_from_the_one_that_is_most_above():
    # Quotas 0.1, 4.95, 4.95 of 10: one each is the least, the rest 4.5 each.
    assert whole_shares(np.array([1.0, 49.5, 49.5]), 10).tolist() == [1, 5, 4]


@given(actions())
def test_actions_say_what_shares_they_gave(action):
    entries, running, subchannels = action
    given_ = shares_of(8.0**entries, running, subchannels)
    if not running.any():
        return
    said = shares_of(8.0 ** weights_of(given_).reshape(2, -1), running, subchannels)
    np.testing.assert_array_equal(said.subchannels, given_.subchannels)
    np.testing.assert_allclose(said.server, given_.server, rtol=1e-12)


@st.composite
def divisions(draw):
    """Counts that sum to M, twice."""
    slices, total = draw(st.integers(1, 5)), draw(st.integers(5, 20))
    cuts = [sorted(draw(st.lists(st.integers(0, total), min_size=slices - 1, max_size=slices - 1))) for _ in "ab"]
    return [np.diff([0, *cut, total]) for cut in cuts]


@given(divisions())
def test_subchannels_stay_with_their_owners_as_far_as_they_can(counts):
    first, second = counts
    nobody = np.full(first.sum(), NOBODY)
    before = owners(first, nobody, nobody)
    # At first blocks, by index.
    np.testing.assert_array_equal(before, np.repeat(np.arange(len(first)), first))
    after = owners(second, before, nobody)
    np.testing.assert_array_equal(np.bincount(after, minlength=len(second)), second)
    kept = [np.count_nonzero((before == index) & (after == index)) for index in range(len(first))]
    assert kept == np.minimum(first, second).tolist()
    np.testing.assert_array_equal(owners(second, after, nobody), after)


def test_what_a_round_uses_is_kept_first():
    before, users = np.array([0, 0, 1, 0]), np.array([1, 0, 1, 0])
    assert owners(np.array([2, 2]), before, users).tolist() == [1, 0, 1, 0]
    assert owners(np.array([1, 3]), before, users).tolist() == [1, 0, 1, 1]


@pytest.mark.parametrize(
    ("subchannels", "server", "said"),
    [
        ([4, 5], [0.5, 0.5], "Shares.subchannels = [4, 5], allowed: at least 1 for each slice that runs, 8 together"),
        ([0, 8], [0.5, 0.5], "Shares.subchannels = [0, 8], allowed"),
        ([4.0, 4.0], [0.5, 0.5], "allowed: 2 whole numbers"),
        ([8], [1.0], "allowed: 2 whole numbers"),
        ([4, 4], [0.5, 0.6], "Shares.server = [0.5, 0.6], allowed: above 0 for each slice that runs, 1 together"),
        ([4, 4], [0.0, 1.0], "Shares.server = [0.0, 1.0], allowed"),
        ([4, 4], [-0.5, 1.5], "Shares.server = [-0.5, 1.5], allowed"),
        ([4, 4], [np.nan, 1.0], "allowed: 2 numbers"),
    ],
)
def test_shares_that_do_not_fit_are_refused_in_one_line(subchannels, server, said):
    with pytest.raises(InputError) as refused:
        Shares(np.array(subchannels), np.array(server)).check(np.array([True, True]), 8)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)
