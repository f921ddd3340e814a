"""Whatever stands in a decision or an argument: it is played, or refused in one line and the world stays as it was."""

from copy import deepcopy
from dataclasses import fields, replace

import gymnasium as gym
import numpy as np
import pytest
from cases import attempt, cases, watchdog
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays, scalar_dtypes

import splitgym  # noqa: F401 - registers the environment
from splitgym import allocation
from splitgym.inputs import InputError
from splitgym.timing import round_cost
from splitgym.types import Decision, Plan

WRONG_NUMBERS = st.one_of(
    st.sampled_from([0, 99, 10**9, 2**63, 10**40, -1, True, None, "x", 2.0, 1j, np.nan, np.inf, -0.5, 1.5, [1], {}]),
    st.integers(),
    st.floats(),
)
WRONG_ARRAYS = st.one_of(WRONG_NUMBERS, arrays(scalar_dtypes(), array_shapes(min_dims=0, max_dims=3, max_side=9)))


@st.composite
def wrong_entries(draw, array):
    """The array with one entry that may be anything of its kind, or in another type."""
    changed = array.astype(draw(st.sampled_from([array.dtype, np.float64, np.int64, np.int8, object, complex])))
    place = draw(st.integers(0, array.size - 1))
    value = draw(st.sampled_from([-2, -1, 0, 1, 7, 99, 2**31, 2**62, np.nan, np.inf, 1e300, -1e-9]))
    try:
        changed.flat[place] = value
    except (ValueError, OverflowError, TypeError):
        changed.flat[place] = 0
    return changed


@st.composite
def mutated(draw, decision):
    """The decision with one or two fields that may not fit."""
    names = st.sampled_from([field.name for field in fields(Decision)])
    changes = {}
    for name in draw(st.lists(names, min_size=1, max_size=2, unique=True)):
        value = getattr(decision, name)
        if np.ndim(value):
            of_array = [WRONG_ARRAYS, wrong_entries(value), st.just(value[:-1]), st.just(np.stack([value] * 2))]
            changes[name] = draw(st.one_of(of_array))
        else:
            changes[name] = draw(WRONG_ARRAYS)
    try:
        return replace(decision, **changes)
    except ValueError:  # Not even an array.
        return decision


def snapshot(env):
    state = env.truth
    values = [getattr(state, f.name) for f in fields(state) if f.name != "system"]
    return [np.copy(value) for value in values if value is not None]


def same(one, other):
    return all(np.array_equal(a, b, equal_nan=True) for a, b in zip(one, other, strict=True))


KINDS = (("epsl", "surrogate"), ("psl", "surrogate"), ("psl", "train"), ("cpsl", "train"), ("sl", "train"))
TINY = {"train_samples": 60, "evaluation_samples": 4}
"""Of real training."""


@pytest.fixture(scope="module")
def envs():
    made = {}
    for framework, learner in KINDS:
        task = TINY if learner == "train" else {}
        env = gym.make("SplitLearning-v0", scenario="toy", framework=framework, learner=learner, task=task)
        made[framework, learner] = env.unwrapped
        env.reset(seed=0)
    return made


@given(data=st.data(), kind=st.sampled_from(KINDS))
@cases(80)
def test_a_refused_decision_leaves_the_world_as_it_was(envs, data, kind):
    env = envs[kind]
    env.reset()
    everybody = np.ones(env.scenario.clients.count, bool)
    decision = data.draw(mutated(allocation.descend(env.state, everybody, 0.0)))
    before, copy = snapshot(env), deepcopy(env)
    with watchdog(decision):
        played, line = attempt(lambda: env.play(decision))
    if line is None:
        observation, reward, *_, info = played
        assert env.observation_space.contains(observation)
        assert np.isfinite([reward, info["round_latency_s"], info["energy_j"]]).all()
        return
    assert same(snapshot(env), before)
    action = np.zeros(env.action_space.shape, np.int64)
    ours, theirs = env.step(action), copy.step(action)
    assert ours[4]["round_latency_s"] == theirs[4]["round_latency_s"]
    assert same(snapshot(env), snapshot(copy))


def weights(selected):
    """1 for those that are selected; what is no number stays what it is."""
    return selected * 1.0 if selected.dtype.kind in "biuf" else selected


