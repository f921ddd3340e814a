"""Episodes, tables and plots of a comparison, against numbers worked out by hand and against SciPy."""

import math
from functools import partial

import numpy as np
import pytest
from scipy import stats

import agents
from splitgym.evaluation import (
    Episode,
    compare,
    episode_table,
    markdown,
    plot_accuracy,
    round_table,
    run_episode,
    summary_table,
)

SHORT = {"scenario": "toy", "action": "schedule", "episode": {"max_rounds": 6}}
GREEDY, RANDOM, FIXED = (partial(agents.make, name) for name in ("greedy", "random", "fixed"))


def episode(agent="a", seed=0, accuracy=(0.2, 0.6, 0.5, 0.9), target=0.6, budget=20.0):
    accuracy = np.array(accuracy)
    latency = np.arange(1.0, len(accuracy) + 1)
    return Episode(agent, seed, target, budget, np.cumsum(latency), accuracy, latency, 10 * latency, 0.1)


def same(a, b):
    return (a.agent, a.seed) == (b.agent, b.seed) and all(
        np.array_equal(getattr(a, name), getattr(b, name))
        for name in ("elapsed_s", "accuracy", "round_latency_s", "energy_j")
    )


def test_measures_of_an_episode_by_hand():
    played = episode()  # latencies 1, 2, 3, 4; 10 J per second; target 0.6 after the second round
    assert (played.target_round, played.reached) == (1, True)
    assert played.time_to_target_s == 3.0
    assert played.energy_to_target_j == 30.0


def test_measures_of_an_episode_that_missed_the_target_by_hand():
    missed = episode(target=0.95)
    assert (missed.target_round, missed.reached) == (None, False)
    assert missed.time_to_target_s == 20.0
    assert missed.energy_to_target_j == 100.0


def test_target_in_the_first_round_counts():
    first = episode(accuracy=(0.7, 0.1))
    assert (first.target_round, first.time_to_target_s, first.energy_to_target_j) == (0, 1.0, 10.0)


@pytest.mark.parametrize("factory", [GREEDY, RANDOM])
@pytest.mark.parametrize("action", ["schedule", "continuous"])
def test_same_seed_is_the_same_episode(factory, action):
    settings = {**SHORT, "action": action}
    assert same(run_episode("x", factory, 3, settings), run_episode("x", factory, 3, settings))
    assert not same(run_episode("x", factory, 3, settings), run_episode("x", factory, 4, settings))


def test_episode_goes_on_past_the_target_until_a_budget_is_spent():
    settings = {"scenario": "toy", "episode": {"target_accuracy": 0.15, "max_rounds": 25}}
    played = run_episode("greedy", GREEDY, 0, settings)
    assert played.reached
    assert played.target_round < 24
    assert len(played.accuracy) == len(played.elapsed_s) == 25
    assert played.target_accuracy == 0.15
    assert played.elapsed_s == pytest.approx(np.cumsum(played.round_latency_s))


def test_episode_ends_with_the_time_budget():
    played = run_episode("greedy", GREEDY, 0, {"scenario": "toy", "episode": {"time_budget_s": 0.5}})
    assert played.elapsed_s[-2] < 0.5 <= played.elapsed_s[-1]
    assert played.time_budget_s == 0.5


def test_accuracy_is_measured_every_round_on_the_whole_test_set():
    """Toy measures on 100 samples; the whole test set of the digits (a fifth of 1797) has more."""
    settings = {**SHORT, "task": {"evaluate_every": 3}, "episode": {"max_rounds": 12}}
    played = run_episode("fixed", FIXED, 1, settings)
    scaled = 200 * played.accuracy  # two clients with 100 samples each: whole numbers
    assert not np.allclose(scaled, scaled.round())
    assert len(set(played.accuracy)) > 4


def test_heuristics_are_played_exactly_whatever_the_encoding():
    discrete, schedule = (run_episode("fixed", FIXED, 2, {**SHORT, "action": a}) for a in ("discrete", "schedule"))
    assert same(discrete, schedule)


def test_settings_are_not_changed():
    settings = {"scenario": "toy", "episode": {"max_rounds": 1}, "task": {"evaluate_every": 1}}
    run_episode("fixed", FIXED, 0, settings)
    assert settings == {"scenario": "toy", "episode": {"max_rounds": 1}, "task": {"evaluate_every": 1}}


def test_two_workers_find_what_one_finds():
    makers = {"random": RANDOM, "greedy": GREEDY}
    one = [run_episode(name, make, seed, SHORT) for name, make in makers.items() for seed in (0, 1)]
    two = sorted(compare(makers, (0, 1), SHORT, workers=2), key=lambda e: (e.agent != "random", e.seed))
    assert len(two) == 4
    assert all(same(a, b) for a, b in zip(one, two, strict=True))


