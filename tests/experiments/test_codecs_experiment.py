"""The experiment of codecs: what it measures where that is known, and that all of its forms run."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.figure import Figure

from experiments.codecs import EXPERIMENT, METHODS, Cases, measure
from experiments.codecs.methods import CODECS
from experiments.codecs.report import TARGETS, lossless, report, seconds_to, summary
from experiments.codecs.runs import FACTORS, PLAN, PRESET
from experiments.fixed_length import scenario_of
from splitgym.envs.world import World
from splitgym.frameworks import get
from splitgym.types import RoundState

torch.set_num_threads(1)
CASE = {"cut_layer": 2, "rounds": 4, "evaluate_every": 2}


def started(seed: int) -> RoundState:
    world = World(scenario_of(PRESET, CASE, PLAN), get("psl"))
    world.reset([np.random.default_rng(seed)], [0])
    return world.truth.world(0)


def test_bits_of_a_sample_by_hand() -> None:
    """512 numbers at the second cut: two bits for each, and of 32 channels five bytes in each mini-batch of 32 rows."""
    found = {name: measure({**CASE, "method": name}, 0)[-1] for name in ("none", "uniform-2")}
    assert found["none"]["bits_per_sample"] == pytest.approx(2 * 512 * 32)
    assert found["uniform-2"]["bits_per_sample"] == pytest.approx(2 * (512 * 2 + 32 * 40 / 32))
    assert 0.1 < found["none"]["zeros"] < 0.9
    for row in found.values():
        seconds = [row[f"seconds_{place}"] for place in range(len(FACTORS))]
        assert seconds == sorted(seconds, reverse=True)
        # With a tenth of the band at the same powers: signals are stronger over the noise, so less than ten times.
        assert 5 < seconds[0] / seconds[1] < 10


def test_what_is_decided_by_the_round_and_by_the_channel() -> None:
    state = started(0)
    by_round = METHODS["uniform-2, after 40 rounds uniform-8"]
    for number, name in ((0, "uniform-2"), (39, "uniform-2"), (40, "uniform-8")):
        at = RoundState(**{**vars(state), "round": number})
        assert by_round.decide(at, 2) == CODECS.index(name)
    chosen = METHODS["weaker half uniform-2, others uniform-4"].decide(state, 2)
    gain = state.channel_gain.mean(1)
    assert gain[chosen == CODECS.index("uniform-2")].max() < gain[chosen == CODECS.index("uniform-4")].min()
    assert (chosen == CODECS.index("uniform-2")).sum() == 4
    in_time = METHODS["uniform-8, 4 or 2, the finest in time"].decide(state, 2)
    assert {CODECS[k] for k in in_time} <= {"uniform-8", "uniform-4", "uniform-2"}
    assert CODECS.index("uniform-2") in in_time


def table(**accuracy: list[float]) -> pd.DataFrame:
    """Two seeds of each method, a second a round without a codec and a quarter with one."""
    rows: list[dict[str, Any]] = []
    for name, reached in accuracy.items():
        method = name.replace("_", "-")
        for seed, number in [(seed, number) for seed in (0, 1) for number in range(1, 5)]:
            bits = 32768.0 if method == "none" else 2048.0
            second = number * (1.0 if method == "none" else 0.25) * (1 + seed)
            common = {"cut_layer": 2, "method": method, "seed": seed, "round": number, "bits_per_sample": bits}
            seconds = {f"seconds_{place}": second / factor for place, factor in enumerate(FACTORS)}
            zeros = {"zeros": 0.5, "numbers": 512.0, "packed": 0.6} if method == "none" else {}
            rows.append({**common, "accuracy": reached[number - 1], **seconds, **zeros})
    return pd.DataFrame(rows)


def test_the_report_by_hand() -> None:
    rows = table(none=[0.5, 0.9, 0.93, 0.94], uniform_2=[0.5, 0.8, 0.9, 0.92])
    ends = summary(rows).set_index(["method", "seed"])
    assert ends[seconds_to(0.9)].tolist() == [2.0, 4.0, 0.75, 1.5]
    assert ends[seconds_to(0.93)].tolist() == [3.0, 6.0, np.inf, np.inf]
    text = report(rows)
    assert "The best fixed choice is uniform-2 at cut layer 2" in text
    assert "62.5 ± 0.0 % less" in text  # 0.75 of 2 s
    assert "| uniform-2 | 2.05 | 1/16.0 |" in text
    assert "| 0 of 2 |" in text
    # Half of the numbers, with a bit for the place of each on the way up: 17 + 16 of 64 bits.
    (words,) = lossless(rows)
    assert "17.0 bits on the way up, and 16.0 on the way down" in words
    assert "16.90 kbit of a sample, 1/1.9 of all" in words


def test_short_and_full_form() -> None:
    short, full = Cases()(True), Cases()(False)
    assert {case["method"] for case in full} == set(METHODS)
    assert set(CODECS) <= set(METHODS)
    assert {case["method"] for case in short} < {case["method"] for case in full}
    rows = pd.DataFrame([{**case, "seed": 0, **row} for case in short for row in measure({**case, "rounds": 5}, 0)])
    assert report(rows)
    for draw in EXPERIMENT.plots.values():
        figure = Figure()
        draw(rows, figure)
        assert figure.axes
    assert TARGETS[0] == 0.9