FUNCTIONS = {
    "round_cost": lambda state, d, _: round_cost(state, d),
    "project_power": lambda state, d, _: allocation.project_power(d, state),
    "best_cut": lambda state, d, _: allocation.best_cut(state, d),
    "unserved": lambda state, d, _: allocation.unserved(state, d),
    "descent": lambda state, d, _: allocation.descent(state, d.selected, d.aggregation_ratio),
    "descent held": lambda state, d, _: allocation.descent(
        state, d.selected, d.aggregation_ratio, cut_layer=d.cut_layer, assignment=d.assignment, cluster=d.cluster
    ),
    "allocate": lambda state, d, _: allocation.allocate(state, d.plan, d.selected),
    "paper_descend": lambda state, d, _: allocation.paper_descend(state, d.selected, d.aggregation_ratio),
    "clusters_for": lambda state, d, _: allocation.clusters_for(state, d.plan, d.selected),
    "form_clusters": lambda state, d, _: allocation.form_clusters(state, d.plan, d.selected),
    "control_power": lambda state, d, _: allocation.control_power(state, d.plan, d.assignment),
    "even_psd": lambda state, d, _: allocation.even_psd(state, d.assignment),
    "greedy_subchannels": lambda state, d, _: allocation.greedy_subchannels(state, d.plan, d.selected),
    "equal_shares": lambda state, d, _: allocation.equal_shares(state, d.plan, d.selected),
    "strongest_signal": lambda state, d, _: allocation.strongest_signal(state, d.selected),
    "proportional_fair": lambda state, d, _: allocation.proportional_fair(state, d.selected),
    "at_random": lambda state, d, rng: allocation.at_random(state, d.selected, rng),
    "pooled_batch_sizes": lambda state, d, rng: allocation.pooled_batch_sizes(state, d.selected, d.batch_size, rng),
    "lower_bound": lambda state, d, _: allocation.lower_bound(state, d.selected, d.aggregation_ratio),
    "exhaustive": lambda state, d, _: allocation.exhaustive(state, d.selected, d.aggregation_ratio),
    "exact": lambda state, d, _: allocation.exact(state, d.selected, d.aggregation_ratio),
    "exact_subchannels": lambda state, d, _: allocation.exact_subchannels(state, d.plan, d.selected, d.power_w_per_hz),
    "fast_decision": lambda state, d, rng: allocation.fast_decision(state, d.plan, d.selected, rng),
    "best_utility": lambda state, d, _: allocation.best_utility(
        state.batch(), weights(d.selected)[None], np.ones(1), d.plan
    ),
}


@given(data=st.data(), kind=st.sampled_from(KINDS), name=st.sampled_from(sorted(FUNCTIONS)))
@cases(150)
def test_functions_in_front_of_kernels_answer_or_refuse_in_one_line(envs, data, kind, name):
    env = envs[kind]
    state, everybody = env.state, np.ones(env.scenario.clients.count, bool)
    decision = data.draw(mutated(allocation.equal_shares(state, Plan(1, 0.0), everybody)))
    with watchdog((name, decision)):
        attempt(lambda: FUNCTIONS[name](state, decision, np.random.default_rng(0)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"cut_layer": 10**9}, r"Decision\.cut_layer = 1000000000, allowed: 1\.\.2"),
        ({"cut_layer": 0}, r"Decision\.cut_layer = 0, allowed: 1\.\.2"),
        ({"cut_layer": True}, r"Decision\.cut_layer = True, allowed: 1\.\.2"),
        ({"assignment": np.array([0])}, r"Decision\.assignment has shape \(1,\), allowed: \(2,\)"),
        ({"assignment": np.array([0, 99])}, r"Decision\.assignment\[1\] = 99, allowed: -1 \(unused\) or 0\.\.1"),
        ({"power_w_per_hz": np.array([1e-9, -1.0])}, r"Decision\.power_w_per_hz\[1\] = -1\.0, allowed: 0\.\."),
        ({"power_w_per_hz": np.array([1, 1j])}, r"Decision\.power_w_per_hz = .*, allowed: numbers"),
        ({"selected": np.array(["a", "b"])}, r"Decision\.selected = .*, allowed: bool array"),
        ({"selected": np.array([True, None])}, r"Decision\.selected = .*, allowed: bool array"),
        ({"aggregation_ratio": 5.0}, r"Decision\.aggregation_ratio = 5\.0, allowed: 0\.\.1"),
        ({"aggregation_ratio": np.nan}, r"Decision\.aggregation_ratio = nan, allowed: 0\.\.1"),
    ],
)
def test_round_cost_names_field_value_and_what_is_allowed(envs, change, message):
    state = envs["psl", "surrogate"].state
    decision = allocation.equal_shares(state, Plan(1, 0.0), np.ones(2, bool))
    with pytest.raises(InputError, match=f"^{message}"):
        round_cost(state, replace(decision, **change))


