"""The look-ahead oracle: what it foresees happens, and it plays the best of what it tried."""

from math import inf

import gymnasium as gym
import numpy as np
import pytest

from splitgym import schedulers
from splitgym.schedulers.look_ahead import LookAhead, Rollout

RULES = "greedy+fastest-k:k=1+highest-loss-k:k=1"


def started(scenario="toy", seed=0, **options):
    env = gym.make("SplitLearning-v0", scenario=scenario, **options).unwrapped
    env.reset(seed=seed)
    env.action_space.seed(seed)
    return env


def finished(env, agent):
    """Plays to the end of the episode; the last round's info."""
    terminated = truncated = False
    while not (terminated or truncated):
        *_, terminated, truncated, info = env.play(agent.decide(env.state))
    return info


def rollout(elapsed_s, accuracy, reaches_target=False):
    return Rollout(
        None, 0.0, 0, (None,) * (len(elapsed_s) - 1), np.array(elapsed_s), np.array(accuracy), reaches_target
    )


@pytest.mark.parametrize("until", ["horizon", "target"])
def test_what_it_foresees_happens_to_the_bit(until):
    # Noise on the knowledge, load, fading and dropouts: all of it has to be the same in the copy.
    env = started("iot", clients={"count": 4, "dropout_probability": 0.2}, episode={"max_rounds": 7})
    agent = schedulers.make("look-ahead", env, horizon=3, until=until, candidates="greedy+fastest-k:k=2")
    for number in range(7):
        decision = agent.decide(env.state)
        foreseen, done = agent.rollout, number - agent.rollout.first_round
        *_, info = env.play(decision)
        assert info["elapsed_s"] == foreseen.elapsed_s[done + 1]
        assert info["accuracy"] == foreseen.accuracy[done + 1]


def test_a_fork_has_the_same_future_and_leaves_the_world_alone():
    env, untouched = started("iot", seed=4), started("iot", seed=4)
    greedy = schedulers.make("greedy", env)
    for _ in range(2):
        decisions = []
        fork = env.fork()
        for _ in range(3):
            decisions.append(greedy.decide(fork.truth.world(0)))
            tried = fork.play(decisions[-1].batch())
        for decision in decisions:
            *_, info = env.play(decision)
            *_, expected = untouched.play(decision)
            for name in ("elapsed_s", "loss", "accuracy", "energy_j"):
                assert info[name] == expected[name]
        assert tried.outcome.loss == info["loss"]
        assert tried.outcome.accuracy == info["accuracy"]
        assert fork.truth.elapsed_s == info["elapsed_s"]


@pytest.mark.parametrize("seed", [0, 1])
def test_it_plays_what_gains_most_per_second(seed):
    env = started(seed=seed, framework="psl", task={"evaluation_samples": None})
    agent = schedulers.make("look-ahead", env, horizon=12, candidates=RULES)
    gains = {}
    for name in RULES.split("+"):
        rule_name, options = schedulers.parse(name)
        rule, fork = schedulers.make(rule_name, env, **options), env.fork()
        points = [(0.0, float(fork.truth.accuracy[0]))]
        for _ in range(12):
            fork.play(rule.decide(fork.truth.world(0)).batch())
            points.append((float(fork.truth.elapsed_s[0]), float(fork.truth.accuracy[0])))
        gains[name] = np.polyfit(*np.array(points).T, 1)[0]
    assert len({round(gain, 6) for gain in gains.values()}) == 3
    agent.decide(env.state)
    assert agent.rollout.gain_per_s == pytest.approx(max(gains.values()), rel=1e-9)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_until_the_target_it_is_never_later_than_its_best_candidate(seed):
    settings = {"framework": "psl", "episode": {"target_accuracy": 0.35}}
    times = []
    for name, options in (("greedy", {}), ("fastest-k", {"k": 1}), ("highest-loss-k", {"k": 1})):
        env = started(seed=seed, **settings)
        times.append(finished(env, schedulers.make(name, env, **options))["elapsed_s"])
    env = started(seed=seed, **settings)
    agent = schedulers.make("look-ahead", env, horizon=10, until="target", candidates=RULES)
    info = finished(env, agent)
    assert info["accuracy"] >= 0.35
    assert info["elapsed_s"] <= min(times)


def test_it_decides_on_the_truth():
    env = started("iot", knowledge={"channel_error_db": 20.0})
    decision = schedulers.make("look-ahead", env, horizon=1, candidates="greedy").decide(env.state)
    greedy = schedulers.make("greedy", env)
    assert np.array_equal(decision.assignment, greedy.decide(env.truth).assignment)
    assert not np.array_equal(decision.assignment, greedy.decide(env.state).assignment)


