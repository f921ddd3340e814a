"""Summaries and paired tables, against numbers worked out by hand; how they are written."""

import re
from html import unescape
from io import StringIO

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from played import EPISODES, episode
from rich.console import Console

from splitgym.evaluation import ALL, Comparison, episode_table, markdown, notes, on_screen, readable


def frame(scenario="s", budget=20.0, **times):
    """Episodes of agents with given times to target, s; one at the budget is a miss. Seeds count from 0."""
    rows = [
        {
            "scenario": scenario,
            "agent": agent,
            "seed": seed,
            "time_to_target_s": float(time),
            "reached": time < budget,
            "energy_to_target_j": 2.0 * time,
            "round_latency_s": 0.5,
            "target_accuracy": 0.8,
            "time_budget_s": budget,
        }
        for agent, own in times.items()
        for seed, time in enumerate(own)
    ]
    return pd.DataFrame(rows)


EIGHT = frame(greedy=[9, 4, 5, 6, 7, 8, 3, 19], quick=[4, 2, 3, 2, 4, 3, 3, 18], lost=[20] * 3 + [10] * 5)


def row(table, agent, scenario="s"):
    return table[(table["agent"] == agent) & (table["scenario"] == scenario)].iloc[0]


def test_summary_by_hand_fastest_first():
    summary = Comparison(EIGHT, "greedy").summary()
    assert summary["agent"].tolist() == ["quick", "greedy", "lost"]
    quick, greedy, lost = (row(summary, agent) for agent in ("quick", "greedy", "lost"))
    # Sorted: 2 2 |3 3 3 4| 4 18 and 3 4 |5 6 7 8| 9 19; lost: 10 10 |10 10 10 20| 20 20.
    assert (quick["time_to_target_s"], greedy["time_to_target_s"], lost["time_to_target_s"]) == (3.25, 6.5, 12.5)
    assert quick["energy_to_target_j"] == 6.5
    assert quick["saving"] == pytest.approx(0.5)
    assert (quick["reached"], lost["reached"], lost["episodes"]) == (8, 5, 8)
    assert quick["saving_low"] < 0.5 < quick["saving_high"]
    assert (greedy["saving"], greedy["saving_low"], greedy["saving_high"]) == (0, 0, 0)
    assert greedy["improvement"] == 0.5
    assert summary["bound"].tolist() == [False, False, True]
    assert not summary["baseline_bound"].any()
    assert "headroom" not in summary
    assert "final_accuracy" not in summary


def test_headroom_is_what_the_reference_saves():
    summary = Comparison(EIGHT, "greedy", reference="quick").summary()
    assert row(summary, "quick")["headroom"] == 1
    assert row(summary, "greedy")["headroom"] == 0
    assert row(summary, "lost")["headroom"] == pytest.approx((6.5 - 12.5) / (6.5 - 3.25))


def test_paired_table_by_hand():
    paired = Comparison(EIGHT, "greedy").paired()
    assert paired["agent"].tolist() == ["quick", "lost"]
    quick = row(paired, "quick")
    # Differences 5 2 2 4 3 5 0 1 of the same seeds; the least and the greatest two go: 2 2 3 4.
    assert quick["difference_s"] == 11 / 4
    assert (quick["faster"], quick["tied"], quick["slower"]) == (7, 1, 0)
    assert quick["share_faster"] == 7.5 / 8
    ratios = sorted([4 / 9, 2 / 4, 3 / 5, 2 / 6, 4 / 7, 3 / 8, 1, 18 / 19])
    assert quick["ratio"] == pytest.approx(np.mean(ratios[2:6]))


def test_ratios_are_bounds_where_differences_are_not():
    """The missed episode has the largest difference, 10 s, but the least ratio: 2, where the others have 9."""
    paired = Comparison(frame(greedy=[20, 9, 9, 9], other=[10, 1, 1, 1]), "greedy").paired()
    assert row(paired, "other")["baseline_bound"]
    paired = Comparison(frame(greedy=[20, 3, 3, 3], other=[2, 1, 1, 1]), "greedy").paired()
    assert not row(paired, "other")["baseline_bound"]


def test_every_tie_counts():
    paired = Comparison(frame(greedy=[2, 2, 3, 4], other=[2, 2, 1, 5]), "greedy").paired()
    other = row(paired, "other")
    assert (other["faster"], other["tied"], other["slower"]) == (1, 2, 1)


