"""What a round makes of a decision; expectations are written out here."""

from dataclasses import fields, replace

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import splitgym  # noqa: F401 - registers the environment
from splitgym.allocation import allocate, form_clusters
from splitgym.allocation.legalise import legalise_unchecked, with_clusters
from splitgym.types import Decision, Plan

OWN_CUTS = {
    "scenario": "toy",
    "clients": {"count": 3},
    "radio": {"subchannels": 4},
    "plan": {"cut_layer": "by-client"},
}


def started(framework="epsl", **arguments):
    env = gym.make("SplitLearning-v0", framework=framework, disable_env_checker=True, **arguments).unwrapped
    env.reset(seed=1)
    env.action_space.seed(1)
    return env


OWN, COMMON = started(**OWN_CUTS), started(scenario="toy")
CLUSTERED = started("cpsl", scenario="iot", training={"clusters": 2})


def same(one, other):
    return all(np.array_equal(getattr(one, f.name), getattr(other, f.name)) for f in fields(one))


@given(
    cuts=st.lists(st.integers(1, 2), min_size=3, max_size=3), selected=st.lists(st.booleans(), min_size=3, max_size=3)
)
def test_phi_is_0_where_selected_clients_are_cut_differently(cuts, selected):
    decision = replace(
        OWN.decode(np.zeros(OWN.action_space.shape, np.int64)),
        cut_layer=np.array(cuts),
        selected=np.array(selected),
        aggregation_ratio=0.5,
    )
    legal, _ = legalise_unchecked(decision, OWN.state)
    alike = len({cut for cut, chosen in zip(cuts, selected, strict=True) if chosen}) < 2
    assert legal.aggregation_ratio == (0.5 if alike else 0.0)
    both = Decision.stack([decision, replace(decision, cut_layer=np.array([2, 2, 2]))])
    legal, projected = legalise_unchecked(both, OWN.state.repeat(2))
    assert legal.aggregation_ratio.tolist() == [0.5 if alike else 0.0, 0.5]
    assert projected.tolist() == [False, False]


@given(said=st.floats(0, 1), prescribed=st.sampled_from([0.0, 0.25, 1.0]))
def test_a_prescribed_phi_counts(said, prescribed):
    decision = replace(COMMON.decode(np.zeros(COMMON.action_space.shape, np.int64)), aggregation_ratio=said)
    assert legalise_unchecked(decision, COMMON.state)[0].aggregation_ratio == said
    state = replace(COMMON.state, prescribed_ratio=prescribed)
    assert legalise_unchecked(decision, state)[0].aggregation_ratio == prescribed


@pytest.mark.parametrize("env", [OWN, COMMON, CLUSTERED])
def test_a_legal_decision_stays_as_it_is(env):
    """Legal by construction: the powers are a thousandth of what the budgets allow."""
    for _ in range(5):
        decision = env.decode(env.action_space.sample())
        quiet = replace(decision, power_w_per_hz=np.where(decision.assignment < 0, 0.0, 1e-3 / 180e3 / 8))
        quiet = replace(quiet, selected=np.ones_like(quiet.selected), aggregation_ratio=0.0)
        legal, projected = legalise_unchecked(quiet, env.state)
        assert same(legal, quiet)
        assert projected is False


def test_clusters_are_formed_where_a_decision_names_none_and_kept_where_it_has_them():
    state, everybody = CLUSTERED.state, np.ones(8, bool)
    allocated = allocate(state, Plan(1), everybody)
    assert set(allocated.cluster) == {0, 1}
    assert same(with_clusters(allocated, state), allocated)
    plain = replace(CLUSTERED.decode(CLUSTERED.action_space.sample()), selected=everybody, cluster=np.zeros(8, int))
    formed = with_clusters(plain, state).cluster
    np.testing.assert_array_equal(formed, form_clusters(state, plain.plan, everybody))
    assert legalise_unchecked(plain, state)[0].cluster.tolist() == [0] * 8
