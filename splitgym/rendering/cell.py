"""The cell from above: base station, clients, and the links of which clients participate."""

import math

import numpy as np

from splitgym.arrays import Floats
from splitgym.frameworks.phases import Access
from splitgym.rendering.canvas import Box, Canvas, Point, text_width
from splitgym.rendering.palette import ALERT, BLUE, CARD, FAINT, GRID, GROUND, INK, MUTED, SOFT_BLUE
from splitgym.rendering.scene import Role, Scene, owned
from splitgym.rendering.timeline import straggler

FAILED = (Role.TIMED_OUT, Role.WITHOUT_SUBCHANNEL, Role.WITHOUT_MEMORY)

STATION = 15
"""Radius of the place that the base station takes, pixels."""

LEGEND_MARK = 6
"""Radius of a mark in the legend, pixels."""

NUMBERED = 7
"""Smallest radius of a mark that has place for a number, pixels."""

WIDEST_LINK = 9.0
"""Of a client that has the whole band, pixels."""


def draw_cell(canvas: Canvas, box: Box, scene: Scene) -> None:
    """Draws the cell into a card, clients moved apart where their marks would overlap."""
    canvas.card(box, "Cell")
    canvas.text((box.right - 14, box.top + 18), band_of(scene), 12, MUTED, "rm")
    ground = box.within(14, 34, 14, 52)
    centre = ((ground.left + ground.right) / 2, (ground.top + ground.bottom) / 2)
    reach = min(ground.width, ground.height) / 2
    _draw_ground(canvas, centre, reach, scene.radius_m)
    clients, slow = scene.clients, straggler(scene)
    radius = mark_radius(len(clients))
    offset = scene.position_m[clients] * [1, -1] * (reach - radius) / scene.radius_m
    places = dict(zip(clients, _at(centre, moved_apart(offset, 2 * radius + 2, radius + STATION)), strict=True))
    share = np.isfinite(owned(scene)).mean(1)
    for client in clients:
        draw_link(canvas, centre, places[client], scene.role(client), share[client], client == slow)
    draw_station(canvas, centre)
    for client in clients:
        draw_client(canvas, places[client], radius, scene.role(client), client, client == slow)
    draw_legend(canvas, box, scene, slow is not None and scene.role(slow) is Role.TOOK_PART)


def mark_radius(clients: int) -> float:
    """Of the mark of each client, pixels: smaller ones for many."""
    return min(12.0, max(3.0, 55 / math.sqrt(max(clients, 1))))


def moved_apart(places: Floats, apart: float, from_origin: float, rounds: int = 40) -> Floats:
    """Moves points [C, 2] until no two are nearer than `apart` and none nearer to the origin than `from_origin`.

    Points that are far enough from each other stay; a crowd that has no place may stay too near after some rounds.
    """
    places = places.copy()
    tie = np.arange(len(places)) * 2.4
    for _ in range(rounds):
        between = places[:, None] - places[None]
        distance = np.hypot(*between.transpose(2, 0, 1))
        np.fill_diagonal(distance, np.inf)
        near = distance < apart
        off = np.hypot(*places.T)
        if not near.any() and (off >= from_origin).all():
            break
        # A client on the same spot goes different ways.
        same = np.stack([np.cos(tie), np.sin(tie)], 1)
        away = np.where(distance[..., None] > 1e-6, between / np.maximum(distance, 1e-6)[..., None], same[:, None])
        push = np.where(near, (apart - np.minimum(distance, apart)) / 2 + 0.05, 0.0)
        places += (away * push[..., None]).sum(1)
        off = np.hypot(*places.T)
        outward = np.where(off[:, None] > 1e-6, places / np.maximum(off, 1e-6)[:, None], same)
        places += outward * np.maximum(from_origin - off, 0.0)[:, None]
    return places


def _at(centre: Point, offset: Floats) -> list[Point]:
    return [(centre[0] + x, centre[1] + y) for x, y in offset.tolist()]


