"""The latency experiment: random cells, what a sweep changes and what it keeps, its rounds, its table by hand."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from experiments.__main__ import main
from experiments.cells import random_states
from experiments.latency import Cases
from experiments.latency.comparisons import COMPARISONS, Comparison
from experiments.latency.report import table
from experiments.latency.rounds import measure, points
from experiments.latency.sweeps import SWEEPS, bandwidth_hz, endless, mean_client_hz, spread_gains
from splitgym.evaluation.look import MOST_CURVES
from splitgym.frameworks import get, names
from splitgym.scenario import build, load

CELLS = 4
SCENARIO_SWEEPS = [name for name, sweep in SWEEPS.items() if sweep.fields]
ALLOCATIONS, FRAMEWORKS = COMPARISONS


def latencies(preset: str, varied: str, value: float) -> pd.DataFrame:
    """[CELLS, methods] round latencies; columns are those of both comparisons."""
    rounds = pd.DataFrame(measure({"preset": preset, "varied": varied, "value": value, "cells": CELLS}, 0))
    assert (rounds["participants"] == rounds["clients"]).all()
    return rounds.pivot_table(index="cell", columns=["framework", "method"], values="latency_s")


@pytest.fixture(scope="module")
def epsl() -> pd.DataFrame:
    return pd.DataFrame(measure({"preset": "epsl", "varied": "clients", "value": 5, "cells": CELLS}, 0))


def test_a_seed_is_the_same_cell_with_every_framework_and_beside_any_other() -> None:
    scenario = load("iot")
    alone = random_states(scenario, get("psl"), [7])[0]
    for name in names():
        state = random_states(scenario, get(name), [3, 7])[1]
        np.testing.assert_array_equal(state.channel_gain, alone.channel_gain)
        np.testing.assert_array_equal(state.client_hz, alone.client_hz)
    assert not np.allclose(random_states(scenario, get("psl"), [8])[0].client_hz, alone.client_hz)


def test_random_states_know_what_the_framework_prescribes() -> None:
    assert random_states(load("iot"), get("epsl-pt"), [0])[0].ratio(0.5) == 1.0
    assert random_states(load("iot"), get("epsl"), [0])[0].ratio(0.5) == 0.5


@pytest.mark.parametrize("preset", ["epsl", "bandwidth-limited"])
@pytest.mark.parametrize("varied", SCENARIO_SWEEPS)
def test_a_sweep_sets_its_quantity_and_goes_through_the_preset(varied: str, preset: str) -> None:
    scenario, sweep = endless(preset), SWEEPS[varied]
    for value in sweep.values(scenario):
        changed = build(scenario, sweep.fields(scenario, value))
        assert sweep.of(changed) == pytest.approx(value)
        assert changed.radio.subchannels >= changed.clients.count
        if varied != "bandwidth":
            assert bandwidth_hz(changed) == pytest.approx(bandwidth_hz(scenario))
        if varied != "client-compute":
            assert mean_client_hz(changed) == pytest.approx(mean_client_hz(scenario))
    assert build(scenario, sweep.fields(scenario, sweep.of(scenario))) == scenario


def test_spread_gains_keep_mean_and_fading() -> None:
    before = random_states(load("epsl"), get("psl"), range(CELLS))
    db = 10 * np.log10([state.channel_gain.mean(1) for state in before])
    for deviation_db in (0.0, 3.0, 30.0):
        after = spread_gains(before, deviation_db)
        after_db = 10 * np.log10([state.channel_gain.mean(1) for state in after])
        assert after_db.mean() == pytest.approx(db.mean())
        assert after_db.std() == pytest.approx(deviation_db, abs=1e-9)
        for old, new in zip(before, after, strict=True):
            factor = new.channel_gain / old.channel_gain
            np.testing.assert_allclose(factor, np.broadcast_to(factor[:, :1], factor.shape))
    np.testing.assert_array_equal(np.argsort(after_db, axis=None), np.argsort(db, axis=None))


def test_every_method_is_measured_once_in_every_cell(epsl: pd.DataFrame) -> None:
    counts = epsl.groupby(["method", "framework"]).size()
    assert (counts == CELLS).all()
    assert len(counts) == len(ALLOCATIONS.labels) + len(FRAMEWORKS.labels) - 1
    assert (epsl["participants"] == 5).all()


def test_allocations_meet_in_the_same_cell_with_the_same_random_cut(epsl: pd.DataFrame) -> None:
    own = epsl[epsl["framework"] == "EPSL(0.5)"].set_index(["method", "cell"])
    assert (own.loc["ablation-a", "cut_layer"] == own.loc["ablation-b", "cut_layer"]).all()
    for name in ("ablation-b", "ablation-c-random", "ablation-d", "paper-greedy"):
        assert (own.loc[name, "latency_s"] >= (1 - 1e-9) * own.loc["descent", "latency_s"]).all()
        assert (own.loc[name, "latency_s"] > 1.001 * own.loc["descent", "latency_s"]).any()


def test_centralised_rounds_take_the_servers_time_only() -> None:
    scenario = endless("epsl")
    slow_hz, fast_hz = SWEEPS["server-compute"].values(scenario)[::5]
    slow, fast = (latencies("epsl", "server-compute", hz)["centralised", "descent"] for hz in (slow_hz, fast_hz))
    np.testing.assert_allclose(slow / fast, fast_hz / slow_hz)


def rounds_by_hand() -> pd.DataFrame:
    """Two cells, two values, of a reference and a method that takes twice and eight times as long."""
    rows = [
        {
            "varied": "bandwidth",
            "value": value,
            "cell": cell,
            "method": method,
            "framework": "PSL",
            "latency_s": latency,
        }
        for value in (1e6, 2e6)
        for cell, reference_s, factor in ((0, 1.0, 2.0), (1, 3.0, 8.0))
        for method, latency in (("best", reference_s), ("other", factor * reference_s))
    ]
    return pd.DataFrame(rows)


def test_table_has_mean_interval_and_typical_ratio() -> None:
    comparison = Comparison(
        "", "", ("epsl",), by="method", same={"framework": "PSL"}, labels={"other": "b", "best": "e"}, reference="best"
    )
    compared = comparison.of(rounds_by_hand())
    assert list(compared["relative"]) == [1, 2, 1, 8] * 2
    lines = table(compared, comparison, "bandwidth").splitlines()
    assert lines[0] == "| total bandwidth (MHz) | b | e |"
    # 2 and 24 s: mean 13, t(1) = 12.7062 times the standard error 11; 1 and 3 s: mean 2, standard error 1.
    assert lines[2] == "| 1 | 13.0 ± 139.8 (4.00) | 2.00 ± 12.71 (1.00) |"
    assert lines[3].startswith("| 2 | 13.0")


@pytest.mark.usefixtures("in_this_process")
def test_command_writes_rounds_tables_and_figures(tmp_path: Path) -> None:
    varied = ["--only", "compute-ratio", "channel-spread"]
    assert main(["latency", "--cells", "2", *varied, "--out", str(tmp_path)]) == 0
    rounds = pd.read_csv(tmp_path / "latency.csv")
    expected = points(("compute-ratio", "channel-spread"))
    measured = rounds.drop_duplicates(["preset", "varied", "value"])
    assert list(measured["varied"]) == [point.varied for point in expected]
    text = (tmp_path / "latency.md").read_text(encoding="utf-8")
    assert "latency --cells 2 --only compute-ratio channel-spread" in text
    assert f"none of {len(rounds)} rounds left somebody out" in text
    for figure in ("allocations-epsl", "allocations-bandwidth-limited", "frameworks-epsl"):
        assert f"({figure}.png)" in text
        assert (tmp_path / f"{figure}.png").stat().st_size > 10_000


@pytest.mark.parametrize(
    ("field", "text"), [({"cells": 1}, "--cells 1"), ({"only": ("bandwith",)}, "--only 'bandwith' is unknown")]
)
def test_wrong_options_are_named(field: dict[str, object], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        replace(Cases(), **field)(quick=False)


def test_plots_show_the_reference_and_no_more_methods_than_can_be_told_apart():
    assert all(len(each.drawn) <= MOST_CURVES and each.reference in each.drawn for each in COMPARISONS)
