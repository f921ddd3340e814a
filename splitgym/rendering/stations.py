"""Several base stations from above: clients on a road or between them, and to which station each belongs."""

from typing import NamedTuple

import numpy as np

from splitgym.arrays import Floats
from splitgym.rendering.canvas import Box, Canvas, Point, text_width
from splitgym.rendering.cell import (
    STATION,
    band_of,
    draw_client,
    draw_legend,
    draw_link,
    draw_station,
    mark_radius,
    moved_apart,
)
from splitgym.rendering.palette import CARD, FAINT, GRID, GROUND, INK, MUTED
from splitgym.rendering.scene import Role, Scene, owned
from splitgym.rendering.timeline import straggler
from splitgym.scenario import Scenario

ASIDE = 110.0
"""How far from its road a station stands, pixels; to scale it would be on it."""
CROWDED = 5
"""With more stations on a road every other one stands on its other side."""
ROAD = 22.0
"""Half the width of a road, pixels."""


class Plan(NamedTuple):
    """Where metres are, pixels."""

    centre: Point
    pixels_per_m: float
    is_road: bool

    def at(self, position_m: Floats) -> Floats:
        """[..., 2] places, pixels from the centre, of positions [..., 2], m; all on the middle of a road."""
        return position_m * (self.pixels_per_m, 0.0 if self.is_road else -self.pixels_per_m)


def draw_stations(canvas: Canvas, box: Box, scene: Scene) -> None:
    """Draws stations and clients into a card, clients moved apart where their marks would overlap."""
    canvas.card(box, "Stations")
    canvas.text((box.right - 14, box.top + 18), band_of(scene), 12, MUTED, "rm")
    plan = _plan(scene, box.within(24, 44, 24, 62))
    stations = _station_places(plan, scene.scenario)
    places, clients, slow = _client_places(plan, scene, stations), scene.clients, straggler(scene)
    _draw_ground(canvas, plan, scene)
    _draw_wires(canvas, scene.scenario, stations)
    share = np.isfinite(owned(scene)).mean(1)
    for client in clients:
        station, role = stations[int(scene.state.station[client])], scene.role(client)
        if role not in (Role.TOOK_PART, Role.TIMED_OUT):
            canvas.dashed(station, places[client], FAINT, 1.5)
        draw_link(canvas, station, places[client], role, share[client], client == slow)
    for row, place in zip(scene.scenario.stations, stations, strict=False):
        draw_station(canvas, place)
        width = text_width(row.name, 11)
        below = place[1] + STATION + 8 if not plan.is_road or place[1] > plan.centre[1] else place[1] - STATION - 6
        canvas.rectangle(Box(place[0] - width / 2 - 2, below - 7, place[0] + width / 2 + 2, below + 7), CARD)
        canvas.text((place[0], below), row.name, 11, MUTED, "mm")
    radius = mark_radius(len(clients))
    for client in clients:
        draw_client(canvas, places[client], radius, scene.role(client), client, client == slow)
        if scene.state.interruption_s[client] > 0:
            # It has just changed its station.
            canvas.circle(places[client], radius + 4, None, INK, 1.5)
    if (scene.state.interruption_s[clients] > 0).any():
        canvas.text((box.right - 14, box.bottom - 13), "ring: has just changed its station", 12, MUTED, "rm")
    draw_legend(canvas, box, scene, slow is not None and scene.role(slow) is Role.TOOK_PART)


def _plan(scene: Scene, ground: Box) -> Plan:
    """The largest scale at which stations and clients have place."""
    cell, stations = scene.scenario.cell, [row.position_m for row in scene.scenario.stations]
    is_road = cell.mobility == "road"
    reach_m = scene.scenario.road.length_m / 2 if is_road else scene.radius_m
    across_m = max([reach_m, *(abs(x) for x, _ in stations)])
    up_m = 0.0 if is_road else max([reach_m, *(abs(y) for _, y in stations)])
    scale = min(ground.width / (2 * across_m), ground.height / (2 * up_m) if up_m > 0 else np.inf)
    return Plan(((ground.left + ground.right) / 2, (ground.top + ground.bottom) / 2), float(scale), is_road)


def _station_places(plan: Plan, scenario: Scenario) -> list[Point]:
    """Where the stations are drawn, beside a road on the side on which they are."""
    places, rows = [], scenario.stations
    for k, row in enumerate(rows):
        x, y = plan.at(np.array(row.position_m)).tolist()
        if plan.is_road:
            other_side = len(rows) > CROWDED and k % 2 == 1
            y = ASIDE if row.position_m[1] < 0 or other_side else -ASIDE
        places.append((plan.centre[0] + x, plan.centre[1] + y))
    return places or [(plan.centre[0], plan.centre[1] - ASIDE if plan.is_road else plan.centre[1])]


def _client_places(plan: Plan, scene: Scene, stations: list[Point]) -> dict[int, Point]:
    """Where the clients are drawn, apart from each other and from stations."""
    clients = scene.clients
    radius, places = mark_radius(len(clients)), plan.at(scene.position_m[clients])
    if not plan.is_road:
        fixed = np.array(stations) - plan.centre
        for _ in range(10):
            places = moved_apart(places, 2 * radius + 2, 0.0)
            for station in fixed:
                away = places - station
                distance = np.maximum(np.hypot(*away.T), 1e-6)[:, None]
                places += away / distance * np.maximum(radius + STATION - distance, 0.0)
    else:
        places = moved_apart(places, 2 * radius + 2, 0.0)
    x, y = plan.centre
    return {client: (x + dx, y + dy) for client, (dx, dy) in zip(clients, places.tolist(), strict=True)}


def _draw_ground(canvas: Canvas, plan: Plan, scene: Scene) -> None:
    """The road, or the disc in which clients walk, with its size."""
    x, y = plan.centre
    if not plan.is_road:
        canvas.circle(plan.centre, plan.pixels_per_m * scene.radius_m, GROUND, GRID, 1.5)
        canvas.text((x, y + plan.pixels_per_m * scene.radius_m - 9), f"{scene.radius_m:.0f} m", 11, MUTED, "mm")
        return
    half = plan.pixels_per_m * scene.scenario.road.length_m / 2
    canvas.rectangle(Box(x - half - 10, y - ROAD, x + half + 10, y + ROAD), GROUND, GRID)
    canvas.dashed((x - half - 10, y), (x + half + 10, y), GRID, 1.5)
    canvas.text((x, y + ROAD + 12), f"{scene.scenario.road.length_m / 1000:g} km", 11, MUTED, "mm")


def _draw_wires(canvas: Canvas, scenario: Scenario, stations: list[Point]) -> None:
    """Links whose ends are at stations."""
    places: dict[str | None, Point] = {}
    for row, place in zip(scenario.stations, stations, strict=False):
        places[row.name] = places[row.node] = place
    for link in scenario.links:
        one, other = (places.get(end) for end in link.ends)
        if one is not None and other is not None:
            canvas.line([one, other], INK, 1)
