"""Rules by name: every selection with every allocation, the paper's ablations, and what a name with options says."""

import pickle
from functools import partial

import gymnasium as gym
import numpy as np
import pytest
from drawn import drawn

from splitgym import schedulers
from splitgym.allocation.baselines.allocators import equal_shares, strongest_signal
from splitgym.allocation.descent.descent import descend
from splitgym.allocation.selection.rules import SELECTIONS
from splitgym.schedulers.allocations import ALLOCATIONS
from splitgym.schedulers.rule import Rule
from splitgym.timing import round_cost
from splitgym.types import Plan


def started(scenario="iot", seed=0, framework="epsl", **options):
    """An environment at its first round; nobody times out, and two rounds are always left."""
    episode = {"round_timeout_s": 1e5, "time_budget_s": 1e6}
    env = gym.make("SplitLearning-v0", scenario=scenario, framework=framework, **{"episode": episode, **options})
    env.reset(seed=seed)
    env.action_space.seed(seed)
    return env.unwrapped


def same(a, b):
    names = ("cut_layer", "assignment", "power_w_per_hz", "selected", "aggregation_ratio")
    return all(np.array_equal(getattr(a, name), getattr(b, name)) for name in names)


def spent_w(state, decision):
    """[C] transmit power of each client."""
    power = decision.power_w_per_hz * state.subchannel_hz
    return np.array([power[decision.assignment == i].sum() for i in range(len(state.available))])


@pytest.mark.parametrize(("selection", "allocation", "framework"), drawn(60, SELECTIONS, ALLOCATIONS, ["epsl", "cpsl"]))
def test_every_selection_goes_with_every_allocation(selection, allocation, framework):
    env = started(seed=1, framework=framework, clients={"dropout_probability": 0.3})
    agent = Rule(env, selection, allocation)
    for _ in range(2):
        _, _, _, _, info = env.play(agent.decide(env.state))
        assert not info["projected"]
        assert info["selected"].any()
        assert info["participants"].any()


@pytest.mark.parametrize("subchannels", [3, 20])
@pytest.mark.parametrize("name", ALLOCATIONS)
def test_as_many_are_served_as_there_are_subchannels(name, subchannels):
    for seed in range(3):
        env = started(seed=seed, radio={"subchannels": subchannels})
        state = env.state
        decision = Rule(env, allocation=name).decide(state)
        cost = round_cost(state, decision)
        assert decision.selected.all()
        assert cost.participants.sum() == min(subchannels, 8)
        assert cost.without_subchannel.sum() == max(8 - subchannels, 0)


# Allocations ------------------------------------------------------------------------------------------------------


def test_ablation_a_draws_cut_and_subchannels_and_spreads_the_power():
    env = started(radio={"subchannels": 12, "total_power_max_dbm": 20.0})
    agent, state = schedulers.make("ablation-a", env), env.state
    seen = [agent.decide(state) for _ in range(60)]
    assert {d.cut_layer for d in seen} == {1, 2, 3}
    assert len({tuple(d.assignment) for d in seen}) > 50
    for decision in seen:
        assert decision.selected.all()
        # 100 mW for all eight together.
        np.testing.assert_allclose(spent_w(state, decision), 0.1 / 8, rtol=1e-12)


def test_what_is_drawn_repeats_itself_through_the_seed_of_the_action_space():
    def drawn(name, seed):
        env = started()
        env.action_space.seed(seed)
        agent = schedulers.make(name, env)
        return [agent.decide(env.state) for _ in range(4)]

    for name in ("ablation-a", "ablation-b", "ablation-c-random", "random-k"):
        assert all(map(same, drawn(name, 3), drawn(name, 3)))
        assert not all(map(same, drawn(name, 3), drawn(name, 4)))


def test_ablation_b_optimises_the_rest_at_a_random_cut():
    env = started()
    agent, state = schedulers.make("ablation-b", env), env.state
    seen = [agent.decide(state) for _ in range(30)]
    assert {d.cut_layer for d in seen} == {1, 2, 3}
    best = {cut: descend(state, state.available, 0.0, cut_layer=cut) for cut in (1, 2, 3)}
    assert all(same(decision, best[decision.cut_layer]) for decision in seen)


