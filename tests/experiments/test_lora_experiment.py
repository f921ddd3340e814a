"""Split fine-tuning: seconds to a target by hand, what report and plot say, and a round of each kind."""

import numpy as np
import pandas as pd
import pytest
from books import books  # noqa: F401 - a fixture
from matplotlib.figure import Figure

from experiments import lora
from experiments.lora import EXPERIMENT, PLAIN, measure, plot, report, seconds_to_target, trainable
from splitgym.learning import start


def run(bits: list[float], seconds: float = 10.0) -> pd.DataFrame:
    return pd.DataFrame({"bits": bits, "elapsed_s": seconds * np.arange(len(bits))})


def test_seconds_to_a_target_lie_on_the_line_between_measurements() -> None:
    assert seconds_to_target(run([2.2, 2.1, 2.0]), 2.025) == pytest.approx(17.5)
    assert seconds_to_target(run([2.2, 2.1, 2.15]), 2.1) == 10.0
    assert seconds_to_target(run([2.0, 2.1]), 2.1) == 0.0
    assert seconds_to_target(run([2.2, 2.15]), 2.1) == np.inf


def test_adapters_of_a_rank_are_counted_by_hand() -> None:
    assert trainable(1) == 4 * (256 + 128 + 320 + 320) + 64 + 63
    assert trainable(16) == 16 * trainable(1)


def test_rows_of_two_frameworks_become_a_report_and_a_plot(books, monkeypatch) -> None:  # noqa: F811
    monkeypatch.setattr(start, "take_base_weights", lambda network: None)
    monkeypatch.setattr(lora, "_settings", lambda case, own=lora._settings: _small(own(case)))
    quick = {"rounds": 2, "every": 1}
    cases = [{**PLAIN, "framework": "centralised", **quick}, {**PLAIN, "codec": "uniform-4", **quick}]
    rows = pd.DataFrame([{**case, "seed": 0, **row} for case in cases for row in measure(case, 0)])
    assert rows["round"].tolist() == [0, 1, 2] * 2
    assert rows["bits"].between(0.1, 20).all()
    assert rows["sent_bits"].iloc[:3].tolist() == [0, 0, 0]
    # Two clients send two windows each of 64 x 64 numbers, up and down, in four bits, and two floats a row more.
    numbers = 2 * 2 * 64 * 64
    assert 2 * 4 * numbers < rows["sent_bits"].iloc[4] < 1.1 * 2 * 4 * numbers
    text = report(rows)
    assert "| centralised | 16,892 |" in text
    assert "| psl, codec uniform-4 | 16,892 |" in text
    figure = Figure()
    plot(rows, figure)
    assert [axes.get_xlabel() for axes in figure.axes] == ["round", *["traffic of all (Mbit)"] * 2]


def _small(settings: dict) -> dict:
    settings["task"] |= {"train_samples": 40, "evaluation_samples": 4}
    return {**settings, "clients": {"count": 2}, "training": {"batch_size": 2}, "radio": {"subchannels": 2}}


def test_a_quick_run_is_a_part_of_the_full_one() -> None:
    def kinds(quick: bool) -> set:
        return {tuple(case[key] for key in PLAIN) for case in EXPERIMENT.cases(quick)}

    assert kinds(True) < kinds(False)
    assert len(kinds(False)) == len(EXPERIMENT.cases(False)) == 10
