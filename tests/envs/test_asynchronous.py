"""The environment with an asynchronous framework: what goes on in flight is state, decided, observed and copied."""

import pickle
from copy import deepcopy

import gymnasium as gym
import numpy as np
import pytest
from agreement import assert_vector_agrees
from rollouts import LASTING, differences, make, play_on, rollout, sampled_actions

from splitgym import schedulers
from splitgym.allocation import allocate, even_psd
from splitgym.allocation.baselines.allocators import proportional_fair
from splitgym.envs import SplitLearningVectorEnv
from splitgym.scenario import ScenarioError
from splitgym.types import Decision, Plan

ENCODINGS = ("discrete", "continuous", "schedule", "priority")
OPEN = {"plan": {"quorum": "decided"}, "episode": LASTING}
WIDE = {"radio": {"subchannels": 6}}
CROWD = {"clients": {"count": 3}, "radio": {"subchannels": 12}}
FLIGHTS = ("in_flight", "delivered", "compute_left", "bits_left")


def asynchronous(
    scenario: str = "iot", action: str = "schedule", framework: str = "async-psl", **options: object
) -> gym.Env:
    sections = {"learner": "surrogate" if scenario == "iot" else "train", "disable_env_checker": True, **OPEN}
    return make(scenario, framework, action, **{**sections, **options})


@pytest.mark.parametrize("action", ENCODINGS)
def test_the_quorum_is_one_entry_more_where_it_is_decided(action: str) -> None:
    def entries(framework: str, quorum: str) -> int:
        env = make("toy", framework, action, plan={"quorum": quorum})
        return int(np.prod(env.action_space.shape))

    assert entries("async-psl", "decided") == entries("async-psl", "fixed") + 1
    assert entries("async-psl", "fixed") == entries("psl", "decided") == entries("psl", "fixed")


@pytest.mark.parametrize("action", ENCODINGS)
@pytest.mark.parametrize("sharing", ["static", "on-demand"])
def test_every_action_is_played(action: str, sharing: str) -> None:
    env = asynchronous(action=action, radio={"sharing": sharing})
    observation, _ = env.reset(seed=1)
    crossing = 0
    for sample in sampled_actions(env, 30):
        observation, *_, info = env.step(sample)
        assert env.observation_space.contains(observation)
        assert 1 <= info["quorum"] <= 8
        assert info["participants"].sum() <= info["quorum"]
        assert np.all(info["selected"] >= info["participants"])
        np.testing.assert_array_equal(info["in_flight"], env.state.in_flight)
        crossing += int(info["in_flight"].sum())
    assert crossing > 10


@pytest.mark.parametrize("action", ENCODINGS)
def test_a_decision_says_its_quorum_again(action: str) -> None:
    env = asynchronous(action=action)
    env.reset(seed=0)
    for sample in sampled_actions(env, 10):
        decision = env.decode(sample)
        assert env.decode(env.encode(decision)).quorum == decision.quorum
    left_open = Decision(1, np.full(8, -1), np.zeros(8), np.ones(8, bool), 0.0)
    assert env.decode(env.encode(left_open)).quorum == 8


@pytest.mark.parametrize("action", ["schedule", "continuous"])
def test_vector_environment_is_the_single_one_to_the_bit(action: str) -> None:
    options = {"learner": "surrogate", "radio": {"sharing": "on-demand"}, **OPEN}
    envs = SplitLearningVectorEnv(3, "iot", "async-psl", action=action, **options)
    singles = [asynchronous(action=action, radio={"sharing": "on-demand"}) for _ in range(3)]
    observations, _ = envs.reset(seed=4)
    ours = [env.reset(seed=4 + i)[0] for i, env in enumerate(singles)]
    np.testing.assert_array_equal(observations, np.stack(ours))
    for samples in zip(*(sampled_actions(env, 25, i) for i, env in enumerate(singles)), strict=True):
        observations, rewards, *_ = envs.step(np.stack(samples))
        steps = [env.step(sample) for env, sample in zip(singles, samples, strict=True)]
        np.testing.assert_array_equal(observations, np.stack([step[0] for step in steps]))
        np.testing.assert_array_equal(rewards, [step[1] for step in steps])


@pytest.mark.parametrize(
    ("learner", "framework"), [("train", "async-psl"), ("train", "async-sfl"), ("surrogate", "async-psl")]
)
def test_copies_forks_and_repeated_episodes_go_on_as_the_original(learner: str, framework: str) -> None:
    env = asynchronous(learner=learner, framework=framework, plan={"quorum": "fixed"}, training={"quorum": 1})
    actions = sampled_actions(env, 12)
    first = rollout(env, 7, actions)
    assert not differences(first, rollout(env, 7, actions))
    env.reset(seed=7)
    play_on(env, actions[:6])
    assert env.state.in_flight.any()
    copies = [deepcopy(env), pickle.loads(pickle.dumps(env))]
    fork, decision = env.fork(), env.decode(actions[6])
    played = fork.play(decision.batch())
    assert not differences(first[7:], play_on(env, actions[6:]))
    for copy in copies:
        assert not differences(first[7:], play_on(copy, actions[6:]))
    np.testing.assert_array_equal(played.cost.participants[0], first[7][-1]["participants"])
    assert played.cost.latency_s[0] == first[7][-1]["round_latency_s"]