def test_one_episode_has_no_interval_and_two_have_one():
    one, two = (Comparison(frame(greedy=times, other=times), "greedy").summary() for times in ([2], [2, 3]))
    assert row(one, "other")[["time_to_target_s_low", "time_to_target_s_high"]].isna().all()
    assert row(two, "other")["time_to_target_s_low"] == 2
    assert row(two, "other")["time_to_target_s_high"] == 3


def test_rows_over_several_scenarios_have_no_seconds():
    """By hand: in units of greedy's 2 s and 40 s the agent needs 0.5 and 0.5 four times each."""
    one = frame("one", greedy=[2] * 4, other=[1] * 4)
    two = frame("two", 100.0, greedy=[40] * 4, other=[20] * 4)
    comparison = Comparison(pd.concat([one, two]), "greedy")
    summary, paired = comparison.summary(), comparison.paired()
    assert summary["scenario"].tolist() == ["one", "one", "two", "two", ALL, ALL]
    both = row(summary, "other", ALL)
    assert both["saving"] == pytest.approx(0.5)
    assert (both["episodes"], both["reached"], both["improvement"]) == (8, 8, 1)
    assert np.isnan(both["time_to_target_s"])
    assert row(paired, "other", ALL)["faster"] == 8
    assert np.isnan(row(paired, "other", ALL)["difference_s"])
    assert "| all | other | - | 8 of 8 | 50 | 1.00 |" in markdown(summary)
    assert any("units" in note for note in notes(comparison))


def test_order_of_the_episodes_does_not_matter():
    shuffled = EIGHT.sample(frac=1, random_state=0)
    one, other = (Comparison(table, "greedy", "quick", 3) for table in (EIGHT, shuffled))
    by_agent = ["agent"]
    assert (
        one.summary()
        .sort_values(by_agent)
        .reset_index(drop=True)
        .equals(other.summary().sort_values(by_agent).reset_index(drop=True))
    )


def test_seed_decides_the_intervals_and_nothing_else():
    one, again, other = (Comparison(EIGHT, "greedy", seed=seed).summary() for seed in (1, 1, 2))
    assert one.equals(again)
    ends = [name for name in one if name.endswith(("_low", "_high"))]
    assert not one.equals(other)
    assert one.drop(columns=ends).equals(other.drop(columns=ends))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"baseline": "gredy"}, ("baseline", "'gredy'", "did you mean 'greedy'?")),
        ({"baseline": "greedy", "reference": "oracle"}, ("reference", "'oracle'", "allowed: greedy, lost, quick")),
    ],
)
def test_who_is_not_compared_is_refused(options, words):
    with pytest.raises(ValueError, match="is not compared") as error:
        Comparison(EIGHT, **options)
    assert all(word in str(error.value) for word in words)


@pytest.mark.parametrize("missing", [(EIGHT["agent"] == "lost") & (EIGHT["seed"] == 2), EIGHT["agent"] == "lost"])
def test_agents_without_the_episodes_of_others_are_refused(missing):
    table = pd.concat([EIGHT.assign(scenario="whole"), EIGHT[~missing]])
    with pytest.raises(ValueError, match="'lost' lacks episodes of scenario 's'"):
        Comparison(table, "greedy")


# How they are written ----------------------------------------------------------------------------------------------


def test_text_shows_estimates_with_intervals_and_marks_bounds():
    text = readable(Comparison(EIGHT, "greedy", "quick").summary()).set_index("agent")
    assert "scenario" not in text
    assert text.loc["quick", "time to target (s)"].startswith("3.2 [")
    assert text.loc["lost", "time to target (s)"].startswith("≥ 12.5 [")
    assert text.loc["lost", "time saved (%)"].startswith("≤ -92 [")
    assert text.loc["lost", "target reached"] == "5 of 8"
    assert text.loc["greedy", "time saved (%)"] == "0"
    assert text.loc["greedy", "P(faster)"] == "0.50"
    assert text.loc["quick", "head-room closed (%)"] == "100"


def test_marks_where_the_baseline_is_a_bound():
    text = readable(Comparison(EIGHT, "lost").summary()).set_index("agent")
    assert text.loc["quick", "time saved (%)"].startswith("≥ 74 [")
    assert text.loc["lost", "time saved (%)"] == "0"
    text = readable(Comparison(EIGHT, "greedy").paired()).set_index("agent")
    assert text.loc["lost", "saved in the same episode (s)"].startswith("≤ ")
    assert text.loc["lost", "time ratio in the same episode"].startswith("≥ ")
    assert text.loc["quick", "time ratio in the same episode"].startswith("0.5")
    both = frame(greedy=[20] * 4 + [3, 4], other=[20] * 4 + [5, 6], base=[20] * 4 + [7, 9])
    text = readable(Comparison(both, "greedy").summary()).set_index("agent")
    assert text.loc["other", "time saved (%)"].startswith("? ")


