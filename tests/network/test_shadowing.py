"""Shadowing: how strong it is, and how moving forgets it."""

import numpy as np
import pytest
from scipy import stats

from splitgym.network.shadowing import draw_shadow, next_shadow
from splitgym.scenario import Cell

CLIENTS = 40_000


@pytest.mark.parametrize(("sees", "distance_m"), [(True, 10.0), (False, 13.0)])
def test_moving_forgets_exponentially_and_keeps_the_distribution(sees: bool, distance_m: float) -> None:
    rngs = [np.random.default_rng(0)]
    shadow = draw_shadow(rngs, Cell(), CLIENTS)
    sight = np.full((1, CLIENTS), sees)
    for moved_m in (1.0, 10.0, 25.0):
        after = next_shadow(rngs, Cell(), shadow, np.full((1, CLIENTS), moved_m), sight)
        assert np.corrcoef(shadow[0], after[0])[0, 1] == pytest.approx(np.exp(-moved_m / distance_m), abs=0.02)
        assert stats.kstest(after[0], "norm").pvalue > 0.01
        shadow = after


def test_who_does_not_move_keeps_the_shadow() -> None:
    rngs = [np.random.default_rng(1)]
    shadow = draw_shadow(rngs, Cell(), 6)
    after = next_shadow(rngs, Cell(), shadow, np.zeros((1, 6)), np.ones((1, 6), dtype=bool))
    np.testing.assert_array_equal(after, shadow)


@pytest.mark.parametrize("cell", [Cell(shadowing=False), Cell(path_loss="constant")])
def test_no_shadowing_is_zero_and_draws_nothing(cell: Cell) -> None:
    rng = np.random.default_rng(2)
    shadow = draw_shadow([rng], cell, 6)
    after = next_shadow([rng], cell, shadow, np.ones((1, 6)), np.ones((1, 6), dtype=bool))
    np.testing.assert_array_equal(after, np.zeros((1, 6)))
    assert rng.bit_generator.state == np.random.default_rng(2).bit_generator.state
