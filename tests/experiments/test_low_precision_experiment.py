"""The experiments of few bits and of few channels: small runs against known costs, and what reports say by hand."""

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.figure import Figure

from experiments import low_precision, width
from experiments.joules import CUT_LAYERS
from experiments.low_precision import BITS, measure
from experiments.width import WIDTHS

torch.set_num_threads(1)
CASE = {"cut_layer": 1, "rounds": 4, "evaluate_every": 2}


def test_few_bits_cost_what_the_table_says_and_the_first_rounds_learn_alike() -> None:
    found = {bits: measure({**CASE, "bits": bits}, 0) for bits in (32, 16)}
    assert [row["round"] for row in found[32]] == [2, 4]
    joules, seconds = ({bits: rows[-1][name] for bits, rows in found.items()} for name in ("joules", "seconds"))
    # Computing takes half the cycles and (1/2)^1.25 = 0.42 of the energy, sending half the bits. The server's seconds
    # stay, and packing takes some.
    assert 0.42 < joules[16] / joules[32] < 0.5
    assert 0.5 < seconds[16] / seconds[32] < 0.6
    assert found[16][-1]["accuracy"] == pytest.approx(found[32][-1]["accuracy"], abs=0.05)


def table(rows_of: dict[tuple[int, int], list[tuple[float, float]]]) -> pd.DataFrame:
    """Two seeds of each cut layer and number of bits, from accuracy and joules by round; the second spends twice."""
    return pd.DataFrame(
        [
            {
                **{"cut_layer": cut, "bits": bits, "seed": seed, "round": number},
                **{"accuracy": accuracy, "joules": joules * (1 + seed), "seconds": 10.0 * number},
            }
            for (cut, bits), rows in rows_of.items()
            for seed in (0, 1)
            for number, (accuracy, joules) in enumerate(rows, start=1)
        ]
    )


@pytest.fixture
def rows() -> pd.DataFrame:
    return table(
        {
            (1, 32): [(0.5, 2.0), (0.85, 4.0)],
            (1, 4): [(0.8, 0.5), (0.9, 1.0)],
            (2, 32): [(0.4, 20.0), (0.7, 40.0)],
            (2, 4): [(0.6, 3.0), (0.75, 6.0)],
        }
    )


def test_summary_by_hand(rows: pd.DataFrame) -> None:
    ends = BITS.summary(rows).set_index(["cut_layer", "bits", "seed"])
    assert ends["joules_to_target"].tolist() == [4.0, 8.0, 0.5, 1.0, *4 * [np.inf]]
    assert ends["seconds_to_target"].tolist() == [20.0, 20.0, 10.0, 10.0, *4 * [np.inf]]
    assert ends["each"].tolist() == [2.0, 4.0, 0.5, 1.0, 20.0, 40.0, 3.0, 6.0]
    # Four joules, or eight with the second seed: all rounds at the first cut, the first with 4 bits at the second.
    np.testing.assert_allclose(ends["percent_within"], [85, 85, 90, 90, np.nan, np.nan, 60, 60])


def test_report_by_hand(rows: pd.DataFrame) -> None:
    text = BITS.report(rows)
    assert "those of 4 bits at cut layer 1: 0.75 ± 3.18 J, against 6.00 ± 25.41 J of 32 bits at cut layer 1" in text
    assert "87.5 ± 0.0 % less" in text
    assert "4 bits save 85.0 ± 0.0 %, and cut layer 1 with full precision saves 90.0 ± 0.0 %" in text
    lines = [line for line in text.splitlines() if line.startswith("| ")][2:]
    assert [line.split(" | ")[:2] for line in lines] == [["| 1", "32"], ["| 1", "4"], ["| 2", "32"], ["| 2", "4"]]
    assert "| 2 | 4 | 75.0 ± 0.0 | 5.0 ± 0.0 | 60.0 ± 0.0 |" in text
    assert lines[2].endswith("| 0 of 2 | 0 of 2 |")
    assert lines[2].startswith("| 2 | 32 | 70.0 ± 0.0 | 0.0 ± 0.0 | - |")


def test_a_target_that_some_runs_miss_is_said(rows: pd.DataFrame) -> None:
    missed = rows[~((rows["cut_layer"] == 1) & (rows["bits"] == 32))]
    full = table({(1, 32): [(0.5, 2.0), (0.6, 4.0)]})
    assert "Not all runs reach it with full precision" in BITS.report(pd.concat([full, missed]))


def test_half_of_the_channels_cost_half_of_the_joules() -> None:
    """Of the first layer, which reads the image: half of the FLOPs, and of the bits that go up."""
    found = {value: width.measure({**CASE, "width": value}, 0) for value in (1.0, 0.5)}
    ratio = found[0.5][-1]["joules"] / found[1.0][-1]["joules"]
    assert ratio == pytest.approx(0.5, abs=0.02)
    assert found[0.5][-1]["seconds"] < 0.6 * found[1.0][-1]["seconds"]


@pytest.mark.parametrize(("experiment", "varied"), [(low_precision, BITS), (width, WIDTHS)])
def test_short_and_full_form_run_and_draw(experiment, varied, rows: pd.DataFrame) -> None:
    short, full = experiment.Cases()(True), experiment.Cases()(False)
    expected = {(cut, value) for cut in CUT_LAYERS for value in varied.names}
    assert {(case["cut_layer"], case[varied.column]) for case in full} == expected
    assert len(short) < len(full)
    values = {32: varied.full, 4: min(varied.names)}
    rows = rows.assign(**{varied.column: rows["bits"].map(values)})
    assert varied.names[varied.full] in varied.report(rows)
    for draw in experiment.EXPERIMENT.plots.values():
        figure = Figure()
        draw(rows, figure)
        assert [axes.get_title() for axes in figure.axes] == ["cut layer 1", "cut layer 2"]
        # The deeper cut stands beside all at the shallower one.
        assert len(figure.axes[1].lines) == len(figure.axes[0].lines) + 1
