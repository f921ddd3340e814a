"""The map of three tiers: its arithmetic against rounds that are timed, and what it says of numbers made up by hand."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from experiments.cells import ENDLESS_S, random_states
from experiments.three_tier.architectures import THREE_TIERS, USER_CLOUD, USER_EDGE
from experiments.three_tier.behind import CYCLES_OF_CLIENTS, PRESET, USER_EDGE_BITS_PER_S, fronts
from experiments.three_tier.region import EXPERIMENT, cases, measure
from experiments.three_tier.region_report import ARTICLE_LINK, ARTICLE_SPEED, Saved, plot, report, rounds_at, saved
from splitgym.allocation import descend
from splitgym.frameworks import get
from splitgym.scenario import build
from splitgym.timing import round_cost


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    found = [
        {**case, "seed": seed, **row}
        for case in ({"cycles_per_flop": kappa, "cells": 2} for kappa in (1 / 32, 1 / 8, 1 / 2, 2.0))
        for seed in (0, 1)
        for row in measure(case, seed)
    ]
    return pd.DataFrame(found)


@pytest.mark.parametrize(
    ("kappa", "speed", "link"), [(1 / 32, ARTICLE_SPEED, ARTICLE_LINK), (1 / 2, 5.0, 0.07), (2.0, 40.0, 0.02)]
)
def test_rounds_with_the_best_cuts_are_the_shortest_of_all_that_are_timed(rows, kappa, speed, link):
    """A cell, with every second cut and every cut layer in front of it."""
    found = rounds_at(fronts(rows), kappa, speed, link)
    parts = {
        "clients": {"cycles_per_flop": kappa * CYCLES_OF_CLIENTS},
        "server": {"cycles_per_flop": kappa},
        "cloud": {
            "cycles_per_flop": kappa,
            "compute_hz": speed * PRESET.server.compute_hz,
            "link_bits_per_s": link * USER_EDGE_BITS_PER_S,
        },
        "episode": {"round_timeout_s": ENDLESS_S},
    }
    cell = 3
    timed: dict[str, dict[tuple[int, int], float]] = {THREE_TIERS: {}, USER_EDGE: {}, USER_CLOUD: {}}
    for second in range(10):
        scenario = build(build("three-tier", parts), {"cloud": {"cut_layer": second}})
        (state,) = random_states(scenario, get("hierarchical"), [cell])
        for cut in range(1, 10) if second == 0 else range(1, second):
            cost = round_cost(state, descend(state, state.available, 0.0, cut_layer=cut))
            pair = (cut, second) if second else (cut, cut)
            timed[THREE_TIERS if second else USER_CLOUD][pair] = cost.latency_s
    (state,) = random_states(build("three-tier", parts), get("psl"), [cell])
    for cut in range(1, 10):
        cost = round_cost(state, descend(state, state.available, 0.0, cut_layer=cut))
        timed[USER_EDGE][cut, 10] = cost.latency_s
    for name, each in timed.items():
        best = min(each, key=lambda pair, of=each: of[pair])
        assert found[name].seconds[cell] == pytest.approx(each[best], rel=1e-6)
        assert (found[name].cut_layer[cell], found[name].second_cut[cell]) == best


def test_what_three_tiers_save_is_against_the_better_one_of_each_cell():
    class Rounds:
        def __init__(self, *seconds: float) -> None:
            self.seconds = np.array(seconds)

    # Savings of 50 % and 10 %: their mean is 30 %, its standard error 20 %, and Student's t of one degree 12.706.
    gain = saved({THREE_TIERS: Rounds(1.0, 0.9), USER_EDGE: Rounds(2.0, 3.0), USER_CLOUD: Rounds(4.0, 1.0)})
    assert gain == Saved(pytest.approx(0.3), pytest.approx(0.3 - 12.7062 * 0.2, rel=1e-4))


def test_the_report_says_where_the_article_is(rows):
    text = report(rows)
    assert (
        "**not** inside the region where three tiers are the fastest with the preset's cycles per FLOP: they lose"
        in text
    )
    assert "it is inside (beyond the interval) at 1/2; the most that three tiers save there is" in text
    # What a wider link and a cloud of the edge server's speed gain is less than nothing.
    both = [rounds_at(fronts(rows), 1 / 2, speed, 10.0) for speed in (1.0, 50.0)]
    assert all(saved(rounds).mean < 0 for rounds in both)


def test_the_map_has_a_panel_for_each_number_of_cycles(rows):
    figure = Figure(layout="constrained")
    plot(rows, figure)
    assert figure.axes[0].get_title() == "1/32 cycles per FLOP (preset)"
    stars = [line for axes in figure.axes[:4] for line in axes.lines if line.get_marker() == "*"]
    assert [tuple(line.get_xydata()[0]) for line in stars] == [(ARTICLE_SPEED, ARTICLE_LINK)] * 4


def test_short_form_has_fewer_cells():
    assert cases(True)[0]["cells"] < cases(False)[0]["cells"]
    assert PRESET.server.cycles_per_flop in [case["cycles_per_flop"] for case in cases(True)]
    assert EXPERIMENT.seeds == 3