def test_phi_is_tried_where_it_is_to_choose():
    """All rounds of the first rollouts gain nothing, so the shorter round wins; with phi = 1 it is the shortest."""
    for framework, levels, phi in (("epsl", (0.0, 1.0), 1.0), ("epsl", (0.0,), 0.0), ("psl", (0.0, 1.0), 0.0)):
        env = started(
            seed=1,
            framework=framework,
            actions={"aggregation_levels": levels},
            training={"aggregation_ratio": 0.0},
            episode={"target_accuracy": 0.05},
        )
        agent = schedulers.make("look-ahead", env, until="target", candidates="greedy")
        assert agent.decide(env.state).aggregation_ratio == phi


def test_a_prescribed_phi_is_kept():
    env = started(framework="epsl-pt", training={"switch_round": 2})
    agent = schedulers.make("look-ahead", env, horizon=4, candidates="greedy")
    ratios = []
    for _ in range(4):
        ratios.append(agent.decide(env.state).aggregation_ratio)
        env.play(agent.decide(env.state))
    assert ratios == [1.0, 1.0, 0.0, 0.0]


def test_it_looks_every_horizon_and_after_the_target_no_more():
    env = started(episode={"target_accuracy": 0.3, "stop_at_target": False, "max_rounds": 60})
    agent = schedulers.make("look-ahead", env, horizon=4, candidates="greedy")
    begun, reached = [], False
    for _ in range(60):
        agent.decide(env.state)
        begun.append(agent.rollout.first_round)
        *_, info = env.play(agent.decide(env.state))
        reached |= info["accuracy"] >= 0.3
        if reached:
            break
    assert begun == [4 * (number // 4) for number in range(len(begun))]
    last = agent.rollout
    for _ in range(6):
        env.play(agent.decide(env.state))
    assert agent.rollout is last


@pytest.mark.parametrize("action", ["discrete", "continuous", "schedule"])
def test_it_acts_in_every_encoding_and_begins_anew_with_an_episode(action):
    env = started(action=action)
    agent = schedulers.make("look-ahead", env, horizon=3, candidates="greedy+fastest-k:k=1")
    observation, info = env.reset(seed=0)
    for _ in range(5):
        chosen = agent.act(observation, info)
        assert env.action_space.contains(chosen)
        observation, *_, info = env.step(chosen)
    observation, info = env.reset(seed=1)
    agent.act(observation, info)
    assert (agent.rollout.first_round, agent.rollout.elapsed_s[0]) == (0, 0.0)


def test_an_episode_that_left_the_rollout_is_looked_at_again():
    env = started()
    agent = schedulers.make("look-ahead", env, horizon=5, candidates="greedy")
    agent.decide(env.state)
    env.play(schedulers.make("ablation-a", env, cut_layer=2).decide(env.state))
    agent.decide(env.state)
    assert agent.rollout.first_round == 1


def test_rollouts_are_compared_by_the_target_then_by_the_gain():
    slow, fast = rollout([0, 4, 8], [0.1, 0.3, 0.5], True), rollout([0, 2, 4], [0.1, 0.4, 0.5], True)
    flat, steep = rollout([0, 1, 2], [0.1, 0.2, 0.3]), rollout([0, 1, 2], [0.1, 0.4, 0.5])
    assert fast.better_than(slow)
    assert not slow.better_than(fast)
    assert slow.better_than(steep)
    assert steep.better_than(flat)
    assert not flat.better_than(flat)
    assert flat.better_than(None)
    assert (slow.target_s, flat.target_s) == (8.0, inf)
    assert flat.gain_per_s == pytest.approx(0.1)
    # Hand-made: times -1, 0, 1 around their mean, (0.5 - 0.1) / 2.
    assert steep.gain_per_s == pytest.approx(0.2)


def test_the_default_candidates_are_of_three_sizes():
    agent = LookAhead(started("iot"))
    assert len(agent.candidates) == 13
    assert "fastest-k:k=6" in agent.candidates


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"horizon": 0}, "horizon = 0, allowed: whole numbers from 1"),
        ({"horizon": 2.5}, "horizon = 2.5"),
        ({"until": "dawn"}, "until = 'dawn', allowed: 'horizon', 'target'"),
        ({"candidates": "greedy+random"}, "candidates: 'random' is no rule"),
        ({"candidates": "greedy+gredy"}, "gredy"),
    ],
)
def test_options_are_checked(options, message):
    with pytest.raises(ValueError, match=message):
        schedulers.make("look-ahead", started(), **options)