def test_vector_environment_trains_with_copies_as_the_single_one() -> None:
    """Worlds with fewer clients than others, too."""
    sections = {"plan": {"quorum": "fixed"}, "training": {"quorum": 2}, "clients": {"count": 4}, **WIDE}
    sections["family"] = {"clients": (2, 4)}
    arguments = {"scenario": "toy", "framework": "async-sfl", "action": "schedule", "episode": LASTING}
    assert_vector_agrees(3, 12, ("accuracy",), **arguments, **sections)


def test_stragglers_can_share_their_first_units() -> None:
    env = make("stragglers", "async-sfl", disable_env_checker=True, task={"evaluation_samples": 20})
    rule = schedulers.make("equal-shares", env, cut_layer=1)
    env.reset(seed=0)
    back = 0
    for _ in range(6):
        *_, info = env.play(rule.decide(env.state))
        assert info["participants"].sum() == 2
        assert {"model_down", "model_up"} <= info["stages"].keys()
        back += int(np.isfinite(env.state.flights.returned_s).sum())
    assert back > 2
    with pytest.raises(ScenarioError, match=r"training.mixing_rate.* 0"):
        make("stragglers", "async-sfl", training={"mixing_rate": 0})
    with pytest.raises(ScenarioError, match="calibrat"):
        make("iot", "async-sfl", learner="surrogate")


def test_each_client_fetches_up_to_its_own_cut() -> None:
    sections = {"plan": {"cut_layer": "by-client"}, "training": {"quorum": 1}, **CROWD}
    env = asynchronous("toy", "discrete", "async-sfl", **sections)
    env.reset(seed=2)
    seen = set()
    for action in sampled_actions(env, 40):
        *_, info = env.step(action)
        learner, flights = env._simulation.world._learner.learners[0], env.state.flights
        cuts = env.system.program.plans.cut_layer[flights.plan]
        for i in np.flatnonzero(np.isfinite(flights.began_s)):
            assert len(learner.nodes.clients[i].units) == cuts[i] == info["cut_layer"][i]
            seen.add(int(cuts[i]))
        assert np.isfinite(info["loss"])
    assert seen == {1, 2}


def test_a_reset_brings_all_down() -> None:
    env = asynchronous()
    env.reset(seed=0)
    play_on(env, sampled_actions(env, 4))
    assert (env.state.flights.row >= 0).any()
    env.reset(seed=0)
    assert np.all(env.state.flights.row == -1)
    assert not env.state.in_flight.any()


def test_what_is_in_flight_is_observed_and_only_there() -> None:
    env = asynchronous()
    plain = make("iot", "psl", "schedule", learner="surrogate", **OPEN)
    names = list(env.observation_names)
    assert [name for name in names if name.partition("[")[0] not in FLIGHTS] == list(plain.observation_names)
    assert [name for name in names if name.startswith("in_flight")] == [f"in_flight[{i}]" for i in range(8)]
    env.reset(seed=0)
    for sample in sampled_actions(env, 10):
        observation, *_ = env.step(sample)
        seen = {name: float(value) for name, value in zip(names, observation, strict=True)}
        flights = env.state.flights
        for i in range(8):
            assert seen[f"in_flight[{i}]"] == env.state.in_flight[i]
            assert seen[f"delivered[{i}]"] == (flights.row[i] == env.system.asynchrony.server_row)
            assert (seen[f"compute_left[{i}]"] > 0) <= (flights.row[i] >= 0)
            if flights.row[i] == env.system.asynchrony.return_row:  # all of its gradients are ahead
                assert 0 < seen[f"bits_left[{i}]"] <= 0.5
    with pytest.raises(ScenarioError, match="feature 'bits_left', allowed: with an asynchronous framework"):
        make("iot", "psl", observation=("standard", "bits_left"))


def test_a_common_cut_moves_only_while_nothing_is_in_flight() -> None:
    env = asynchronous(action="discrete", plan={"quorum": "fixed"}, training={"quorum": 4})
    env.reset(seed=2)
    env.action_space.seed(0)
    for cut in (1, 2, 3, 1, 2, 3, 1, 2):
        before = env.state
        held = set(env.system.program.plans.cut_layer[before.flights.plan[before.in_flight]].tolist())
        action = env.action_space.sample()
        action[0] = cut - 1
        *_, info = env.step(action)
        assert info["cut_layer"] == (held.pop() if held else cut)
        assert np.all(info["selected"] >= before.in_flight)


