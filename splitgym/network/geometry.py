"""Where the clients are: uniformly over the ring around the base station, bouncing off, or on a road.

A straight walk that is reflected at the borders keeps the uniform distribution for ever, where a random waypoint would
draw the clients towards the middle. And it has a closed form, so that a long round costs what a short one does.
"""

from math import sqrt

import numpy as np

from splitgym.arrays import Floats
from splitgym.kernels import INLINED, kernel
from splitgym.kernels.functions import EXACT_ENOUGH, turn

TANGENT = 1 - 1e-12
"""A walk along the outer border would be all reflections; this share of the radius is the nearest to it we allow."""


@kernel(INLINED, fastmath=EXACT_ENOUGH)
def place(min_distance_m: float, radius_m: float, chance: float, direction: float) -> tuple[float, float]:
    """A position, m, uniform over the area of the ring [min_distance_m, radius_m], by two uniform numbers in (0, 1)."""
    inner = min_distance_m * min_distance_m
    distance_m = sqrt(inner + chance * (radius_m * radius_m - inner))
    cosine, sine = turn(direction - 0.5)
    return distance_m * cosine, distance_m * sine


@kernel(INLINED)
def place_on_road(length_m: float, lanes: int, lane_width_m: float, chance: float, lane: float) -> tuple[float, float]:
    """A position, m, uniform over the lanes of a road along the x axis, by two uniform numbers in (0, 1)."""
    return (chance - 0.5) * length_m, (min(int(lane * lanes), lanes - 1) - 0.5 * (lanes - 1)) * lane_width_m


@kernel(INLINED)
def within(begin: float, chance: float, part: float) -> float:
    """A number in a part of (0, 1), by two uniform numbers: where the part begins, and where in it the number is."""
    return begin * (1.0 - part) + chance * part


def drive(start_m: Floats, heading_rad: Floats, travelled_m: Floats, length_m: float) -> Floats:
    """Where straight drives along the x axis lead that are reflected at the ends of a road, on their lanes.

    A reflection keeps the uniform distribution, and no position jumps.

    Args:
        start_m: [N, C, 2] positions at the start, m.
        heading_rad: [N, C] 0 or pi: towards larger or smaller x.
        travelled_m: [N, C] length of the way so far, m.
        length_m: Of the road, whose middle is in the origin.

    Returns:
        [N, C, 2] positions, m.
    """
    position_m = start_m.copy()
    way = start_m[..., 0] + length_m / 2 + np.where(heading_rad == 0.0, travelled_m, -travelled_m)
    position_m[..., 0] = length_m / 2 - np.abs(np.mod(way, 2 * length_m) - length_m)
    return position_m


def ground_distance_m(position_m: Floats) -> Floats:
    """Distance to the base station, m: [N, C, 2] -> [N, C]."""
    return np.hypot(position_m[..., 0], position_m[..., 1])


def walk(start_m: Floats, heading_rad: Floats, travelled_m: Floats, min_distance_m: float, radius_m: Floats) -> Floats:
    """Where straight walks lead that are reflected, like light, at both borders of the ring.

    Both borders are circles around the base station, so a reflection changes neither the smallest distance of the way
    to it nor the sense in which the way slots around it. The walk is a row of equal legs between the borders (between
    the outer border and the nearest point, if the way misses the inner border), each turning by the same angle.

    Args:
        start_m: [N, C, 2] positions at the start, m.
        heading_rad: [N, C] directions at the start, rad.
        travelled_m: [N] length of the way so far, m.
        min_distance_m: Inner border of the ring.
        radius_m: [N] outer border.

    Returns:
        [N, C, 2] positions, m.
    """
    x, y = start_m[..., 0], start_m[..., 1]
    along = x * np.cos(heading_rad) + y * np.sin(heading_rad)  # signed way past the nearest point, m
    across = x * np.sin(heading_rad) - y * np.cos(heading_rad)  # > 0: counter-clockwise
    outer_m = radius_m[:, None]
    nearest = np.minimum(np.abs(across), TANGENT * outer_m)
    leg_end = np.sqrt(outer_m**2 - nearest**2)
    leg_start = np.sqrt(np.maximum(min_distance_m**2 - nearest**2, 0.0))
    leg = leg_end - leg_start

    def swept_rad(way: Floats) -> Floats:
        """Angle around the base station over the first `way` metres of an outward leg; odd in `way`."""
        return np.sign(way) * (np.arctan2(np.abs(way) + leg_start, nearest) - np.arctan2(leg_start, nearest))

    begun = along - np.sign(along) * leg_start
    walked = begun + travelled_m[:, None]
    pairs = np.round(walked / (2 * leg))  # outward and inward again
    rest = walked - pairs * 2 * leg
    turned_rad = 2 * pairs * swept_rad(leg) + swept_rad(rest) - swept_rad(begun)
    angle_rad = np.mod(np.arctan2(y, x) + np.sign(across) * turned_rad, 2 * np.pi)
    distance_m = np.hypot(nearest, np.abs(rest) + leg_start)
    return _at(distance_m, angle_rad)


def _at(distance_m: Floats, angle_rad: Floats) -> Floats:
    """Positions in polar coordinates, [N, C] each, as [N, C, 2]."""
    position_m = np.empty((*distance_m.shape, 2))
    position_m[..., 0], position_m[..., 1] = distance_m * np.cos(angle_rad), distance_m * np.sin(angle_rad)
    return position_m