EPISODES = [
    episode("slow", 1, target=0.9),  # 10 s
    episode("slow", 0, target=0.95),  # missed: 20 s
    episode("fast", 0),  # 3 s
    episode("fast", 1, accuracy=(0.6, 0.8)),  # 1 s
    episode("fast", 2, accuracy=(0.1, 0.2, 0.7)),  # 6 s
]


def test_episode_table_has_a_row_per_episode_in_order():
    table = episode_table(EPISODES)
    assert table[["agent", "seed"]].to_numpy().tolist() == [
        ["fast", 0],
        ["fast", 1],
        ["fast", 2],
        ["slow", 0],
        ["slow", 1],
    ]
    assert table["time_to_target_s"].tolist() == [3, 1, 6, 20, 10]
    assert table["reached"].tolist() == [True, True, True, False, True]
    assert table["final_accuracy"].tolist() == [0.9, 0.8, 0.7, 0.9, 0.9]
    assert table["round_latency_s"].tolist() == [2.5, 1.5, 2.0, 2.5, 2.5]
    assert table["energy_to_target_j"].tolist() == [30, 10, 60, 100, 100]
    assert table["rounds"].tolist() == [4, 2, 3, 4, 4]


def test_round_table_has_a_row_per_round():
    table = round_table(EPISODES)
    assert len(table) == 4 + 4 + 4 + 2 + 3
    fast = table[(table["agent"] == "fast") & (table["seed"] == 2)]
    assert fast["round"].tolist() == [1, 2, 3]
    assert fast["elapsed_s"].tolist() == [1, 3, 6]
    assert fast["accuracy"].tolist() == [0.1, 0.2, 0.7]


def test_summary_has_means_and_t_intervals_fastest_first():
    table = summary_table(EPISODES)
    assert table["agent"].tolist() == ["fast", "slow"]
    assert table["episodes"].tolist() == [3, 2]
    fast = table.iloc[0]
    assert fast["time_to_target_s"] == pytest.approx(10 / 3)
    # s = sqrt(((3 - 10/3)^2 + (1 - 10/3)^2 + (6 - 10/3)^2) / 2); 4.3027 is the 97.5 % point of t with 2 degrees.
    by_hand = 4.302652729911275 * math.sqrt(((1 / 3) ** 2 + (7 / 3) ** 2 + (8 / 3) ** 2) / 2) / math.sqrt(3)
    assert fast["time_to_target_s_ci95"] == pytest.approx(by_hand)
    low, high = stats.t.interval(0.95, 2, loc=10 / 3, scale=stats.sem([3, 1, 6]))
    assert fast["time_to_target_s_ci95"] == pytest.approx((high - low) / 2)
    assert table["reached"].tolist() == [1.0, 0.5]


def test_markdown_marks_means_that_are_lower_bounds():
    lines = markdown(summary_table(EPISODES)).splitlines()
    assert len(lines) == 4
    assert len({line.count("|") for line in lines}) == 1
    head, _, fast, slow = lines
    assert "time to target (s)" in head
    assert "| 3.3 ± 6.3 | 3 of 3 |" in fast
    assert "| ≥ 15.0 ± 63.5 | 1 of 2 |" in slow


def test_a_single_episode_has_no_interval_and_the_table_says_nothing_of_nan():
    table = summary_table([episode()])
    assert np.isnan(table["time_to_target_s_ci95"][0])
    text = markdown(table)
    assert "3.0" in text
    assert "nan" not in text


@pytest.mark.parametrize("name", ["plot.png", "plot.pdf", "plot.svg"])
def test_plot_is_drawn_without_touching_pyplot(tmp_path, name):
    import matplotlib as mpl  # noqa: PLC0415

    backend = mpl.get_backend()
    plot_accuracy(EPISODES, tmp_path / name, "A title")
    content = (tmp_path / name).read_bytes()
    assert len(content) > 5000
    assert content.startswith({"png": b"\x89PNG", "pdf": b"%PDF", "svg": b"<?xml"}[name[-3:]])
    assert mpl.get_backend() == backend


def test_plot_names_agents_and_target(tmp_path):
    plot_accuracy(EPISODES, tmp_path / "plot.svg", "A title")
    text = (tmp_path / "plot.svg").read_text()
    assert all(f"<!-- {words} -->" in text for words in ("A title", "fast", "slow", "target 90 %"))


def test_plot_of_a_single_episode(tmp_path):
    plot_accuracy([episode()], tmp_path / "plot.png", "One")
    assert (tmp_path / "plot.png").stat().st_size > 5000


def test_a_round_that_ends_after_the_time_budget_does_not_count() -> None:
    late = episode(accuracy=(0.2, 0.5, 0.9), budget=5.0)  # the rounds end at 1, 3 and 6 s
    assert not late.reached
    assert late.time_to_target_s == 5.0
    assert late.final_accuracy == 0.5
    assert episode(accuracy=(0.9,), budget=0.5).final_accuracy == 0.1
