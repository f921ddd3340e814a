"""The planner: it knows what a scheduler may believe, and nothing else; what it imagines goes on from there."""

import gymnasium as gym
import numpy as np
import pytest

from splitgym import schedulers
from splitgym.envs.imagined import BelievedLearners, ImaginedWorlds
from splitgym.schedulers.index import index_decisions
from splitgym.schedulers.rollout import VARIANTS, Rollout


def started(seed=0, **options):
    env = gym.make("SplitLearning-v0", scenario="iot", action="priority", learner="surrogate", **options).unwrapped
    env.reset(seed=seed)
    env.action_space.seed(seed)
    return env


def spoil(env, rng):
    """Changes all that is hidden: channels, speeds and who is there, and what the learner has learnt."""
    world = env._simulation.world
    assert world.truth.channel_gain is not world.state.channel_gain
    world.truth.channel_gain[...] *= rng.uniform(0.1, 10, world.truth.channel_gain.shape)
    world.truth.client_hz[...] *= rng.uniform(0.1, 10, world.truth.client_hz.shape)
    hidden = env.learners._worlds
    for array in (hidden.skill, hidden.run_effect, hidden.class_effect, hidden.own_skill, hidden.label_bias):
        array[...] = rng.normal(size=array.shape)
    world._streams.key[...] = 1


def test_what_is_hidden_does_not_change_its_decision():
    stale = {"knowledge": {"channel_delay_rounds": 1, "compute_delay_rounds": 1}}
    one, other = started(**stale), started(**stale)
    agents = [schedulers.make("rollout", env, samples=2, horizon=2, rounds=10) for env in (one, other)]
    rng = np.random.default_rng(0)
    for _ in range(3):
        spoil(other, rng)
        decisions = [agent.decide(env.state) for agent, env in zip(agents, (one, other), strict=True)]
        for field in ("selected", "assignment", "power_w_per_hz", "cut_layer"):
            assert np.array_equal(getattr(decisions[0], field), getattr(decisions[1], field))
        one.play(decisions[0])
        # The other one is brought to where the same is believed.
        other._simulation.world = one._simulation.world.fork()


def test_imagined_worlds_begin_with_what_is_believed_and_take_as_long_as_a_round_does():
    env = started(3)
    agent = schedulers.make("index", env)
    learners = BelievedLearners(env.scenario, env.framework, 4)
    rng = np.random.default_rng(0)
    learners.begin(env.state, rng)
    for _ in range(4):
        env.play(agent.decide(env.state))
        learners.learn(env.state, rng)
    state = env.state
    worlds = ImaginedWorlds(env.scenario, env.framework, 4)
    worlds.go_on(state, learners, np.arange(4), rng, np.arange(4))
    for name in ("channel_gain", "elapsed_s", "experience", "accuracy", "client_cut_layer", "class_share"):
        assert all(np.array_equal(row, getattr(state, name)) for row in getattr(worlds.state, name))
    decision = agent.decide(state)
    expected_s = env.latency_s(decision)
    played = worlds.play_unchecked(index_decisions(env.codec("priority"), worlds.state, agent.indices.repeat(4)))
    assert np.allclose(played.cost.latency_s, expected_s)
    assert np.allclose(worlds.state.elapsed_s, state.elapsed_s + expected_s)
    # Each of them has learnt something else.
    assert len(set(played.outcome.accuracy)) == 4


def test_learners_follow_the_accuracy_that_is_measured():
    env = started(5, task={"evaluation_samples": None})
    agent, rng = schedulers.make("index", env), np.random.default_rng(0)
    learners = BelievedLearners(env.scenario, env.framework, 32)
    learners.begin(env.state, rng)
    for _ in range(20):
        env.play(agent.decide(env.state))
        learners.learn(env.state, rng)
    assert abs(learners.surrogate.outcome.accuracy.mean() - env.state.accuracy) < 0.1


@pytest.mark.parametrize(
    ("saved_s", "chosen"),
    [([0.0, 0.0], 0), ([1.0, -1.0], 0), ([2.0, 2.0], 1), ([3.0, 1.0], 1), ([-1.0, -1.0], 0)],
)
def test_the_base_is_left_only_for_what_is_better_beyond_chance(saved_s, chosen):
    time_s = np.full((len(VARIANTS), 2), 10.0)
    time_s[1] -= saved_s
    time_s[2:] += 5.0
    assert Rollout._best(time_s) == chosen


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"horizon": 0}, "horizon = 0, allowed: whole numbers from 1"),
        ({"samples": True}, "samples = True"),
        ({"base": "nowhere"}, "'index' is not tuned for scenario 'nowhere'"),
    ],
)
def test_what_is_not_allowed_is_refused(options, said):
    with pytest.raises(ValueError, match=said):
        schedulers.make("rollout", started(), **options)


def test_private_labels_are_refused():
    with pytest.raises(ValueError, match="known labels"):
        schedulers.make("rollout", started(knowledge={"labels": "private"}))
