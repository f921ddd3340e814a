"""Slices against ordinary environments: one with everything, two with half each, and what they do to each other."""

import copy
import pickle
from dataclasses import replace

import gymnasium as gym
import numpy as np
import pytest

from splitgym import schedulers
from splitgym.scenario import load
from splitgym.slices import Shares, SplitLearningSlicesEnv
from splitgym.timing import round_cost

FLAT = {"radio": {"fading": "none"}}
"""Without fading a subchannel is as good as another, so half a band is a band of half as many."""


def sliced(rows, **arguments):
    return gym.make("SplitLearningSlices-v0", slices=rows, disable_env_checker=True, **arguments).unwrapped


def surrogate(name, **more):
    return {"name": name, "learner": "surrogate", **more}


def played(env, shares, seed, periods=1000):
    """What `info` says of every round of every slice, until the end; and how it ended."""
    env.reset(seed=seed)
    rounds = {each.name: [] for each in env.slices}
    for _ in range(periods):
        _, _, terminated, truncated, info = env.play(shares)
        for name, said in info["slices"].items():
            rounds[name] += said["played"]
        if terminated or truncated:
            break
    return rounds, (terminated, truncated)


def alone(generator, scheduler="greedy", rounds=1000, **arguments):
    """The same of an ordinary environment whose episode is drawn from a generator."""
    env = gym.make("SplitLearning-v0", disable_env_checker=True, **arguments).unwrapped
    env.np_random = generator
    env.reset()
    agent, infos = schedulers.make(scheduler, env), []
    for _ in range(rounds):
        _, _, terminated, truncated, info = env.play(agent.decide(env.state))
        infos.append(info)
        if terminated or truncated:
            break
    return infos, (terminated, truncated)


def same(one, other):
    """Whether two rounds say the same, to the bit."""
    np.testing.assert_equal(one, other)
    return True


def generators(seed, count):
    first = np.random.Generator(np.random.PCG64(seed))
    return [first, *first.spawn(count - 1)]


ALL = Shares(np.array([8]), np.array([1.0]))


@pytest.mark.parametrize("scenario", ["iot", "bandwidth-limited"])
def test_one_slice_with_everything_is_the_ordinary_environment(scenario):
    everything = Shares(np.array([load(scenario).radio.subchannels]), np.array([1.0]))
    env = sliced([surrogate("only", scenario=scenario)], period_s=7.0)
    rounds, end = played(env, everything, seed=5)
    (own,) = generators(5, 1)
    expected, expected_end = alone(own, scenario=scenario, learner="surrogate")
    assert same(rounds["only"], expected)
    assert end == expected_end


@pytest.mark.parametrize("framework", ["sl", "cpsl", "hierarchical", "async-psl", "sfl-v1"])
def test_every_kind_of_round_is_worked_out_before_it_is_played(framework):
    env = sliced([surrogate("only", framework=framework, learner="train")], period_s=15.0)
    rounds, _ = played(env, ALL, seed=1, periods=2)
    (own,) = generators(1, 1)
    expected, _ = alone(own, framework=framework, rounds=len(rounds["only"]))
    assert len(expected) > 0
    assert same(rounds["only"], expected)


def test_real_training_of_one_slice_is_the_ordinary_training():
    env = sliced([{"name": "only", "scenario": "toy"}], period_s=1.0)
    rounds, _ = played(env, Shares(np.array([2]), np.array([1.0])), seed=3, periods=2)
    (own,) = generators(3, 1)
    expected, _ = alone(own, scenario="toy", rounds=len(rounds["only"]))
    assert len(expected) > 3
    assert same(rounds["only"], expected)


def test_two_equal_tasks_with_half_each_are_two_runs_with_half_the_cell():
    rows = [surrogate("a", overrides=FLAT), surrogate("b", overrides=FLAT)]
    env = sliced(rows, radio={"subchannels": 16}, server={"compute_hz": 2e9})
    rounds, _ = played(env, Shares(np.array([8, 8]), np.array([0.5, 0.5])), seed=2)
    for generator, name in zip(generators(2, 2), "ab", strict=True):
        half = {"radio": {"fading": "none", "subchannels": 8}, "server": {"compute_hz": 1e9}}
        expected, _ = alone(generator, learner="surrogate", **half)
        # The episode of both ends when both targets are reached.
        assert len(rounds[name]) == len(expected)
        assert same(rounds[name], expected)


def test_equal_weights_are_halves():
    env = sliced([surrogate("a"), surrogate("b")], radio={"subchannels": 16})
    env.reset(seed=0)
    shares = env.decode(np.zeros(4, np.float32))
    assert shares.subchannels.tolist() == [8, 8]
    assert shares.server.tolist() == [0.5, 0.5]


def test_load_in_one_slice_does_not_change_the_other():
    calm = surrogate("b", overrides={"clients": {"load_max": 0.0}})
    busy = surrogate("b", overrides={"clients": {"load_max": 0.9, "count": 12}}, scheduler="fastest-k:k=3")
    thirds = Shares(np.array([6, 10]), np.array([0.25, 0.75]))
    of_both = [
        played(sliced([surrogate("a"), other], radio={"subchannels": 16}), thirds, seed=4, periods=8)[0]
        for other in (calm, busy)
    ]
    assert same(of_both[0]["a"], of_both[1]["a"])
    assert [info["round_latency_s"] for info in of_both[0]["b"]] != [
        info["round_latency_s"] for info in of_both[1]["b"]
    ]