def test_each_client_keeps_its_own_cut_in_flight() -> None:
    env = asynchronous("toy", "discrete", plan={"cut_layer": "by-client"}, training={"quorum": 1}, **CROWD)
    env.reset(seed=2)
    kept = 0
    for action in sampled_actions(env, 40):
        before = env.state
        *_, info = env.step(action)
        held = env.system.program.plans.cut_layer[before.flights.plan]
        np.testing.assert_array_equal(info["cut_layer"][before.in_flight], held[before.in_flight])
        kept += int(np.sum(held[before.in_flight] != action[:3][before.in_flight] + 1))
    assert kept > 0


def test_quorums_that_nobody_may_decide_are_refused() -> None:
    env = make("toy", "async-psl", "discrete")
    env.reset(seed=0)
    decision = env.decode(env.action_space.sample())
    with pytest.raises(ValueError, match=r"Decision.quorum = 1, allowed: 0..0"):
        env.play(Decision(**{**vars(decision), "quorum": 1}))
    env = make("toy", "async-psl", "discrete", plan={"quorum": "decided"})
    env.reset(seed=0)
    with pytest.raises(ValueError, match=r"Decision.quorum = 3, allowed: 0..2"):
        env.play(Decision(**{**vars(decision), "quorum": 3}))
    with pytest.raises(ScenarioError, match=r"training.quorum = 3, allowed: 0..2, the clients"):
        make("toy", "async-psl", training={"quorum": 3})
    with pytest.raises(ScenarioError, match=r"training.client_weights = 'stale-up' with learner = 'surrogate'"):
        asynchronous(training={"client_weights": "stale-up"})


@pytest.mark.parametrize(
    "name",
    ["greedy", "proportional-fair", "exact-cuts", "fastest-k", "unified", "random", "two-timescale", "paper-greedy"],
)
def test_rules_play_on_while_something_is_in_flight(name: str) -> None:
    env = asynchronous("toy", clients={"count": 3}, radio={"subchannels": 4})
    options = {"k": 2} if name == "fastest-k" else {}
    own = name in ("random", "two-timescale")
    rule = schedulers.make(name, env, **options, **({} if own else {"quorum": 1}))
    env.reset(seed=0)
    trained = 0
    for _ in range(8):
        *_, info = env.play(rule.decide(env.state))
        trained += info["trained"]
        assert own or info["quorum"] == 1
    assert trained >= 6
    with pytest.raises(ValueError, match=r"quorum = 4, allowed: 1..3"):
        schedulers.make("greedy", env, quorum=4)


def test_dynamics_of_psl_may_stand_in_whatever_the_quorum() -> None:
    env = asynchronous(plan={"quorum": "fixed"}, training={"quorum": 2, "patience_s": 5.0})
    _, info = env.reset(seed=0)
    start = info["accuracy"]
    for _ in range(60):
        *_, info = env.step(np.array([1, *[1] * 8, 0]))
    assert info["accuracy"] > start + 0.2


def test_rules_plan_a_round_of_those_who_need_subchannels() -> None:
    """With nothing in flight a rule decides what it does with PSL, but for the quorum."""
    ours = asynchronous("toy", plan={"quorum": "fixed"}, training={"quorum": 1}, clients={"count": 3}, **WIDE)
    theirs = make("toy", "psl", "schedule", clients={"count": 3}, episode=LASTING, **WIDE)
    for name in ("greedy", "unified", "deadline", "exact-cuts", "paper-greedy"):
        decided = []
        for env in (ours, theirs):
            env.reset(seed=3)
            decided.append(schedulers.make(name, env).decide(env.state))
        assert not differences(vars(decided[0]), vars(decided[1]))
    rule = schedulers.make("greedy", ours)
    ours.reset(seed=3)
    ours.play(rule.decide(ours.state))
    state = ours.state
    waiting = np.flatnonzero(state.delivered)
    assert len(waiting) == 2
    served = set(rule.decide(state).assignment.tolist())
    assert served <= {-1, *np.flatnonzero(~state.delivered).tolist()}


def test_compact_actions_share_fairly_unless_an_update_waits_for_all() -> None:
    """Entries of `schedule`: cut layer, K - 1, clients, phi."""
    env = asynchronous()
    env.reset(seed=3)
    state, everybody = env.state, np.ones(8, int)
    first, all_of_them = (env.decode(np.array([0, quorum - 1, *everybody, 0])) for quorum in (3, 8))
    fair = proportional_fair(state, state.available)
    np.testing.assert_array_equal(first.assignment, fair)
    np.testing.assert_array_equal(first.power_w_per_hz, even_psd(state, fair))
    round_of_all = allocate(state, Plan(1), state.available)
    np.testing.assert_array_equal(all_of_them.assignment, round_of_all.assignment)
    np.testing.assert_array_equal(all_of_them.power_w_per_hz, round_of_all.power_w_per_hz)
    for decision in (first, all_of_them):
        assert decision.selected.all()
