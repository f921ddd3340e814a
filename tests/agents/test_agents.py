"""Every agent acts inside the space, is repeatable, and speaks Stable-Baselines3's `predict`."""

from functools import partial

import gymnasium as gym
import numpy as np
import pytest
from drawn import drawn
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.monitor import Monitor

import agents
from agents import algorithms
from splitgym import schedulers
from splitgym.allocation import descend
from splitgym.timing import round_cost

ENCODINGS = ("discrete", "continuous", "schedule", "priority")
LEARNED = tuple(algorithms.ALGORITHMS)
NAMES = tuple(name for name in agents.names() if name not in ("gpsl", "rollout", "untrained"))
"""Without the rule that needs batch sizes of the clients' own, the planner that needs a calibration, and controls."""
HEURISTICS = tuple(name for name in NAMES if name not in (*LEARNED, "look-ahead", "tuned"))
"""Without the oracle, which does not decide from what may be believed, and other rules by their tuned parameters."""
RULES = tuple(name for name in HEURISTICS if name not in ("random", "best-fixed"))


def make_env(scenario="toy", action="discrete", **options):
    return gym.make("SplitLearning-v0", scenario=scenario, action=action, **options)


def started(*arguments, seed=0, **options):
    env = make_env(*arguments, **options)
    env.reset(seed=seed)
    return env


def make(name, env, policies):
    own = {"best-fixed": {"scenario": "toy"}, "tuned": {"rule": "unified", "scenario": "iot"}}
    return agents.make(name, env, **({"policy": policies[name]} if name in LEARNED else own.get(name, {})))


@pytest.mark.parametrize(
    ("name", "action"),
    [
        *((name, algorithms.get(name).actions[0]) for name in LEARNED),
        *drawn(48, [name for name in NAMES if name not in LEARNED], ENCODINGS),
    ],
)
def test_agent_acts_inside_the_space(name, action, policies):
    env = make_env(action=action)
    agent = make(name, env, policies)
    env.action_space.seed(0)
    observation, info = env.reset(seed=0)
    for _ in range(4):
        chosen = agent.act(observation, info)
        assert env.action_space.contains(chosen)
        observation, _, _, _, info = env.step(chosen)
        if name not in LEARNED:
            assert info["participants"].any()


@pytest.mark.parametrize(("name", "framework"), drawn(50, HEURISTICS, ["epsl", "psl", "cpsl", "sl", "centralised"]))
def test_heuristics_decide_within_the_budgets_for_clients_that_are_there(name, framework):
    env = started("iot", framework=framework, clients={"dropout_probability": 0.3}, seed=5).unwrapped
    agent = agents.make(name, env)
    for _ in range(4):
        state = env.state
        decision = agent.decide(state)
        assert not (decision.selected & ~state.available).any()
        assert decision.selected.any() or not state.available.any()
        if name not in ("random", "best-fixed"):
            assert decision.aggregation_ratio == 0.0
        _, _, terminated, truncated, info = env.play(decision)
        assert not info["projected"]
        if terminated or truncated:
            env.reset()


@pytest.mark.parametrize("name", RULES)
def test_rules_take_the_phi_of_the_scenario_or_what_is_prescribed(name):
    for framework, phi in (("epsl", 0.5), ("psl", 0.0), ("epsl-pt", 1.0)):
        env = started(framework=framework)
        assert agents.make(name, env).decide(env.unwrapped.state).aggregation_ratio == phi


@pytest.mark.parametrize("name", NAMES)
def test_sb3_evaluates_every_agent(name, policies):
    action = algorithms.get(name).actions[0] if name in LEARNED else "schedule"
    env = Monitor(make_env(action=action, episode={"max_rounds": 3}))
    mean, deviation = evaluate_policy(make(name, env, policies), env, n_eval_episodes=2, deterministic=True)
    assert np.isfinite([mean, deviation]).all()


def test_predict_answers_single_and_batched_observations():
    env = started()
    agent = agents.make("greedy", env)
    observation, _ = env.reset(seed=0)
    single, state = agent.predict(observation, state="mine")
    batched, _ = agent.predict(observation[None])
    assert state == "mine"
    assert np.array_equal(batched, single[None])
    with pytest.raises(ValueError, match="2 observations"):
        agent.predict(np.stack([observation, observation]))


