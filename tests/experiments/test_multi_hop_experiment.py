"""Hops and micro-batches: the meshes, what must hold of every one of them, and a report of numbers made up by hand."""

from itertools import product

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from experiments.multi_hop import (
    COUNTED,
    EXPERIMENT,
    HOPS,
    LIMITS,
    MEMORY,
    MICRO_BATCHES,
    SERVERS,
    cases,
    measure,
    mesh,
    report,
    task_of,
)
from splitgym.allocation.placement import PLACEMENTS, EdgeGraph


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    found = [
        {**case, "seed": seed, **row} for case in cases(False) for seed in (0, 1, 2) for row in measure(case, seed)
    ]
    return pd.DataFrame(found)


def test_meshes_are_of_six_servers_with_memory_for_a_part_of_the_units():
    free, limited = mesh(np.random.default_rng(5), limited=False), mesh(np.random.default_rng(5), limited=True)
    one, other = EdgeGraph.of(free), EdgeGraph.of(limited)
    assert one.nodes == SERVERS
    assert np.isfinite(one.seconds_per_bit).sum(1).min() >= 1
    assert np.isfinite(one.seconds_per_bit[0, 1])
    np.testing.assert_array_equal(one.seconds_per_bit, other.seconds_per_bit)
    np.testing.assert_array_equal(one.seconds_per_flop, other.seconds_per_flop)
    assert np.isinf(one.memory_bytes).all()
    part = other.memory_bytes / task_of(limited, 1).need_bytes[0, -1]
    assert (part >= LIMITS[0]).all()
    assert (part <= LIMITS[1]).all()


def test_nothing_is_faster_than_the_exact_placement_and_hops_and_micro_batches_never_hurt_it(rows):
    seconds = rows.pivot_table(
        index=["counted", "memory", "seed", "hops"],
        columns=["rule", "micro_batches"],
        values="seconds",
        aggfunc="first",
    )
    for rule in ("greedy", "even-split"):
        assert (seconds[rule] >= seconds["exact"] * (1 - 1e-5)).all().all()
    exact = seconds["exact"][list(MICRO_BATCHES)].to_numpy().reshape(-1, len(HOPS), len(MICRO_BATCHES))
    assert np.isfinite(exact).any(axis=1).all()
    # To divide a batch costs nothing.
    assert (exact[:, :, :-1] >= exact[:, :, 1:] * (1 - 1e-5))[np.isfinite(exact[:, :, 1:])].all()
    assert (exact[:, :-1] >= exact[:, 1:] * (1 - 1e-5))[np.isfinite(exact[:, 1:])].all()
    limited, enough = (seconds.xs(memory, level="memory")["exact"] for memory in ("limited", "enough"))
    assert (limited >= enough * (1 - 1e-5)).all().all()


def rows_by_hand() -> pd.DataFrame:
    """One server takes 8 s, several 4 s, with 16 micro-batches 2 s; greedy twice that; even split fails in a mesh."""
    found = []
    for counted, memory in product(COUNTED, MEMORY):
        for xi in (1, 16):
            for hops in HOPS:
                for seed in (0, 1, 2):
                    exact = 8.0 if hops == 1 else 4.0 if xi == 1 else 2.0
                    if memory == "limited" and hops == 1:
                        exact = np.inf
                    times = {"exact": exact, "greedy": 2 * exact, "even-split": np.inf if seed == 2 else 3 * exact}
                    found += [
                        {
                            "counted": counted,
                            "memory": memory,
                            "micro_batches": xi,
                            "seed": seed,
                            "hops": hops,
                            "rule": rule,
                            "seconds": s,
                        }
                        | {"nodes": int(np.isfinite(s)) * (1 if hops == 1 else 3)}
                        for rule, s in times.items()
                    ]
    return pd.DataFrame(found)


def test_report_says_what_the_rows_say():
    text = report(rows_by_hand())
    assert "Median of 3 random meshes of 6 servers" in text
    assert "| 1 | 8.000 | 8.000 |\n| 2 | 4.000 | 2.000 |" in text
    assert "| 1 | - | - |\n| 2 | 4.000 | 2.000 |" in text
    assert "| 6 | 2.00 | 2.00 |" in text
    assert "| 6 | 3.00 (2 of 3) | 3.00 (2 of 3) |" in text
    assert (
        "6 hops take 0.50 of the time of 1 without micro-batches, and 0.25 with 16 of them; more than 2 hops gain less "
        "than 2 %. 16 micro-batches instead of 1 cut the time at 6 hops to 0.50, on 3.0 servers instead of 3.0" in text
    )
    assert "6 hops take 1.00 of the time of 2 without micro-batches" in text


@pytest.mark.parametrize("name", EXPERIMENT.plots)
def test_plots_have_a_line_for_each_rule_in_every_panel(rows, name):
    figure = Figure(layout="constrained")
    EXPERIMENT.plots[name](rows, figure)
    assert len(figure.axes) == len(MEMORY) * len(MICRO_BATCHES)
    assert {text.get_text() for text in figure.legends[0].get_texts()} == set(PLACEMENTS)
    for axes in figure.axes:
        assert [len(line.get_xdata()) for line in axes.lines] == [len(HOPS)] * 3


def test_short_form_has_both_ends():
    assert {case["micro_batches"] for case in cases(True)} == {1, 16}
    assert len(cases(False)) == len(MEMORY) * len(MICRO_BATCHES)


def test_a_round_takes_the_passes_behind_the_cut_and_what_is_in_front(rows):
    """Without micro-batches a round takes as much longer than another as the passes behind the cut do."""
    one = rows[(rows["micro_batches"] == 1) & (rows["memory"] == "enough") & (rows["seed"] == 0)]
    seconds = one.pivot_table(index=["hops", "rule"], columns="counted", values="seconds")
    seconds = seconds[np.isfinite(seconds).all(axis=1)]
    front = seconds["round"] - seconds["behind the cut"]
    assert front.min() > 0
    np.testing.assert_allclose(front, front.iloc[0], rtol=1e-4)
