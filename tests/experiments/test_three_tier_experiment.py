"""Three tiers against two: the second cut, the rounds of each architecture, the trainings, the report by hand."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from experiments.cells import random_states
from experiments.three_tier import EXPERIMENT, cases, measure, rounds, training
from experiments.three_tier.architectures import (
    ARCHITECTURES,
    THREE_TIERS,
    USER_CLOUD,
    USER_EDGE,
    scenario_of,
    shortest_second_cut,
)
from experiments.three_tier.report import passes, report, seconds_to_target
from splitgym.allocation import allocate
from splitgym.frameworks import get
from splitgym.scenario import build
from splitgym.timing import round_cost
from splitgym.types import Plan


@pytest.fixture(scope="module")
def preset_rounds() -> pd.DataFrame:
    case = {"part": "round", "varied": "link", "value": 0.05}
    return pd.DataFrame([{**case, "seed": 1, **row} for row in measure(case, 1)])


def test_preset_has_the_second_cut_with_the_shortest_round() -> None:
    preset = build("three-tier")
    assert shortest_second_cut(preset) == preset.cloud.cut_layer


def test_shortest_second_cut_is_that_of_any_cell_and_cut_layer_in_front_of_it() -> None:
    """Here layers are costly, and the best second cut lies in front of the preset's."""
    costly = scenario_of(THREE_TIERS, rounds.VARIED["cycles"](1.0))
    everybody = np.ones(5, bool)
    for seed, cut in ((3, 1), (4, 2)):
        latency = {}
        for second_cut in range(2, 10):
            scenario = build(costly, {"cloud": {"cut_layer": second_cut}})
            (state,) = random_states(scenario, get("hierarchical"), [seed])
            latency[second_cut] = round_cost(state, allocate(state, Plan(cut, 0.0), everybody)).latency_s
        assert min(latency, key=lambda second_cut: float(latency[second_cut])) == costly.cloud.cut_layer < 8


def test_architectures_differ_in_who_trains_behind_the_cut(preset_rounds: pd.DataFrame) -> None:
    busy = {name: rows[[f"{who} (s)" for who in rounds.BUSY]] for name, rows in preset_rounds.groupby("architecture")}
    assert not busy[USER_EDGE][["edge-cloud link (s)", "cloud (s)"]].any().any()
    assert not busy[USER_CLOUD]["edge server (s)"].any()
    assert (busy[THREE_TIERS] > 0).all().all()
    for name, rows in preset_rounds.groupby("architecture"):
        np.testing.assert_allclose(busy[name].sum(axis=1), rows["latency_s"], rtol=1e-3)
        assert list(rows["cell"]) == list(range(17, 34))


def test_a_link_without_end_to_a_faster_cloud_is_always_worth_it() -> None:
    rows = pd.DataFrame(rounds.measure("link", 1e6, 0))
    by_cell = rows.pivot_table(index="cell", columns="architecture", values="latency_s")
    assert (by_cell[THREE_TIERS] < by_cell[USER_EDGE]).all()
    assert (by_cell[USER_CLOUD] <= by_cell[THREE_TIERS]).all()


def test_the_three_really_train_the_same_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "ROUNDS", 6)
    runs = {
        name: pd.DataFrame(measure({"part": "training", "samples": 200, "architecture": name}, 1))
        for name in ARCHITECTURES
    }
    assert runs[THREE_TIERS]["accuracy"].nunique() > 1
    for name, run in runs.items():
        assert list(run["round"]) == [0, 2, 4, 6]
        assert list(run["accuracy"]) == list(runs[USER_EDGE]["accuracy"])
        assert (run["elapsed_s"].diff().dropna() > 0).all()
        assert (run["elapsed_s"][1:] > runs[USER_EDGE]["elapsed_s"][1:]).all() == (name != USER_EDGE)


def rows_by_hand() -> Iterator[dict[str, object]]:
    """User-edge takes 1 s a round, three tiers 0.5 s with a good link and 2 s otherwise, user-cloud 4 s."""
    for varied, value, tiers_s in (("link", 0.05, 2.0), ("link", 1.0, 0.5), ("cycles", 1 / 32, 2.0)):
        for name, latency_s in ((THREE_TIERS, tiers_s), (USER_EDGE, 1.0), (USER_CLOUD, 4.0)):
            for cell, factor in ((0, 0.9), (1, 1.1)):
                busy = {f"{who} (s)": latency_s * factor / 5 for who in rounds.BUSY}
                row = {"architecture": name, "cell": cell, "cut_layer": 1, "second_cut": 8, **busy}
                yield {"part": "round", "varied": varied, "value": value, "latency_s": latency_s * factor, **row}
    for samples, missed in ((200, True), (1400, False)):
        for name, second in ((THREE_TIERS, 2.0), (USER_EDGE, 1.0), (USER_CLOUD, 4.0)):
            for seed in (0, 1):
                for number, accuracy in enumerate((0.1, 0.5, 0.9 if seed or not missed else 0.8)):
                    row = {"round": number, "elapsed_s": number * second, "accuracy": accuracy, "seed": seed}
                    yield {"part": "training", "samples": samples, "architecture": name, "cut_layer": 1, **row}


def test_report_says_what_the_rows_say() -> None:
    text = report(pd.DataFrame(rows_by_hand()))
    # 1000 samples are four rounds of 5 x 64; t(1) = 12.7062 times the standard error 0.1 x 2 of three tiers.
    assert "| user-edge-cloud | 8.0 | 14.0 | 26.0 | 38.0 | 52.0 | 2.00 ± 2.54 | 1 | 8 |" in text
    assert "holds (0.50 of its time" in text
    assert "**not** confirmed at the preset's values: it takes 2.00 of its time" in text
    assert "| 0.05 (preset) | 2 | 1 | 4 | 8 |" in text
    assert "User-edge-cloud is the fastest at 1 (by 50.0 %).\n" in text
    assert "User-edge-cloud is the fastest at none of these values." in text
    assert "| 200 | 4 (1 of 2) | 2 (1 of 2) | 8 (1 of 2) | 2 (3 of 6) |" in text
    assert "| 1400 | 4 | 2 | 8 | 2 |" in text
    assert "in 100 % of the measurements" in text


def test_times_to_target_are_of_every_training() -> None:
    times = seconds_to_target(pd.DataFrame(rows_by_hand()))
    assert len(times) == 12
    assert times["elapsed_s"].isna().sum() == 3


@pytest.mark.parametrize(("samples", "count"), [(1, 1), (320, 1), (321, 2), (8012, 26)])
def test_a_pass_ends_with_a_mini_batch_that_is_not_full(samples: int, count: int) -> None:
    assert passes(samples) == count


@pytest.mark.parametrize("name", sorted(EXPERIMENT.plots))
def test_plots_draw_every_architecture(name: str) -> None:
    figure = Figure(layout="constrained")
    EXPERIMENT.plots[name](pd.DataFrame(rows_by_hand()), figure)
    (legend,) = figure.legends
    shown = {text.get_text() for text in legend.get_texts()}
    assert shown == set(rounds.BUSY if name == "busy" else ARCHITECTURES)
    for axes in figure.axes:
        assert axes.get_xlabel()
        assert axes.get_ylabel() or name == "busy"


def test_short_form_has_the_preset_and_every_architecture() -> None:
    short, whole = cases(True), cases(False)
    assert len(short) < len(whole)
    for found in (short, whole):
        assert {"part": "round", "varied": "link", "value": 0.05} in found
        assert {case.get("architecture") for case in found} == {None, *ARCHITECTURES}