@pytest.mark.parametrize("phi", [0.0, 0.5])
def test_greedy_plays_the_decision_of_the_descent(phi):
    env = started("iot", training={"aggregation_ratio": phi}, seed=3).unwrapped
    agent = agents.make("greedy", env)
    for _ in range(3):
        state = env.state
        got, expected = agent.decide(state), descend(state, state.available, phi)
        assert (got.cut_layer, got.aggregation_ratio) == (expected.cut_layer, phi)
        for field in ("assignment", "power_w_per_hz", "selected"):
            assert np.array_equal(getattr(got, field), getattr(expected, field))
        env.play(got)


def test_greedy_is_never_worse_than_fixed_and_mostly_better():
    """Better: more clients in time, then the shorter round."""

    def quality(env, name):
        cost = round_cost(env.truth, agents.make(name, env).decide(env.state))
        return int(cost.participants.sum()), -float(cost.latency_s)

    better = 0
    for seed in range(6):
        env = started("iot", seed=seed).unwrapped
        greedy, fixed = quality(env, "greedy"), quality(env, "fixed")
        assert greedy >= fixed
        better += greedy > fixed
    assert better >= 4


@pytest.mark.parametrize("cut", [1, 2])
def test_fixed_deals_equal_shares_at_its_cut_layer(cut):
    env = started(radio={"subchannels": 4}, action="discrete").unwrapped
    decision = agents.make("fixed", env, cut_layer=cut).decide(env.state)
    assert decision.cut_layer == cut
    assert decision.assignment.tolist() == [0, 1, 0, 1]
    # 1 W for each client over its two subchannels of 1 MHz.
    assert decision.power_w_per_hz == pytest.approx([0.5e-6] * 4)


@pytest.mark.parametrize("cut", [0, 3])
def test_fixed_refuses_a_cut_layer_that_is_not_there(cut):
    with pytest.raises(ValueError, match=rf"cut_layer = {cut}, allowed: 1\.\.2"):
        agents.make("fixed", make_env(), cut_layer=cut)


def decisions_of_random(seed, count=5):
    env = started("iot", seed=1)
    env.action_space.seed(seed)
    agent = agents.make("random", env)
    return [str(vars(agent.decide(env.unwrapped.state))) for _ in range(count)]


def test_random_repeats_itself_through_the_seed_of_the_action_space():
    assert decisions_of_random(3) == decisions_of_random(3)
    assert decisions_of_random(3) != decisions_of_random(4)
    assert len(set(decisions_of_random(3))) > 1


def test_random_uses_everything_it_may_choose():
    env = started(seed=1).unwrapped
    env.action_space.seed(0)
    agent = agents.make("random", env)
    seen = [agent.decide(env.state) for _ in range(200)]
    assert {d.cut_layer for d in seen} == {1, 2}
    assert {d.aggregation_ratio for d in seen} == {0.0, 0.25, 0.5, 0.75, 1.0}
    assert {tuple(d.selected.tolist()) for d in seen} == {(True, False), (False, True), (True, True)}
    assert {tuple(d.assignment.tolist()) for d in seen if d.selected.all()} == {(0, 1), (1, 0)}


def test_random_with_more_clients_than_subchannels_leaves_no_subchannel_unused():
    env = started(clients={"count": 6}).unwrapped
    agent = agents.make("random", env)
    for _ in range(20):
        decision = agent.decide(env.state)
        assert decision.selected[decision.assignment].all()


