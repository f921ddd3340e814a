"""Storage against fetching: what is stored fits, nothing beats the optimum, and a report of numbers made up by hand."""

from itertools import product

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from experiments.storage import EXPERIMENT, RULES, at_random, in_order, optimum, own_order, plot, report, unaware
from splitgym.frameworks.storage import Request, Storage, Unit


def drawn(seed: int) -> tuple[Storage, list[Request]]:
    """An origin and two servers on a line; two tasks of three units, of which some are the same."""
    rng = np.random.default_rng(seed)
    bits, shared = rng.integers(1, 30, 6).astype(float) * 1e6, int(rng.integers(0, 3))
    units = [Unit(f"u{k}", size) for k, size in enumerate(bits)]
    tasks = {"one": units[:3], "two": [*units[:shared], *units[3 : 6 - shared]]}
    near, far = rng.uniform(0.1, 3.0, 2)
    ways = np.array([[0.0, near, near + far], [near, 0.0, far], [near + far, far, 0.0]])
    room = np.array([0.0, *rng.uniform(0, bits.sum(), 2)])
    made = Storage(("origin", "a", "b"), room, "origin", ways, np.ceil(ways).astype(int), tasks)
    wanted = [Request(node, task, 0, 3, float(rng.uniform(0, 2))) for node, task in product(("a", "b"), tasks)]
    return made, wanted


@pytest.mark.parametrize("seed", range(12))
def test_what_is_stored_fits_and_the_optimum_is_the_best_of_all_choices(seed: int) -> None:
    made, wanted = drawn(seed)
    demand = made.demand(wanted)
    count = len(made.units)
    found = []
    for choice in product((False, True), repeat=2 * count):
        stored = np.concatenate([np.ones((1, count), bool), np.array(choice).reshape(2, count)])
        if made.fits(stored):
            found.append(made.fetched(stored, demand).seconds)
    best = optimum(made, demand)
    assert made.fits(best)
    assert made.fetched(best, demand).seconds == pytest.approx(min(found), rel=1e-4, abs=1e-6)
    wishes = own_order(made, wanted)
    for stored in (
        unaware(made, wanted),
        in_order(made, wishes, whole=True),
        in_order(made, wishes, whole=False),
        at_random(made, demand, np.random.default_rng(seed)),
    ):
        assert made.fits(stored)


def by_hand(*room: float) -> tuple[Storage, list[Request]]:
    """Two tasks with a common unit of 4 bits and one of 2 each; server a wants the second one more than the first."""
    base = Unit("base", 4.0)
    tasks = {"one": [base, Unit("one", 2.0)], "two": [base, Unit("two", 2.0)]}
    ways = np.array([[0.0, 1.0], [1.0, 0.0]])
    made = Storage(("origin", "a"), np.array([0.0, *room]), "origin", ways, np.array([[0, 1], [1, 0]]), tasks)
    return made, [Request("a", "one", 0, 2, 0.25), Request("a", "two", 0, 2, 0.75)]


def test_models_are_stored_in_the_order_of_their_popularity_and_common_units_once() -> None:
    for room, whole, first in (
        (8.0, {"base", "one", "two"}, {"base", "one", "two"}),
        (7.0, {"base", "two"}, {"base", "two"}),
        (5.0, set(), {"base"}),
    ):
        made, wanted = by_hand(room)
        wishes = own_order(made, wanted)
        for expected, stored in zip(
            (whole, first), (in_order(made, wishes, each) for each in (True, False)), strict=True
        ):
            assert {unit.name for unit, there in zip(made.units, stored[1], strict=True) if there} == expected


def test_who_does_not_know_of_common_units_keeps_room_for_each_copy() -> None:
    made, wanted = by_hand(8.0)
    demand = made.demand(wanted)
    assert made.fetched(made.greedy(demand), demand).seconds == 0
    # The second task's units save 0.75 s a bit, the others 0.25: after six bits, two more are free.
    stored = unaware(made, wanted)
    assert made.fetched(stored, demand).seconds == 0
    made, wanted = by_hand(6.0)
    assert not unaware(made, wanted)[1, made.units.index(Unit("one", 2.0))]
    made, wanted = by_hand(4.0)
    assert unaware(made, wanted)[1].tolist() == [True, False, False]


def test_report_says_what_the_rows_say() -> None:
    """The optimum fetches for 1 s, the others for 1.5 s, but for one mesh in which they need 2 s; at room 3 nothing."""
    rows = pd.DataFrame(
        {
            "shared": 6,
            "room": room,
            "seed": seed,
            "rule": rule,
            "seconds": 0.0 if room == 3 else 1.0 if rule == "optimum" else 1.5 + 0.5 * (seed == 2),
            "bits": 4e9 * (room < 3),
        }
        for room, seed, rule in product((1.0, 3.0), (0, 1, 2, 3), RULES)
    )
    text = report(rows)
    assert "`greedy` 1.62 (2.00)" in text
    assert "With room for 3 models nothing is to be fetched." in text
    assert "| 1 | 1.000 ± 0.000 |" in text
    figure = Figure(layout="constrained")
    plot(rows, figure)
    assert len(figure.axes) == 2
    assert {text.get_text() for text in figure.legends[0].get_texts()} == set(RULES.values())


def test_more_room_and_more_sharing_never_hurt_the_optimum() -> None:
    rows = pd.DataFrame(
        [{**case, "seed": 0, **row} for case in EXPERIMENT.cases(True) for row in EXPERIMENT.measure(case, 0)]
    )
    best = rows[rows["rule"] == "optimum"].pivot_table(index="shared", columns="room", values="seconds").to_numpy()
    assert (np.diff(best, axis=1) <= 1e-4).all()
    assert (np.diff(best, axis=0) <= 1e-4).all()
    seconds = rows.pivot_table(index=["shared", "room"], columns="rule", values="seconds")
    assert (seconds.min(axis=1) >= seconds["optimum"] * (1 - 2e-4) - 1e-9).all()