def band_of(scene: Scene) -> str:
    """The subchannels, in words."""
    hz = scene.state.subchannel_hz
    width = hz[0] / 1e6 if hz[0] >= 1e6 else hz[0] / 1e3
    return f"{len(hz)} subchannels of {width:.3g} {'MHz' if hz[0] >= 1e6 else 'kHz'}"


def _draw_ground(canvas: Canvas, centre: Point, reach: float, radius_m: float) -> None:
    """The disc of the cell, with circles at half and full radius and their lengths."""
    canvas.circle(centre, reach, GROUND, GRID, 1.5)
    canvas.circle(centre, reach / 2, None, GRID)
    x, y = centre
    for part in (0.5, 1.0):
        at = reach * part * math.sqrt(0.5)
        label = f"{part * radius_m:.0f} m"
        width = text_width(label, 11)
        canvas.rectangle(
            Box(x + at - width / 2 - 2, y + at - 7, x + at + width / 2 + 2, y + at + 7), GROUND if part < 1 else CARD
        )
        canvas.text((x + at, y + at), label, 11, MUTED, "mm")


def draw_link(canvas: Canvas, centre: Point, place: Point, role: Role, share: float, slow: bool) -> None:
    """As wide as the client's share of the band; dashed if it did not help."""
    width = 1.5 + (WIDEST_LINK - 1.5) * share
    if role is Role.TOOK_PART:
        canvas.line([centre, place], ALERT if slow else SOFT_BLUE, width)
    elif role is Role.TIMED_OUT:
        canvas.dashed(centre, place, ALERT, width)


def draw_station(canvas: Canvas, centre: Point) -> None:
    """A base station."""
    x, y = centre
    canvas.circle(centre, STATION - 2, CARD, INK, 1.5)
    canvas.polygon([(x, y - 8), (x - 5.5, y + 7), (x + 5.5, y + 7)], INK)


def draw_client(canvas: Canvas, place: Point, radius: float, role: Role, client: int, slow: bool) -> None:
    """A client: filled if it participated, red if it was dropped or the last one, dashed if it is unavailable."""
    fill, outline, colour = CARD, MUTED, MUTED
    if role is Role.TOOK_PART:
        fill, outline, colour = (ALERT, INK, CARD) if slow else (BLUE, BLUE, CARD)
    elif role in FAILED:
        outline = colour = ALERT
    elif role is Role.UNAVAILABLE:
        colour = FAINT
    if role is Role.UNAVAILABLE:
        canvas.circle(place, radius, fill)
        canvas.dashed_circle(place, radius, FAINT, 1.5)
    else:
        canvas.circle(place, radius, fill, outline, 2 if slow or role in FAILED else 1.5)
    if radius >= NUMBERED:
        canvas.text(place, f"{client}", 1.15 * radius if client < 100 else 0.85 * radius, colour, "mm", bold=True)


def draw_legend(canvas: Canvas, box: Box, scene: Scene, marked: bool) -> None:
    """What the marks say, of the roles that there are."""
    roles = {"dropped" if role in FAILED else role.value: role for role in map(scene.role, scene.clients)}
    shown = [(name, role, False) for name, role in roles.items()]
    if marked:
        shown.insert(0, ("straggler", Role.TOOK_PART, True))
    x, y = box.left + 22, box.bottom - 32
    for name, role, slow in shown:
        draw_client(canvas, (x, y), LEGEND_MARK, role, 0, slow)
        canvas.text((x + 10, y), name, 11, MUTED)
        x += text_width(name, 11) + 30
    canvas.text((box.left + 16, box.bottom - 13), _about_links(scene), 12, MUTED)


def _about_links(scene: Scene) -> str:
    """What the width of links means in this round."""
    if scene.played is None:
        return "no links yet"
    if scene.framework.access is not Access.PARALLEL:
        return "links: the wider, the more subchannels; in a slot also those of the others"
    if scene.state.system.on_demand:
        return "links: the wider, the more subchannels; idle ones are lent"
    return "links: the wider, the more subchannels"