def one_line(error, call):
    with pytest.raises(error) as caught:
        call()
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("random", {"policy": "x"}, ("random", "'policy'", "allowed: none")),
        ("greedy", {"policy": "x"}, ("greedy", "'policy'", "allowed: selection, cut_layer")),
        ("greedy", {"k": 3}, ("greedy", "'k'", "allowed: selection, cut_layer")),
        ("greedy", {"allocation": "fixed"}, ("greedy", "'allocation'", "allowed: selection, cut_layer")),
        ("greedy", {"selection": "dedline"}, ("selection = 'dedline'", "did you mean 'deadline'?")),
        ("greedy", {"selection": "deadline", "k": 3}, ("'k'", "allowed: selection, cut_layer, deadline_s")),
        ("fastest-k", {"selection": "deadline"}, ("'selection'", "allowed: allocation, cut_layer, k")),
        ("fastest-k", {"allocation": "greedi"}, ("allocation = 'greedi'", "paper-greedy")),
        ("highest-loss-k", {"d": 3}, ("'d'", "allowed: allocation, cut_layer, k, candidates")),
        ("highest-loss-k", {"k": 0}, ("k = 0", "1 or more")),
        ("unified", {"w": 2}, ("w = 2", "0..1")),
        ("fixed", {"cut": 2}, ("fixed", "'cut'", "allowed: selection, cut_layer")),
        ("fixed", {"cut_layer": "1"}, ("cut_layer = '1'", "1..2")),
        ("greedy", {"aggregation_ratio": 2}, ("aggregation_ratio = 2", "0..1")),
        ("ppo", {"deterministic": "yes"}, ("deterministic = 'yes'", "true or false")),
        ("ppo", {"checkpoint": "x.zip"}, ("ppo", "'checkpoint'", "allowed: policy, deterministic")),
        (
            "best-fixed",
            {"scenario": "x"},
            ("'best-fixed' is not tuned for scenario 'x'", "agents.training.tune_rules --scenario FILE.toml"),
        ),
    ],
)
def test_wrong_or_missing_option_is_one_clear_error(name, options, words):
    text = one_line(ValueError, lambda: agents.make(name, make_env(), **options))
    assert all(word in text for word in words), text


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("gredy", "did you mean 'greedy'?"),
        ("highest-loss", "did you mean 'highest-loss-k'?"),
        ("zzz", "ppo, ppo-equivariant"),
        (["greedy"], "agent ['greedy'] is unknown"),
        (None, "agent None is unknown"),
    ],
)
def test_unknown_agent_names_the_nearest_or_all(name, words):
    assert words in one_line(ValueError, lambda: agents.make(name, make_env()))


@pytest.mark.parametrize("name", HEURISTICS)
def test_agents_refuse_an_environment_of_another_kind(name):
    for env in (gym.make("CartPole-v1"), "iot"):
        assert "SplitLearning" in one_line(TypeError, partial(agents.make, name, env))


@pytest.mark.parametrize(
    ("text", "name", "options"),
    [
        ("fastest-k:k=3", "fastest-k", {"k": 3}),
        ("ppo:policy=runs/a=b,deterministic=true", "ppo", {"policy": "runs/a=b", "deterministic": True}),
        ("ppo:policy=[1]", "ppo", {"policy": "[1]"}),
    ],
)
def test_text_becomes_name_and_options(text, name, options):
    assert agents.parse(text) == (name, options)


def test_options_that_a_learned_scheduler_does_not_have_are_refused():
    text = one_line(ValueError, lambda: agents.parse("ppo:k=3"))
    assert text == "agent 'ppo' has no option 'k', options allowed: policy, deterministic"


def test_rules_are_those_of_the_package_and_base_classes_are_the_same():
    assert set(agents.names()) == {*schedulers.names(), *LEARNED, "untrained"}
    assert len(agents.names()) == len(schedulers.names()) + len(LEARNED) + 1
    assert (agents.Agent, agents.Heuristic) == (schedulers.Scheduler, schedulers.Heuristic)
    assert {"make", "Heuristic"} <= {*dir(agents)} & {*dir(schedulers)}
    made = agents.make("fastest-k", make_env(), k=1)
    assert type(made) is type(schedulers.make("fastest-k", make_env(), k=1))


@pytest.mark.parametrize(("room", "kind"), [(agents, "agent"), (schedulers, "scheduler")])
def test_a_class_of_ones_own_is_made_by_module_and_name(room, kind, tmp_path, monkeypatch):
    (tmp_path / "mine_own.py").write_text(
        "from splitgym.schedulers import Heuristic\n"
        "from splitgym.allocation import descend\n"
        "class Mine(Heuristic):\n"
        "    def __init__(self, env, phi=0.25):\n"
        "        super().__init__(env)\n"
        "        self.phi = phi\n"
        "    def decide(self, state):\n"
        "        return descend(state, state.available, self.phi)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    env = started().unwrapped
    assert room.factory("mine_own:Mine:phi=0.75")(env).decide(env.state).aggregation_ratio == 0.75
    assert room.make("mine_own:Mine", env).decide(env.state).aggregation_ratio == 0.25
    text = one_line(ValueError, lambda: room.make("mine_own:Yours", env))
    assert text == f"{kind} = 'mine_own:Yours': module 'mine_own' has no Scheduler 'Yours'"
