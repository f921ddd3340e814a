"""Shadowing: how moving forgets it, and who has none."""

import numpy as np
import pytest
from played_cells import Cells
from scipy import stats

from splitgym.network.shadowing import next_shadow
from splitgym.scenario import Cell, Clients, Radio, Scenario

CLIENTS = 40_000


@pytest.mark.parametrize(("sees", "distance_m"), [(True, 10.0), (False, 13.0)])
def test_moving_forgets_exponentially_and_keeps_the_distribution(sees: bool, distance_m: float) -> None:
    rng, sight = np.random.default_rng(0), np.full((1, CLIENTS), sees)
    shadow = rng.standard_normal((1, CLIENTS))
    for moved_m in (1.0, 10.0, 25.0):
        after = next_shadow(shadow, rng.standard_normal((1, CLIENTS)), np.full((1, CLIENTS), moved_m), sight)
        assert np.corrcoef(shadow[0], after[0])[0, 1] == pytest.approx(np.exp(-moved_m / distance_m), abs=0.02)
        assert stats.kstest(after[0], "norm").pvalue > 0.01
        shadow = after


def test_who_does_not_move_keeps_the_shadow() -> None:
    shadow, new = np.random.default_rng(1).standard_normal((2, 1, 6))
    after = next_shadow(shadow, new, np.zeros((1, 6)), np.ones((1, 6), dtype=bool))
    np.testing.assert_array_equal(after, shadow)


@pytest.mark.parametrize("cell", [{"shadowing": False, "line_of_sight": "never"}, {"path_loss": "constant"}])
def test_without_shadowing_the_gain_is_a_function_of_the_distance(cell: dict) -> None:
    scenario = Scenario(
        cell=Cell(speed_m_per_s=5.0, **cell), radio=Radio(fading="none", subchannels=1), clients=Clients(count=50)
    )
    cells = Cells(scenario, worlds=2)
    for _ in range(3):
        cells.advance(7.0)
    distance_m = np.linalg.norm(cells.network.position_m, axis=-1).ravel()
    gain = cells.network.channel_gain.ravel()[np.argsort(distance_m)]
    assert (np.diff(gain) <= 0).all()
    assert (len(np.unique(gain)) == 1) == (scenario.cell.path_loss == "constant")
