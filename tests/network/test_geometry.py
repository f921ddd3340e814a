"""Placement over the ring, and the closed form of the walk against a walker who bounces step by step."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from splitgym.network.geometry import ground_distance_m, place, walk
from splitgym.scenario import Cell

CELL = Cell(min_distance_m=40.0, radius_m=100.0)
RING = (CELL.min_distance_m, np.array([CELL.radius_m]))


def area_share(position_m: np.ndarray, cell: Cell) -> np.ndarray:
    """Share of the ring's area that lies nearer to the base station."""
    inner, outer = cell.min_distance_m**2, cell.radius_m**2
    return ((ground_distance_m(position_m) ** 2 - inner) / (outer - inner)).ravel()


def assert_uniform(position_m: np.ndarray, cell: Cell) -> None:
    angle = np.arctan2(position_m[..., 1], position_m[..., 0]).ravel()
    assert stats.kstest(area_share(position_m, cell), "uniform").pvalue > 0.01
    assert stats.kstest((angle / np.pi + 1) / 2, "uniform").pvalue > 0.01


def placed(count: int, seed: int) -> np.ndarray:
    """So many positions, [1, count, 2]."""
    chances = np.random.default_rng(seed).random((count, 2))
    return np.array([[place(CELL.min_distance_m, CELL.radius_m, *own) for own in chances]])


def bounce(position: np.ndarray, direction: np.ndarray, way: float, cell: Cell) -> np.ndarray:
    """Follows one walker from border to border, mirroring the direction at each."""
    while True:
        along, square = position @ direction, position @ position
        candidates = [-along + np.sqrt(max(along**2 - square + cell.radius_m**2, 0.0))]
        under_root = along**2 - square + cell.min_distance_m**2
        if under_root > 0 and along < 0:
            candidates.append(-along - np.sqrt(under_root))
        step = min(candidate for candidate in candidates if candidate > 1e-9)
        if step >= way:
            return position + way * direction
        position = position + step * direction
        normal = position / np.linalg.norm(position)
        direction = direction - 2 * (direction @ normal) * normal
        way -= step


def test_placement_is_uniform_over_the_ring() -> None:
    position_m = placed(4000, 1)
    distance_m = np.linalg.norm(position_m, axis=-1)
    assert distance_m.min() >= 40.0 - 1e-9
    assert distance_m.max() <= 100.0 + 1e-9
    assert_uniform(position_m, CELL)


def test_places_of_the_first_and_last_chances_are_the_borders() -> None:
    for chance, distance_m in ((2.0**-33, 40.0), (1 - 2.0**-33, 100.0)):
        for direction, angle in ((0.5, 0.0), (0.75, np.pi / 2), (0.25, -np.pi / 2), (2.0**-33, -np.pi)):
            expected = distance_m * np.array([np.cos(angle), np.sin(angle)])
            np.testing.assert_allclose(place(40.0, 100.0, chance, direction), expected, atol=1e-6)


@settings(max_examples=200, deadline=None)
@given(
    inner=st.floats(0.05, 0.95),
    where=st.floats(0.01, 0.99),
    angle=st.floats(-3.1, 3.1),
    heading=st.floats(0.0, 6.28),
    way_m=st.floats(0.0, 3000.0),
)
def test_walk_is_reflected_like_light(inner: float, where: float, angle: float, heading: float, way_m: float) -> None:
    cell = Cell(min_distance_m=100 * inner, radius_m=100.0)
    distance_m = 100 * (inner + where * (1 - inner))
    start = distance_m * np.array([np.cos(angle), np.sin(angle)])
    expected = bounce(start, np.array([np.cos(heading), np.sin(heading)]), way_m, cell)
    ring = cell.min_distance_m, np.array([cell.radius_m])
    walked = walk(start[None, None], np.array([[heading]]), np.array([way_m]), *ring)[0, 0]
    # Where a way grazes the inner border, rounding decides between bouncing off and passing: errors grow with the root.
    np.testing.assert_allclose(walked, expected, atol=1e-3)


def test_walk_along_the_outer_border_stays_on_it() -> None:
    walked = walk(np.array([[[100.0, 0.0]]]), np.array([[np.pi / 2]]), np.array([50.0]), *RING)
    assert np.linalg.norm(walked) == pytest.approx(100.0, abs=1e-6)
    assert np.arctan2(walked[0, 0, 1], walked[0, 0, 0]) == pytest.approx(0.5, abs=1e-3)


def test_walk_keeps_the_ring_and_its_uniform_distribution() -> None:
    start_m, heading_rad = placed(4000, 2), 2 * np.pi * np.random.default_rng(3).random((1, 4000))
    for way_m in (30.0, 777.0, 1e5):
        position_m = walk(start_m, heading_rad, np.array([way_m]), *RING)
        share = area_share(position_m, CELL)
        assert share.min() >= -1e-9
        assert share.max() <= 1 + 1e-9
        assert_uniform(position_m, CELL)


def test_small_steps_have_the_length_that_was_walked() -> None:
    start_m, heading_rad = placed(500, 5), 2 * np.pi * np.random.default_rng(4).random((1, 500))
    before, after = (walk(start_m, heading_rad, np.array([way_m]), *RING) for way_m in (333.0, 333.1))
    steps_m = ground_distance_m(after - before)[0]
    assert steps_m.max() <= 0.1 + 1e-9
    assert np.mean(np.abs(steps_m - 0.1) < 1e-9) > 0.98  # all but those who were just reflected
