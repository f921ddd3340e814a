"""The index rule: limit cases that are other rules, the same in one world and in many, refusals."""

import gymnasium as gym
import numpy as np
import pytest

from splitgym import schedulers
from splitgym.allocation.descent.descent import allocate
from splitgym.envs.actions.components import LatencyExponent
from splitgym.envs.actions.priority import PriorityCodec
from splitgym.schedulers.index import FEATURES, Index, index_decisions, standardised
from splitgym.timing.cost import round_cost
from splitgym.types import Plan


def started(seed=0, rounds=0, **options):
    env = gym.make("SplitLearning-v0", scenario="iot", action="priority", learner="surrogate", **options).unwrapped
    env.reset(seed=seed)
    env.action_space.seed(seed)
    for _ in range(rounds):
        env.step(env.action_space.sample())
    return env


def same(one, other):
    fields = ("cut_layer", "aggregation_ratio", "assignment", "power_w_per_hz", "selected")
    return all(np.array_equal(getattr(one, field), getattr(other, field)) for field in fields)


@pytest.mark.parametrize("seed", range(3))
def test_without_weights_it_is_what_an_untouched_action_says(seed):
    """Entry 0 is weight 1, exponent entry 0 is p = 1; the first cut layer is the first part of -1..1."""
    env = started(seed, rounds=3)
    action = np.zeros(env.action_space.shape, np.float32)
    action[env.action_space.names.index("cut_layer")] = -1.0
    assert same(schedulers.make("index", env).decide(env.state), env.decode(action))


@pytest.mark.parametrize("seed", range(4))
def test_with_the_weight_of_speed_alone_it_selects_the_fastest(seed):
    env = started(seed, rounds=2)
    state = env.state
    selected = schedulers.make("index", env, speed=1.0, latency_exponent=1.5).decide(state).selected
    fastest = schedulers.make("fastest-k", env, k=int(selected.sum()), cut_layer=1).decide(state)
    assert np.array_equal(selected, fastest.selected)


def test_clients_whose_entries_are_at_the_lower_end_are_left_out():
    env = started(3, rounds=3)
    state = env.state
    selected = schedulers.make("index", env, novelty=-100.0, latency_exponent=0.0).decide(state).selected
    novelty = FEATURES["novelty"](state.batch(), None)[0]
    assert np.array_equal(selected, state.available & (novelty < novelty[state.available].mean()))


def test_exponent_moves_with_accuracy():
    env = started(1, rounds=10)
    state = env.state
    assert state.accuracy > 0
    exact = schedulers.make("index", env, latency_exponent=float(0.5 + 0.4 * state.accuracy)).decide(state)
    assert same(schedulers.make("index", env, latency_exponent=0.5, late_exponent=0.4).decide(state), exact)


def test_offset_and_exponent_move_with_the_number_of_available_clients():
    env = started(1, rounds=10)
    state = env.state
    size = np.log(state.available.sum() / 10)
    assert size < 0
    others = {"speed": 0.4, "novelty": 0.3}
    exact = {"offset": float(0.2 - 0.3 * size), "latency_exponent": float(0.9 + 0.5 * size)}
    by_size = {"offset": 0.2, "offset_by_size": -0.3, "latency_exponent": 0.9, "exponent_by_size": 0.5}
    decision = schedulers.make("index", env, **by_size, **others).decide(state)
    assert same(decision, schedulers.make("index", env, **exact, **others).decide(state))


def test_many_worlds_decide_as_each_by_itself():
    env = started(2, rounds=4)
    rng, state = np.random.default_rng(0), env.state
    rules = [
        Index(
            env,
            cut_layer=int(cut),
            aggregation_ratio=0.5 * (cut > 1),
            offset_by_size=float(weight) / 2,
            exponent_by_size=-float(weight),
            **dict.fromkeys(FEATURES, float(weight)),
        )
        for cut, weight in zip(rng.integers(1, 3, 6), rng.normal(size=6), strict=True)
    ]
    together = type(rules[0].indices)(*map(np.concatenate, zip(*(rule.indices for rule in rules), strict=True)))
    decisions = index_decisions(env.codec("priority"), state.repeat(6), together)
    for number, rule in enumerate(rules):
        assert same(decisions.world(number), rule.decide(state))