def test_bounds_over_several_scenarios():
    """A quarter may miss in each scenario; over both it matters where the missed episodes stand among all."""
    easy = frame("easy", 12.0, greedy=[10] * 4, other=[5, 5, 5, 12])
    hard = frame("hard", 100.0, greedy=[10] * 4, other=[20, 20, 20, 20])
    summary = Comparison(pd.concat([easy, hard]), "greedy").summary()
    # In units of 10 s: 0.5 0.5 |0.5 1.2 2 2| 2 2, and the missed 1.2 is in the middle.
    assert [row(summary, "other", name)["bound"] for name in ("easy", "hard", ALL)] == [False, False, True]
    assert not row(summary, "other", ALL)["baseline_bound"]
    # Of a baseline the missed ones also matter where they make the unit of a scenario a bound.
    easier = frame("easy", 12.0, greedy=[10] * 4, other=[5, 5, 12, 12])
    for table, bound in ((easy, False), (easier, True)):
        summary = Comparison(pd.concat([table, hard]), "other").summary()
        assert row(summary, "greedy", ALL)["baseline_bound"] == bound


SUMMARY = Comparison(EIGHT, "greedy").summary()[["scenario", "agent", "baseline"]]


def cells(html):
    """Texts in the cells of a table."""
    return [unescape(text) for text in re.findall(r"<td[^>]*>(.*?)</td>", html)]


@settings(max_examples=30)
@given(name=st.text("ab_*`[]()<>|\\\\$&;#!~:= ", min_size=1).map(str.strip).filter(bool))
def test_names_are_shown_as_they_are_in_markdown_and_on_screen(name):
    table = SUMMARY.replace({"agent": {"greedy": name}})
    first = list(SUMMARY["agent"]).index("greedy")
    rendered = MarkdownIt("commonmark").enable("table").render(markdown(table))
    columns = len(readable(table).columns)
    assert cells(rendered)[first * columns] == name
    console = Console(file=StringIO(), width=500)
    console.print(on_screen(readable(table), 200))
    assert any(line.strip().startswith(name) for line in console.file.getvalue().splitlines())


def test_markdown_is_a_table():
    lines = markdown(Comparison(EIGHT, "greedy").summary()).splitlines()
    assert len(lines) == 2 + 3
    assert len({line.count("|") for line in lines}) == 1
    assert lines[0].startswith("| agent | time to target (s) | target reached | time saved (%) | P(faster) |")
    assert lines[1].startswith("| --- | ---: |")


def test_a_single_episode_has_no_interval_and_the_table_says_nothing_of_nan():
    table = episode_table([episode("one"), episode("two", accuracy=(0.7,))])
    text = markdown(Comparison(table, "one").summary())
    assert "| two | 1.0 | 1 of 1 | 67 | 1.00 |" in text
    assert "nan" not in text


def test_notes_say_how_many_seeds_the_target_and_the_budget():
    text = " ".join(notes(Comparison(EIGHT, "greedy")))
    assert "s: 8 held-out seeds" in text
    assert "target 80 % test accuracy, time budget 20 s" in text
    assert "greedy" in text


def test_accuracy_is_summarised_where_the_episodes_have_it():
    table = episode_table(EPISODES)
    summary = Comparison(table, "slow").summary()
    assert row(summary, "fast")["final_accuracy"] == pytest.approx(0.85)
    assert "accuracy at the budget" in markdown(summary)


def test_a_narrow_terminal_shows_columns_that_fit_and_names_the_others():
    cells = {"agent": "greedy", "time (s)": "10.2 [7.4, 20.0]", "reached": "3 of 4", "energy (J)": "1" * 40}
    text = pd.DataFrame([cells])
    shown = {}
    for columns in (40, 200):
        console = Console(width=columns, file=StringIO(), soft_wrap=True)
        console.print(on_screen(text, columns))
        shown[columns] = console.file.getvalue()
    assert max(map(len, shown[40].splitlines())) <= 40
    assert "in table.md, too: energy (J)" in shown[40]
    assert "1" * 40 in shown[200]
    assert "table.md" not in shown[200]