def test_ablation_c_deals_by_signal_strength_and_optimises_the_rest():
    env = started(radio={"subchannels": 12})
    state = env.state
    decision = schedulers.make("ablation-c", env).decide(state)
    owners = strongest_signal(state, state.available)
    assert decision.assignment.tolist() == owners.tolist()
    even = schedulers.make("received-signal-strength", env).decide(state)
    assert even.assignment.tolist() == owners.tolist()
    assert round_cost(state, decision).latency_s < round_cost(state, even).latency_s
    drawn = [schedulers.make("ablation-c-random", env).decide(state) for _ in range(5)]
    assert len({tuple(d.assignment) for d in drawn}) == 5


def test_ablation_d_spends_the_same_for_everybody():
    env = started(radio={"subchannels": 12, "total_power_max_dbm": 20.0})
    state = env.state
    np.testing.assert_allclose(spent_w(state, schedulers.make("ablation-d", env).decide(state)), 0.1 / 8, rtol=1e-9)
    assert np.ptp(spent_w(state, schedulers.make("greedy", env).decide(state))) > 1e-3


def test_all_of_it_is_better_than_every_ablation():
    """Mean over cells of the latency, relative to the descent's."""
    latency = {name: [] for name in ("greedy", "paper-greedy", *(n for n in ALLOCATIONS if n.startswith("ablation")))}
    for seed in range(8):
        env = started(seed=seed)
        for name, seconds in latency.items():
            seconds.append(float(round_cost(env.state, schedulers.make(name, env).decide(env.state)).latency_s))
    best = np.array(latency.pop("greedy"))
    for name, seconds in latency.items():
        assert np.all(np.array(seconds) >= best * (1 - 1e-9)), name
        assert np.mean(np.array(seconds) / best) > 1.01, name


def test_simple_rules_take_the_best_cut_and_fixed_takes_its_own():
    for seed in range(3):
        env = started(seed=seed)
        state = env.state
        each = [equal_shares(state, Plan(cut, 0.0), state.available) for cut in (1, 2, 3)]
        best = min(each, key=lambda d: round_cost(state, d).latency_s)
        assert same(schedulers.make("equal-shares", env).decide(state), best)
        for cut, decision in zip((1, 2, 3), each, strict=True):
            assert same(schedulers.make("fixed", env, cut_layer=cut).decide(state), decision)
            assert same(schedulers.make("equal-shares", env, cut_layer=cut).decide(state), decision)


def test_round_robin_begins_with_the_next_in_every_round():
    env = started("toy", radio={"subchannels": 3})
    agent, owners = schedulers.make("round-robin", env), []
    for _ in range(3):
        decision = agent.decide(env.state)
        owners.append(decision.assignment.tolist())
        env.play(decision)
    assert owners == [[0, 1, 0], [1, 0, 1], [0, 1, 0]]


@pytest.mark.parametrize("name", ["greedy", "ablation-b", "fastest-k"])
def test_a_cut_layer_that_is_given_is_held(name):
    env = started()
    agent = schedulers.make(name, env, cut_layer=3)
    assert {agent.decide(env.state).cut_layer for _ in range(5)} == {3}


@pytest.mark.parametrize("cut_layer", [0, 4, 1.5, True, "1"])
def test_a_cut_layer_that_there_is_not_is_refused(cut_layer):
    with pytest.raises(ValueError, match=r"cut_layer = .*, allowed: 1\.\.3"):
        schedulers.make("greedy", started(), cut_layer=cut_layer)


# Selections -------------------------------------------------------------------------------------------------------


