"""The best fixed decision: held in every round, as good as its table says, and found where it is known to be."""

import tomllib
from concurrent.futures import ThreadPoolExecutor

import gymnasium as gym
import pytest

import agents
import splitgym  # noqa: F401 - registers the environment
from agents import best_fixed
from agents.best_fixed import TABLE, Tuning
from splitgym.evaluation import processes


def table():
    return tomllib.loads(TABLE.read_text())


def test_it_holds_cut_layer_phi_and_number_of_clients():
    env = gym.make("SplitLearning-v0", scenario="iot", action="schedule", learner="surrogate").unwrapped
    env.reset(seed=1)
    agent, held = agents.make("best-fixed", env), table()["iot"]["decision"]
    for _ in range(10):
        decision = agent.decide(env.state)
        assert decision.cut_layer == held["cut_layer"]
        assert decision.aggregation_ratio == held["aggregation_ratio"]
        assert decision.selected.sum() == held.get("k", 8)
        env.play(decision)


@pytest.mark.parametrize("scenario", ["iot", "toy"])
def test_table_says_how_long_it_takes_to_the_target(scenario):
    """Another processor may round otherwise, which an episode feels."""
    entry = table()[scenario]
    episodes = range(entry["episodes"])
    assert best_fixed._time_to_target_s(scenario, episodes, entry["decision"]) == pytest.approx(
        entry["time_to_target_s"], rel=0.05
    )


def test_tuning_finds_the_best_candidate_and_notes_it(tmp_path, monkeypatch):
    """Times are made up: the more episodes, the less noise; the best of all is k = 1, cut 2, phi 0.25."""

    def made_up(scenario, seeds, options):
        wrong = abs(options.get("k", 2) - 1) + abs(options["cut_layer"] - 2) + abs(options["aggregation_ratio"] - 0.25)
        in_turn = options.get("selection") == "round-robin-k"
        return 5.0 + wrong + 0.1 * in_turn + (-1) ** options["cut_layer"] / len(seeds)

    monkeypatch.setattr(best_fixed, "_time_to_target_s", made_up)
    monkeypatch.setattr(best_fixed, "TABLE", tmp_path / "table.toml")
    monkeypatch.setattr(processes, "worker_pool", ThreadPoolExecutor)
    (tmp_path / "table.toml").write_text("[other]\nepisodes = 3\n")
    Tuning(scenario="toy").run()
    noted = tomllib.loads((tmp_path / "table.toml").read_text())
    assert noted["other"] == {"episodes": 3}
    assert noted["toy"]["decision"] == {"selection": "fastest-k", "k": 1, "cut_layer": 2, "aggregation_ratio": 0.25}
    assert noted["toy"]["time_to_target_s"] == 5.0
    assert noted["toy"]["command"] == "python -m agents.best_fixed --scenario toy"