@pytest.mark.parametrize("scenario", ["iot", "wearables", "stragglers"])
def test_action_says_the_whole_decision_where_it_can_say_weights(scenario):
    env = gym.make("SplitLearning-v0", scenario=scenario, framework="psl", action="priority", learner="surrogate")
    env = env.unwrapped
    observation, info = env.reset(seed=5)
    rule = Index(env, speed=0.7, diversity=0.3, absence=-0.2, late_exponent=0.2)
    for _ in range(6):
        assert same(env.decode(rule.act(observation, info)), rule.decide(env.state))
        observation, *_, info = env.step(rule.act(observation, info))


class WithoutExponent(PriorityCodec):
    """An encoding of one's own: `priority`, but the latency exponent is held."""

    def parts(self, scenario, system, framework):
        return [part for part in super().parts(scenario, system, framework) if not isinstance(part, LatencyExponent)]

    def decide(self, said, state):
        return super().decide({**said, "latency_exponent": np.ones(len(state.available))}, state)


def test_action_in_an_encoding_that_is_derived_from_priority_is_one_of_that_encoding():
    env = gym.make("SplitLearning-v0", scenario="iot", action=WithoutExponent, learner="surrogate").unwrapped
    observation, info = env.reset(seed=3)
    rule = Index(env, speed=1.0)
    action = rule.act(observation, info)
    assert env.action_space.contains(action)
    assert np.array_equal(env.decode(action).selected, rule.decide(env.state).selected)


def test_action_of_a_tuned_index_is_that_of_the_index():
    env = started(4, rounds=3)
    tuned = schedulers.make("tuned", env, rule="index")
    assert same(env.decode(tuned.act(env.observe(), {})), tuned.decide(env.state))


def test_action_says_the_placement_of_the_decision():
    options = {"scenario": "highway", "framework": "multi-hop", "action": "priority", "learner": "surrogate"}
    env = gym.make("SplitLearning-v0", **options).unwrapped
    observation, info = env.reset(seed=3)
    rule = Index(env, speed=1.0, placement="best")
    for _ in range(6):
        decision, action = rule.decide(env.state), rule.act(observation, info)
        assert env.decode(action).placement == decision.placement
        observation, *_, info = env.step(action)


def test_placements_are_chosen_as_rules_choose_them():
    options = {"scenario": "highway", "framework": "multi-hop", "action": "priority", "learner": "surrogate"}
    env = gym.make("SplitLearning-v0", **options).unwrapped
    env.reset(seed=0)
    count = env.system.program.plans.placements
    held = [schedulers.make("index", env, placement=k).decide(env.state) for k in range(count)]
    assert [int(decision.placement) for decision in held] == list(range(count))
    names, action = env.action_space.names, np.zeros(env.action_space.shape, np.float32)
    action[names.index("cut_layer")], action[names.index("placement[3]")] = -1.0, 1.0
    assert same(held[3], env.decode(action))
    best = schedulers.make("index", env, placement="best").decide(env.state)
    assert np.array_equal(best.selected, held[0].selected)
    costs = [
        round_cost(env.state, allocate(env.state.batch(), Plan(1, 0.0, placement=k), best.selected[None]).world(0))
        for k in range(count)
    ]
    assert int(best.placement) == min(range(count), key=lambda k: (-costs[k].participants.sum(), costs[k].latency_s))


def test_standardised_over_those_available():
    values, available = np.array([[1.0, 3.0, 100.0], [2.0, 2.0, 7.0]]), np.array([[True, True, False]] * 2)
    assert np.allclose(standardised(values, available), [[-1.0, 1.0, 0.0], [0.0, 0.0, 0.0]])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"weight": 1.0}, "no option 'weight', options allowed: cut_layer, .*speed"),
        ({"speed": float("nan")}, "speed = nan, allowed: finite numbers"),
        ({"cut_layer": 0}, r"cut_layer = 0, allowed: 1\.\."),
        ({"latency_exponent": 3.0}, r"latency_exponent = 3.0, allowed: 0\.\.2"),
        ({"aggregation_ratio": 2}, r"aggregation_ratio = 2, allowed: 0\.\.1"),
        ({"placement": 1}, r"placement = 1, allowed: None, as nobody decides it"),
    ],
)
def test_what_is_not_allowed_is_refused(options, said):
    with pytest.raises(ValueError, match=said):
        schedulers.make("index", started(), **options)


def test_private_labels_are_not_read():
    env = started(knowledge={"labels": "private"})
    with pytest.raises(ValueError, match=r"novelty = 0.1 reads what comes from labels"):
        schedulers.make("index", env, novelty=0.1)
    assert schedulers.make("index", env, speed=0.1, novelty=0.0).decide(env.state).selected.any()
