"""Tuned rules: the best fixed decision is held, as good as its table says, and found where it is known to be."""

import tomllib
from concurrent.futures import ThreadPoolExecutor

import gymnasium as gym
import numpy as np
import pytest

import agents
import splitgym  # noqa: F401 - registers the environment
from agents import tuned_rule
from agents.rule import Rule
from agents.tuned_rule import RULES, TABLE, Tuning
from splitgym.evaluation import processes


def table():
    return tomllib.loads(TABLE.read_text())


def test_it_holds_cut_layer_phi_and_number_of_clients():
    env = gym.make("SplitLearning-v0", scenario="iot", action="schedule", learner="surrogate").unwrapped
    env.reset(seed=1)
    agent, held = agents.make("best-fixed", env), table()["iot"]["best-fixed"]["options"]
    for _ in range(10):
        decision = agent.decide(env.state)
        assert decision.cut_layer == held["cut_layer"]
        assert decision.aggregation_ratio == held["aggregation_ratio"]
        assert decision.selected.sum() == held.get("k", 8)
        env.play(decision)


@pytest.mark.parametrize("scenario", ["iot", "toy"])
def test_table_says_how_long_it_takes_to_the_target(scenario):
    """Another processor may round otherwise, which an episode feels."""
    entry = table()[scenario]["best-fixed"]
    episodes = range(entry["episodes"])
    assert tuned_rule._time_to_target_s(scenario, episodes, entry["options"]) == pytest.approx(
        entry["time_to_target_s"], rel=0.05
    )


def test_tuning_finds_the_best_candidate_and_notes_it(tmp_path, monkeypatch):
    """Times are made up: the more episodes, the less noise; the best of all is k = 1, cut 2, phi 0.25."""

    def made_up(scenario, seeds, options):
        wrong = abs(options.get("k", 2) - 1) + abs(options["cut_layer"] - 2) + abs(options["aggregation_ratio"] - 0.25)
        in_turn = options.get("selection") == "round-robin-k"
        return 5.0 + wrong + 0.1 * in_turn + (-1) ** options["cut_layer"] / len(seeds)

    monkeypatch.setattr(tuned_rule, "_time_to_target_s", made_up)
    monkeypatch.setattr(tuned_rule, "TABLE", tmp_path / "table.toml")
    monkeypatch.setattr(processes, "worker_pool", ThreadPoolExecutor)
    (tmp_path / "table.toml").write_text("[other.unified]\nepisodes = 3\n")
    Tuning(scenario="toy", rules=("best-fixed",)).run()
    noted = tomllib.loads((tmp_path / "table.toml").read_text())
    assert noted["other"] == {"unified": {"episodes": 3}}
    found = noted["toy"]["best-fixed"]
    assert found["options"] == {"selection": "fastest-k", "k": 1, "cut_layer": 2, "aggregation_ratio": 0.25}
    assert found["time_to_target_s"] == 5.0
    assert found["command"] == "python -m agents.tuned_rule --scenario toy --rules best-fixed"


@pytest.mark.parametrize("rule", RULES)
def test_candidates_of_every_rule_can_be_made(rule):
    env = gym.make("SplitLearning-v0", scenario="toy", learner="surrogate").unwrapped
    candidates = list(tuned_rule._candidates(rule, env))
    assert len({str(sorted(options.items())) for options in candidates}) == len(candidates) > 1
    for options in candidates:
        Rule(env, **options)


def test_a_rule_acts_as_its_options_say():
    env = gym.make("SplitLearning-v0", scenario="iot", action="schedule", learner="surrogate").unwrapped
    env.reset(seed=1)
    tuned = agents.make("tuned", env, rule="fastest-k").decide(env.state)
    options = table()["iot"]["fastest-k"]["options"]
    assert np.array_equal(tuned.assignment, Rule(env, **options).decide(env.state).assignment)


def test_unknown_rules_are_refused():
    env = gym.make("SplitLearning-v0", scenario="toy", learner="surrogate")
    with pytest.raises(ValueError, match=r"rule = 'fastest' is unknown, .*fastest-k"):
        agents.make("tuned", env, rule="fastest")
    with pytest.raises(ValueError, match="rule = 'fastest' is unknown"):
        Tuning(scenario="toy", rules=("fastest",)).run()
