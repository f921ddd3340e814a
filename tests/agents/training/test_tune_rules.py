"""Tuning of rules: the best candidate is found where it is known, and as good as the table says."""

import tomllib
from concurrent.futures import ThreadPoolExecutor

import gymnasium as gym
import numpy as np
import pytest

from agents.training import tune_rules
from agents.training.cross_entropy import BY_SIZE, Search
from agents.training.tune_rules import Tuning
from splitgym.schedulers import tuned_rule
from splitgym.schedulers.rule import Rule
from splitgym.schedulers.tuned_rule import INDEX, RULES, TABLE


@pytest.mark.parametrize("scenario", ["iot", "toy"])
def test_table_says_how_long_it_takes_to_the_target(scenario):
    """Another processor may round otherwise, which an episode feels."""
    entry = tomllib.loads(TABLE.read_text())[scenario]["best-fixed"]
    episodes = range(entry["episodes"])
    assert tune_rules._time_to_target_s(scenario, episodes, entry["options"]) == pytest.approx(
        entry["time_to_target_s"], rel=0.05
    )


def test_tuning_finds_the_best_candidate_and_notes_it(tmp_path, monkeypatch):
    """Times are made up: the more episodes, the less noise; the best of all is k = 1, cut 2, phi 0.25."""

    def made_up(scenario, seeds, options):
        wrong = abs(options.get("k", 2) - 1) + abs(options["cut_layer"] - 2) + abs(options["aggregation_ratio"] - 0.25)
        in_turn = options.get("selection") == "round-robin-k"
        return 5.0 + wrong + 0.1 * in_turn + (-1) ** options["cut_layer"] / len(seeds)

    monkeypatch.setattr(tune_rules, "_time_to_target_s", made_up)
    monkeypatch.setattr(tuned_rule, "TABLE", tmp_path / "table.toml")
    monkeypatch.setattr("splitgym.evaluation.processes.worker_pool", ThreadPoolExecutor)
    (tmp_path / "table.toml").write_text("[other.unified]\nepisodes = 3\n")
    Tuning(scenario="toy", rules=("best-fixed",)).run()
    noted = tomllib.loads((tmp_path / "table.toml").read_text())
    assert noted["other"] == {"unified": {"episodes": 3}}
    found = noted["toy"]["best-fixed"]
    assert found["options"] == {"selection": "fastest-k", "k": 1, "cut_layer": 2, "aggregation_ratio": 0.25}
    assert found["time_to_target_s"] == 5.0
    assert found["command"] == "python -m splitgym.agents.training.tune_rules --scenario toy --rules best-fixed"


@pytest.mark.parametrize(("scenario", "by_size"), [("iot", set()), ("iot-family", set(BY_SIZE))])
def test_what_changes_with_the_size_is_searched_where_sizes_differ(scenario, by_size):
    options = Search(scenario, generations=0).options(np.full(15 + len(by_size), 0.5))
    assert set(options) & {"offset_by_size", "exponent_by_size"} == by_size


@pytest.mark.parametrize("rule", [rule for rule in RULES if rule != INDEX])
def test_candidates_of_every_rule_can_be_made(rule):
    env = gym.make("SplitLearning-v0", scenario="toy", learner="surrogate").unwrapped
    candidates = list(tune_rules._candidates(rule, env))
    assert len({str(sorted(options.items())) for options in candidates}) == len(candidates) > 1
    for options in candidates:
        Rule(env, **options)


@pytest.mark.parametrize(
    ("clients", "numbers"), [(14, [*range(1, 15)]), (100, [1, 2, 3, 4, 6, 9, 13, 20, 30, 44, 67, 100])]
)
def test_of_few_clients_every_number_is_tried_of_many_a_geometric_series(clients, numbers):
    of_size = {"clients": {"count": clients}, "family": {"clients": None}}
    env = gym.make("SplitLearning-v0", scenario="iot-wide", learner="surrogate", **of_size).unwrapped
    assert sorted({options["k"] for options in tune_rules._candidates("fastest-k", env)}) == numbers


def test_the_best_index_of_several_searches_is_noted(tmp_path, monkeypatch):
    """The second of three; the command names what differs from the usual."""
    found = {0: (0.1, 7.0), 1: (0.2, 5.0), 2: (0.3, 6.0)}

    def made_up(scenario, generations, seed):
        offset, time_s = found[seed]
        return {"offset": offset}, time_s

    monkeypatch.setattr(tune_rules, "_index", made_up)
    monkeypatch.setattr(tuned_rule, "TABLE", tmp_path / "table.toml")
    monkeypatch.setattr("splitgym.evaluation.processes.worker_pool", ThreadPoolExecutor)
    (tmp_path / "table.toml").write_text("")
    Tuning(scenario="toy", rules=(INDEX,), generations=2).run()
    noted = tomllib.loads((tmp_path / "table.toml").read_text())["toy"][INDEX]
    assert noted["options"] == {"offset": 0.2}
    command = "python -m splitgym.agents.training.tune_rules --scenario toy --rules index"
    assert noted["command"] == f"{command} --generations 2"


@pytest.mark.parametrize("name", ["generations", "searches"])
def test_fewer_than_one_search_or_generation_is_refused(name):
    with pytest.raises(ValueError, match=f"--{name} 0, allowed: at least 1"):
        Tuning(scenario="toy", rules=(INDEX,), **{name: 0}).run()


def test_unknown_rules_are_refused():
    with pytest.raises(ValueError, match="rule = 'fastest' is unknown"):
        Tuning(scenario="toy", rules=("fastest",)).run()