def test_part_of_a_fading_band_is_the_band_with_the_rest_unused():
    """Of frameworks that broadcast nothing: a broadcast uses all subchannels there are."""
    env = gym.make("SplitLearning-v0", framework="psl", learner="surrogate", action="schedule").unwrapped
    env.reset(seed=7)
    whole, kept = env.truth, np.array([1, 4, 5, 7])
    env.restrict(kept, 0.3e9)
    decision = schedulers.make("greedy", env).decide(env.state)
    assignment, psd = np.full(8, -1), np.zeros(8)
    assignment[kept], psd[kept] = decision.assignment, decision.power_w_per_hz
    padded, slow = (
        replace(decision, assignment=assignment, power_w_per_hz=psd),
        replace(whole, server_hz=0.3e9),
    )
    np.testing.assert_array_equal(env.truth.channel_gain, whole.channel_gain[:, kept])
    assert round_cost(env.truth, decision).latency_s == round_cost(slow, padded).latency_s
    assert env.whole_state.channel_gain.shape == (8, 8)


def watched(env, choose, seed, periods):
    """Plays, and notes (slice, begin, end, subchannels, server share) of every round."""
    env.reset(seed=seed)
    noted = []
    for each in env.slices:
        begin = each.begin

        def noting(now_s, free, begin=begin, each=each):
            begin(now_s, free)
            noted.append((each.name, each.running.begin_s, each.running.end_s, *each.running.grant))

        each.begin = noting
    for _ in range(periods):
        _, _, terminated, truncated, _ = env.play(choose())
        if terminated or truncated:
            break
    return noted


@pytest.mark.parametrize("seed", [3, 4])
def test_nothing_is_used_twice_and_nobody_waits_while_shares_change(seed):
    env = sliced([surrogate(name) for name in "abc"], radio={"subchannels": 12}, period_s=1.0)
    env.action_space.seed(seed)
    noted = watched(env, lambda: env.decode(env.action_space.sample()), seed=seed, periods=60)
    assert len(noted) > 20
    for _, begin, _, _, _ in noted:
        on_their_way = [(owned, share) for _, start, end, owned, share in noted if start <= begin < end]
        owned = np.concatenate([subchannels for subchannels, _ in on_their_way])
        assert len(set(owned.tolist())) == len(owned)
        assert sum(share for _, share in on_their_way) <= 1 + 1e-9
    for name in "abc":
        own = [(begin, end) for each, begin, end, _, _ in noted if each == name]
        assert [begin for begin, _ in own] == [0.0, *(end for _, end in own[:-1])]
    assert all(len(owned) >= 1 and share > 0 for *_, owned, share in noted)


def test_a_slice_that_got_more_has_it_when_the_round_that_uses_it_has_ended():
    """Slice a has 2 of 6 subchannels, then 1; of b's rounds those that begin when a uses 2 no more have 5."""
    env = sliced([surrogate(name, scenario="toy") for name in "ab"], radio={"subchannels": 6}, period_s=0.1)
    counts = iter([[2, 4], *[[1, 5]] * 40])
    noted = watched(env, lambda: Shares(np.array(next(counts)), np.array([0.5, 0.5])), seed=0, periods=40)
    used_until_s = max(end for name, _, end, owned, _ in noted if name == "a" and len(owned) == 2)
    of_b = [(begin, owned.tolist()) for name, begin, _, owned, _ in noted if name == "b"]
    before = [owned for begin, owned in of_b if begin < used_until_s]
    after = [owned for begin, owned in of_b if begin >= used_until_s]
    assert len(before) >= 1
    assert all(owned == [2, 3, 4, 5] for owned in before)
    assert len(after) >= 1
    assert all(owned == [1, 2, 3, 4, 5] for owned in after)


def test_same_seed_same_run_and_other_seed_another():
    rows = [surrogate("a", scheduler="random-k:k=4"), surrogate("b")]
    halves = Shares(np.array([8, 8]), np.array([0.5, 0.5]))
    one, again, other = (
        played(sliced(rows, radio={"subchannels": 16}), halves, seed=seed, periods=6)[0] for seed in (8, 8, 9)
    )
    assert same(one, again)
    assert one["a"][0]["round_latency_s"] != other["a"][0]["round_latency_s"]
    # Slices of equal tasks are drawn each for itself.
    assert one["a"][0]["client_energy_j"].tolist() != one["b"][0]["client_energy_j"].tolist()


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda env: pickle.loads(pickle.dumps(env))])
def test_a_copy_goes_on_as_the_original_would(copied):
    env = SplitLearningSlicesEnv(learner="surrogate")
    env.reset(seed=1)
    env.step(np.array([0.5, -0.5, 0.1, 0.0]))
    twin = copied(env)
    for action in ([-0.2, 0.4, 0.0, 0.3], [0.0, 0.0, 0.0, 0.0]):
        first, second = (each.step(np.array(action)) for each in (env, twin))
        np.testing.assert_equal(first, second)
