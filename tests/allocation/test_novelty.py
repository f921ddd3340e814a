"""Novelty of the classes that clients hold, and the rule that reads it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_cells import cell

from splitgym.allocation import Prospect, Unified, equal_shares, novelty
from splitgym.types import Plan


def state_with(class_share, experience, data_share=None, **arrays):
    class_share = np.array(class_share, float)
    clients = len(class_share)
    values = {
        "channel_gain": np.full((clients, 8), 1e-4),
        "client_hz": np.full(clients, 1e8),
        "class_share": class_share,
        "experience": np.array(experience, float),
        "data_share": np.full(clients, 1 / clients) if data_share is None else np.array(data_share),
    }
    return cell(0, clients, 8, **{**values, **arrays})[1]


def test_by_hand():
    """Classes 0 and 1; the first client took part three times, so 3.5 rounds taught class 0 and 0.5 class 1."""
    state = state_with([[1, 0], [0, 1]], [3, 0])
    assert novelty(state) == pytest.approx([1 / (3.5 / 2 + 0.05), 1 / (0.5 / 2 + 0.05)])


def test_before_the_first_round_all_that_is_evenly_spread_is_alike():
    state = state_with([[0.5, 0.5], [0.5, 0.5], [0.5, 0.5]], [0, 0, 0])
    assert novelty(state) == pytest.approx([1 / 1.05] * 3)


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=30)
def test_what_has_been_taught_more_often_is_less_new(seed):
    rng = np.random.default_rng(seed)
    class_share, experience = rng.dirichlet(np.full(4, 0.5), 5), rng.integers(0, 9, 5)
    i = int(rng.integers(5))
    class_share[i] = np.eye(4)[rng.integers(4)]
    before = novelty(state_with(class_share, experience))
    after = novelty(state_with(class_share, experience + 5 * (np.arange(5) == i)))
    assert after[i] < before[i]


def test_an_absent_client_has_none_and_changes_nothing():
    two = novelty(state_with([[1, 0], [0.25, 0.75]], [3, 1]))
    three = novelty(state_with([[1, 0], [0.25, 0.75], [0, 0]], [3, 1, 0], [0.5, 0.5, 0.0]))
    assert three == pytest.approx([*two, 0.0])


def test_a_batch_is_its_worlds():
    rng = np.random.default_rng(0)
    states = [state_with(rng.dirichlet(np.ones(3), 4), rng.integers(0, 5, 4)) for _ in range(3)]
    batch = states[0].repeat(3)
    for name in ("class_share", "experience"):
        getattr(batch, name)[:] = [getattr(state, name) for state in states]
    assert np.array_equal(novelty(batch), [novelty(state) for state in states])


def test_unified_by_novelty_takes_the_client_of_rare_classes():
    """The last client is slow, alone has class 1 and never took part. Losses say the contrary."""
    state = state_with(
        [[1, 0], [1, 0], [1, 0], [0, 1]],
        [5, 5, 5, 0],
        client_hz=np.array([1e8, 1e8, 1e8, 2e7]),
        client_loss=np.array([2.0, 2.0, 2.0, 0.1]),
        available=np.ones(4, bool),
    )

    def chosen(rule):
        prospect = Prospect(
            state, 0.0, lambda s, who, phi: equal_shares(s, Plan(2, phi), who), np.random.default_rng(0)
        )
        return set(np.flatnonzero(rule(prospect)).tolist())

    assert 3 in chosen(Unified(1.0, diversity="novelty"))
    assert 3 not in chosen(Unified(1.0))