def test_selection_by_name_selects_by_its_parameters():
    env = started()
    for _ in range(2):
        env.play(schedulers.make("random-k", env, k=3).decide(env.state))
    state = env.state
    worst = np.argsort(-state.client_loss, kind="stable")
    for k in (1, 3, 8):
        decision = schedulers.make("highest-loss-k", env, k=k, allocation="equal-shares").decide(state)
        assert set(np.flatnonzero(decision.selected)) == set(worst[:k])
    assert schedulers.make("highest-loss-k", env).decide(state).selected.sum() == 4
    assert same(
        schedulers.make("greedy", env, selection="highest-loss-k", k=2).decide(state),
        schedulers.make("highest-loss-k", env, k=2, allocation="descent").decide(state),
    )


@pytest.mark.parametrize("allocation", ["descent", "equal-shares", "proportional-fair"])
def test_selection_by_a_deadline_looks_at_the_allocation_that_is_played(allocation):
    for seed in range(4):
        env = started(seed=seed)
        state = env.state
        everybody = schedulers.make("deadline", env, allocation=allocation, deadline_s=1e4).decide(state)
        assert everybody.selected.all()
        deadline_s = 0.5 * float(round_cost(state, everybody).latency_s)
        decision = schedulers.make("deadline", env, allocation=allocation, deadline_s=deadline_s).decide(state)
        assert round_cost(state, decision).latency_s <= deadline_s or decision.selected.sum() == 1
        assert 1 <= decision.selected.sum() < 8


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("greedy", {}),
        ("highest-loss-k", {"k": 3, "allocation": "ablation-a"}),
        ("fixed", {"selection": "unified", "w": 1}),
    ],
)
def test_schedulers_are_made_in_other_processes(name, options):
    text = ",".join(f"{option}={value}" for option, value in options.items())
    for made in (partial(schedulers.make, name, **options), schedulers.factory(f"{name}:{text}" if text else name)):
        make = pickle.loads(pickle.dumps(made))
        here, there = started(), started()
        assert same(schedulers.make(name, here, **options).decide(here.state), make(there).decide(there.state))


# Names with options -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "name", "options"),
    [
        ("greedy", "greedy", {}),
        ("highest-loss-k:k=3", "highest-loss-k", {"k": 3}),
        (
            "deadline:deadline_s=4.5,allocation=equal-shares",
            "deadline",
            {"deadline_s": 4.5, "allocation": "equal-shares"},
        ),
        ("greedy:selection=unified,w=1e-1", "greedy", {"selection": "unified", "w": 0.1}),
        ("unified:deadline_s=null", "unified", {"deadline_s": None}),
        ("look-ahead:candidates=a=b,until=true", "look-ahead", {"candidates": "a=b", "until": True}),
        ("look-ahead:candidates=[1]", "look-ahead", {"candidates": "[1]"}),
    ],
)
def test_text_becomes_name_and_options(text, name, options):
    assert schedulers.parse(text) == (name, options)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("gredy:selection=unified", ("'gredy'", "did you mean 'greedy'?")),
        ("", ("''", "greedy")),
        ("greedy:", ("'greedy:'", "name:option=value")),
        ("greedy:k", ("'k'", "name:option=value")),
        ("greedy:=3", ("'=3'", "name:option=value")),
        ("fastest-k:k=", ("'k='", "name:option=value")),
        ("fastest-k:k=3,", ("''", "name:option=value")),
        ("fastest-k:k=3,k=4", ("'k'", "twice")),
        ("greedy:k=3", ("greedy", "'k'", "options allowed: selection, cut_layer")),
        ("greedy:selection=fast", ("selection = 'fast'", "fastest-k")),
        ("ppo:policy=x", ("scheduler 'ppo' is unknown", "allowed: ")),
    ],
)
def test_text_that_names_no_scheduler_is_one_clear_error(text, words):
    with pytest.raises(ValueError, match=r"^[^\n]+$") as caught:
        schedulers.parse(text)
    assert all(word in str(caught.value) for word in words), str(caught.value)


@pytest.mark.parametrize("options", [{"k": 3}, {"k": 1, "candidates": 3}])
def test_more_clients_than_there_are_is_refused(options):
    env = gym.make("SplitLearning-v0", scenario="toy", learner="surrogate")
    with pytest.raises(ValueError, match=r"= 3 of 2 clients, allowed: 1\.\.2"):
        schedulers.make("highest-loss-k", env, **options)