@pytest.mark.parametrize("learner", ["train", "surrogate"])
def test_both_learners_refuse_a_phi_that_the_framework_does_not_do(envs, learner):
    env = envs["psl", learner]
    env.reset()
    before = snapshot(env)
    decision = allocation.equal_shares(env.state, Plan(1, 0.5), np.ones(2, bool))
    with pytest.raises(InputError, match=r"^Decision\.aggregation_ratio = 0\.5, allowed with this framework: 0$"):
        env.play(decision)
    assert same(snapshot(env), before)


def test_numbers_of_narrow_types_mean_the_same(envs):
    state = envs["epsl", "surrogate"].state
    decision = allocation.equal_shares(state, Plan(1, 0.5), np.ones(2, bool))
    narrow = replace(
        decision,
        cut_layer=np.int8(1),
        assignment=decision.assignment.astype(np.int8),
        power_w_per_hz=np.asarray(decision.power_w_per_hz, ">f8"),
        aggregation_ratio=np.float16(0.5),
        cluster=np.asarray(decision.cluster, np.uint8),
    )
    assert round_cost(state, narrow).latency_s == round_cost(state, decision).latency_s
    np.testing.assert_array_equal(allocation.project_power(narrow, state)[0].power_w_per_hz, decision.power_w_per_hz)


def test_a_world_that_is_played_by_itself_refuses_too(envs):
    env = envs["psl", "surrogate"]
    env.reset()
    world, decision = env.fork(), allocation.equal_shares(env.state, Plan(1, 0.0), np.ones(2, bool)).batch()
    with pytest.raises(InputError, match=r"^Decision\.cut_layer = 99, allowed: 1\.\.2$"):
        world.play(replace(decision, cut_layer=np.array([99])))
    np.testing.assert_array_equal(world.truth.channel_gain[0], env.truth.channel_gain)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda s, all_in: allocation.descent(s, all_in, 2.0), r"aggregation_ratio = 2\.0, allowed: 0\.\.1"),
        (lambda s, all_in: allocation.paper_descend(s, all_in, 2.0), r"aggregation_ratio = 2\.0, allowed: 0\.\.1"),
        (lambda s, _: allocation.descend(s, [True, True], 0.0), r"selected = \[True, True\], allowed: a numpy array"),
        (lambda s, all_in: allocation.allocate(s, Plan(2.0, 0.0), all_in), r"cut_layer = 2\.0, allowed: 1\.\.2"),
        (lambda s, all_in: allocation.descend(s.batch(), all_in, 0.0), r"selected has shape \(2,\), allowed: \(1, 2\)"),
        (lambda s, all_in: allocation.exact(s.batch(), all_in, 0.0), r"state is of 1 worlds, allowed: of one"),
        (lambda s, all_in: allocation.descent(s, all_in, 0.0, power="most"), r"power = 'most', allowed: 'control'"),
        (
            lambda _, all_in: allocation.descend(None, all_in, 0.0),
            r"state = None, allowed: a splitgym\.types\.RoundState",
        ),
        (
            lambda s, all_in: allocation.descend(replace(s, client_hz=s.client_hz[:1]), all_in, 0.0),
            r"state\.client_hz has shape \(1,\), allowed: \(2,\)",
        ),
        (lambda s, all_in: next(allocation.descent_steps(s, all_in, 0.0, -1.0)), r"tolerance = -1\.0, allowed: 0\.\.1"),
    ],
)
def test_allocation_names_argument_value_and_what_is_allowed(envs, call, message):
    with pytest.raises(InputError, match=f"^{message}"):
        call(envs["psl", "surrogate"].state, np.ones(2, bool))
