"""Episodes of real agents: repeatable, in any number of processes, and the same time to target whenever they end."""

from functools import partial

import numpy as np
import pytest
import torch

import agents
from splitgym.evaluation import Episode, compare, episode_table, run_episodes
from splitgym.evaluation.processes import TORCH_THREADS, worker_pool

SHORT = {"scenario": "toy", "action": "schedule", "episode": {"max_rounds": 6}}
GREEDY, RANDOM, FIXED = (partial(agents.make, name) for name in ("greedy", "random", "fixed"))


def play(factory, seed, settings, until="budget") -> Episode:
    (episode,) = run_episodes("x", factory, [seed], settings, until)
    return episode


def same(a, b):
    return (a.scenario, a.agent, a.seed, a.initial_accuracy) == (
        b.scenario,
        b.agent,
        b.seed,
        b.initial_accuracy,
    ) and all(
        np.array_equal(getattr(a, name), getattr(b, name))
        for name in ("elapsed_s", "accuracy", "round_latency_s", "energy_j")
    )


@pytest.mark.parametrize("factory", [GREEDY, RANDOM])
@pytest.mark.parametrize("action", ["schedule", "continuous"])
def test_same_seed_is_the_same_episode(factory, action):
    settings = {**SHORT, "action": action}
    assert same(play(factory, 3, settings), play(factory, 3, settings))
    assert not same(play(factory, 3, settings), play(factory, 4, settings))


@pytest.mark.parametrize("learner", ["train", "surrogate"])
@pytest.mark.parametrize("name", ["random", "unified", "look-ahead:horizon=4", "round-robin-k:k=1", "two-timescale"])
def test_episodes_do_not_depend_on_those_before_them(learner, name):
    """The environment is used again, and agents remember nothing: not even an oracle that has a plan."""
    agent, options = agents.parse(name)
    factory = partial(agents.make, agent, **options)
    settings = {**SHORT, "learner": learner}
    _, after_another = run_episodes("x", factory, [8, 3], settings)
    assert same(after_another, play(factory, 3, settings, "target"))


@pytest.mark.parametrize("learner", ["train", "surrogate"])
def test_an_episode_that_stops_at_the_target_is_the_beginning_of_one_that_goes_on(learner):
    settings = {"scenario": "toy", "learner": learner, "episode": {"target_accuracy": 0.15, "max_rounds": 25}}
    for seed in range(3):
        stopped, whole = (play(GREEDY, seed, settings, until) for until in ("target", "budget"))
        assert whole.reached
        assert len(stopped.accuracy) == whole.target_round + 1 < len(whole.accuracy) == 25
        for measure in ("time_to_target_s", "energy_to_target_j", "reached"):
            assert getattr(stopped, measure) == getattr(whole, measure)
        assert np.array_equal(stopped.accuracy, whole.accuracy[: len(stopped.accuracy)])


def test_episode_goes_on_past_the_target_until_a_budget_is_spent():
    settings = {"scenario": "toy", "episode": {"target_accuracy": 0.15, "max_rounds": 25}}
    played = play(GREEDY, 0, settings)
    assert played.target_round < 24
    assert len(played.accuracy) == len(played.elapsed_s) == 25
    assert (played.scenario, played.target_accuracy) == ("toy", 0.15)
    assert played.elapsed_s == pytest.approx(np.cumsum(played.round_latency_s))


def test_episode_ends_with_the_time_budget():
    played = play(GREEDY, 0, {"scenario": "toy", "episode": {"time_budget_s": 0.5}})
    assert played.elapsed_s[-2] < 0.5 <= played.elapsed_s[-1]
    assert played.time_budget_s == 0.5


def test_accuracy_is_measured_every_round_on_the_whole_test_set():
    """Toy measures on 100 samples; the whole test set of the digits (a fifth of 1797) has more."""
    settings = {**SHORT, "task": {"evaluate_every": 3}, "episode": {"max_rounds": 12}}
    played = play(FIXED, 1, settings)
    scaled = 200 * played.accuracy  # two clients with 100 samples each: whole numbers
    assert not np.allclose(scaled, scaled.round())
    assert len(set(played.accuracy)) > 4


def test_heuristics_are_played_exactly_whatever_the_encoding():
    discrete, schedule = (play(FIXED, 2, {**SHORT, "action": a}) for a in ("discrete", "schedule"))
    assert same(discrete, schedule)


def test_settings_are_not_changed():
    settings = {"scenario": "toy", "episode": {"max_rounds": 1}, "task": {"evaluate_every": 1}}
    play(FIXED, 0, settings)
    assert settings == {"scenario": "toy", "episode": {"max_rounds": 1}, "task": {"evaluate_every": 1}}


def test_two_workers_find_what_one_finds():
    makers, scenarios, seeds = {"random": RANDOM, "greedy": GREEDY}, ["toy", "iot"], range(9)
    settings = {"learner": "surrogate", "episode": {"max_rounds": 5}}
    one = [
        episode
        for scenario in scenarios
        for name, make in makers.items()
        for episode in run_episodes(name, make, seeds, {**settings, "scenario": scenario})
    ]
    two = list(compare(makers, scenarios, seeds, settings, workers=2))
    assert len(two) == 2 * 2 * 9
    assert episode_table(one).equals(episode_table(two))


def test_processes_train_with_the_torch_threads_that_are_stated():
    with worker_pool(1) as pool:
        assert pool.submit(torch.get_num_threads).result() == TORCH_THREADS
