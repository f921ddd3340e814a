"""Plots name what they show and are drawn without touching pyplot."""

from functools import partial

import numpy as np
import pytest
from matplotlib.figure import Figure
from played import EPISODES, episode

from splitgym.evaluation import (
    ALL,
    Comparison,
    episode_table,
    plot_accuracy,
    plot_profiles,
    plot_times,
    plot_trade_off,
)
from splitgym.evaluation.figures import number_log_axes, text_as_it_is
from splitgym.evaluation.plots import _at

COMPARISON = Comparison(episode_table(EPISODES), "slow")
SUMMARY = COMPARISON.summary()
PLOTS = {
    "accuracy": partial(plot_accuracy, EPISODES, title="A title"),
    "times": partial(plot_times, COMPARISON, SUMMARY, "s"),
    "profiles": partial(plot_profiles, COMPARISON, SUMMARY, "s"),
    "trade-off": partial(plot_trade_off, COMPARISON, SUMMARY, "s"),
}


def words_of(plot, path):
    plot(path=path)
    return path.read_text(encoding="utf-8")


@pytest.mark.parametrize("kind", ["png", "pdf", "svg"])
@pytest.mark.parametrize("plot", PLOTS.values(), ids=PLOTS)
def test_plot_is_drawn_without_touching_pyplot(tmp_path, plot, kind):
    import matplotlib as mpl  # noqa: PLC0415

    backend = mpl.get_backend()
    plot(path=tmp_path / f"plot.{kind}")
    content = (tmp_path / f"plot.{kind}").read_bytes()
    assert len(content) > 5000
    assert content.startswith({"png": b"\x89PNG", "pdf": b"%PDF", "svg": b"<?xml"}[kind])
    assert mpl.get_backend() == backend


def test_accuracy_plot_names_agents_and_target(tmp_path):
    text = words_of(PLOTS["accuracy"], tmp_path / "plot.svg")
    assert all(f"<!-- {words} -->" in text for words in ("A title", "fast", "slow", "target 90 %"))


@pytest.mark.parametrize("name", ["a $x^2$", "${", "\\frac", "5 % & #_1 ~"])
def test_names_are_drawn_as_they_are(tmp_path, name):
    """A formula would be drawn as one, or refused."""
    played = [episode(name if e.agent == "slow" else e.agent, e.seed, e.accuracy, scenario=name) for e in EPISODES]
    comparison = Comparison(episode_table(played), name)
    shown = name.replace("&", "&amp;")
    for plot in (
        partial(plot_accuracy, played, title=name),
        partial(plot_times, comparison, comparison.summary(), name),
        partial(plot_profiles, comparison, comparison.summary(), name),
    ):
        assert f"<!-- {shown} -->" in words_of(plot, tmp_path / "plot.svg")


def test_times_plot_says_who_is_fastest_and_marks_bounds(tmp_path):
    text = words_of(PLOTS["times"], tmp_path / "plot.svg")
    expected = (
        "s: fast is fastest to the target, 87 % less time than slow",
        "simulated time to target (s)",
        "time saved against slow (%)",
        "target missed too often: at least so long",
    )
    assert all(f"<!-- {words} -->" in text for words in expected)


def test_times_plot_says_that_nobody_is_faster(tmp_path):
    comparison = Comparison(COMPARISON.episodes, "fast")
    text = words_of(partial(plot_times, comparison, comparison.summary(), "s"), tmp_path / "plot.svg")
    assert "<!-- s: nobody is faster to the target than fast -->" in text


def test_times_plot_over_all_scenarios_has_savings_only(tmp_path):
    others = [episode(e.agent, e.seed, e.accuracy, e.target_accuracy, scenario="t") for e in EPISODES]
    comparison = Comparison(episode_table([*EPISODES, *others]), "slow")
    text = words_of(partial(plot_times, comparison, comparison.summary(), ALL), tmp_path / "plot.svg")
    assert "All scenarios: fast is fastest" in text
    assert "simulated time" not in text


def test_profiles_draw_the_fastest_and_the_baseline_and_count_the_others(tmp_path):
    episodes = [episode(f"agent-{n:02}", 0, [0.1] * n + [0.9], budget=100.0) for n in range(12)]
    comparison = Comparison(episode_table(episodes), "agent-10")
    text = words_of(partial(plot_profiles, comparison, comparison.summary(), "s"), tmp_path / "plot.svg")
    assert all(f"<!-- agent-{n:02} -->" in text for n in (*range(7), 10))
    assert not any(f"<!-- agent-{n:02} -->" in text for n in (7, 8, 9, 11))
    assert "4 others are left out" in text


def test_accuracy_draws_the_eight_best_and_counts_the_others(tmp_path):
    episodes = [episode(f"agent-{n:02}", 0, [0.1] * n + [0.9], budget=100.0) for n in range(12)]
    text = words_of(partial(plot_accuracy, episodes, title="Many"), tmp_path / "plot.svg")
    drawn = [n for n in range(12) if f"<!-- agent-{n:02} -->" in text]
    assert drawn == list(range(8))
    assert "4 others are left out" in text


def test_curves_start_at_the_initial_accuracy_and_step_when_rounds_end():
    accuracy = _at(episode(accuracy=(0.2, 0.6)), np.array([0.0, 0.99, 1.0, 2.9, 3.0, 9.0]))
    assert accuracy.tolist() == [0.1, 0.1, 0.2, 0.2, 0.6, 0.6]


def test_times_plot_claims_no_lead_that_the_interval_does_not_support(tmp_path):
    """Of two agents that are each faster once the better one is not called the fastest."""
    played = [
        episode("one", 0),
        episode("one", 1, accuracy=(0.6,)),
        episode("two", 0, accuracy=(0.1, 0.6)),
        episode("two", 1),
    ]
    comparison = Comparison(episode_table(played), "two")
    text = words_of(partial(plot_times, comparison, comparison.summary(), "s"), tmp_path / "plot.svg")
    assert "is fastest" not in text
    assert "<!-- s: one needs the least time, but two cannot be told from it -->" in text


def test_png_has_a_pdf_beside_it_and_both_are_the_same_again(tmp_path):
    plot_accuracy(EPISODES, tmp_path / "one.png", "A title")
    plot_accuracy(EPISODES, tmp_path / "two.png", "A title")
    for suffix in (".png", ".pdf"):
        assert (tmp_path / f"one{suffix}").read_bytes() == (tmp_path / f"two{suffix}").read_bytes()


def test_plots_of_a_single_episode(tmp_path):
    one = Comparison(episode_table([episode()]), "a")
    plot_accuracy([episode()], tmp_path / "accuracy.png", "One")
    plot_times(one, one.summary(), "s", tmp_path / "times.png")
    plot_profiles(one, one.summary(), "s", tmp_path / "profiles.png")
    plot_trade_off(one, one.summary(), "s", tmp_path / "trade-off.png")
    assert all((tmp_path / f"{name}.png").stat().st_size > 5000 for name in PLOTS)


def test_numbers_of_logarithmic_axes_are_no_formulas():
    figure = Figure()
    axes = figure.subplots()
    axes.loglog([3.0, 40_000.0], [0.02, 0.9])
    with text_as_it_is():
        number_log_axes(figure)
        figure.canvas.draw()
        written = [label.get_text() for label in (*axes.get_xticklabels(), *axes.get_yticklabels()) if label.get_text()]
    assert {"10", "100", "1000", "10000", "0.1"} <= set(written)
    assert not any("$" in text for text in written)
