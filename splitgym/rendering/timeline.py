"""What is busy when, and which client the others wait for: a round's timeline as bars."""

from itertools import pairwise
from typing import NamedTuple

import numpy as np

from splitgym.arrays import Bools, Floats
from splitgym.frameworks.resources import Resource
from splitgym.rendering.scene import Scene
from splitgym.timing import RoundCost

SERVER = -1
"""Row of the server, beside those of the clients 0..C-1."""

MOVES = (Resource.UNICAST, Resource.UPLINK)
"""A timeline begins with two rows for parts of the network that move, down and up."""


class Bar(NamedTuple):
    """Somebody is busy."""

    row: int
    """Client, or SERVER."""
    stage: str
    start_s: float
    stop_s: float
    begun_before: bool = False
    """Whether it goes on with what an earlier step has begun."""
    goes_on: bool = False
    """Whether the next step goes on with it."""


class Wait(NamedTuple):
    """A part of a round in which clients work side by side, up to where the last of them is ready."""

    last: int
    """The client that is ready last."""
    others: int
    """How many wait for it."""
    start_s: float
    stop_s: float


def stages_shown(scene: Scene) -> tuple[str, ...]:
    """Stages that bars may have, but for parts of the network that move."""
    system = scene.state.system
    found = system.program.stages
    if system.asynchrony is not None:
        found += ("queue",)
        found += ("generated",) if system.asynchrony.row_cycles is not None else ()
    return found


def bars(scene: Scene) -> list[Bar]:
    """The bars of the round that was played, seconds from its start: what clients do, and what is done for them.

    What the server does for all at the same time is one bar in its row; what is broadcast stands in the row of the
    server and in those of clients that hear it.
    """
    if scene.played is None:
        return []
    cost = scene.played.cost
    began, stop_s = _who_began(cost), _finite(cost)
    found = []
    for row, (stage, resource) in enumerate(zip(cost.stages, _resources(scene), strict=True)):
        start, stop = cost.start_s[row], stop_s[row]
        busy = np.flatnonzero(began & (stop > start)).tolist()
        if resource >= Resource.SERVER:
            found += _in_turn(stage, sorted({(float(stop[i]), float(start[i])) for i in busy}))
        if resource < Resource.SERVER or resource == Resource.BROADCAST:
            found += [Bar(i, stage, float(start[i]), float(stop[i]), *_open(scene, cost, row, i)) for i in busy]
    return found + _at_server(scene, cost)


def _open(scene: Scene, cost: RoundCost, row: int, client: int) -> tuple[bool, bool]:
    """Whether an earlier step has begun what a client does in a row, and the next one goes on with it."""
    before, after = scene.state.flights, cost.flights
    if before is None or after is None:
        return False, False
    asynchrony = scene.state.system.asynchrony
    # Gradients are new in the step after the update that gave them.
    returns = asynchrony is not None and row == asynchrony.return_row
    begun_before = before.row[client] == row and not (returns and scene.state.participated[client])
    return bool(begun_before), bool(after.row[client] == row and not (returns and cost.participants[client]))


def _at_server(scene: Scene, cost: RoundCost) -> list[Bar]:
    """With an asynchronous framework: what the server has left to do, and for how long smashed data wait there."""
    asynchrony, before, after = scene.state.system.asynchrony, scene.state.flights, cost.flights
    if asynchrony is None or before is None or after is None:
        return []
    found = []
    if (done := float(before.server_left - after.server_left)) > 0:
        goes_on = bool(after.server_left > 0)
        found.append(Bar(SERVER, "generated", 0.0, done / float(scene.state.server_hz), goes_on=goes_on))
    waited, row = scene.state.delivered & scene.state.available, asynchrony.server_row
    for i in scene.clients:
        stays = bool(after.row[i] == row)
        start_s = 0.0 if waited[i] else float(cost.stop_s[row - 1, i])
        stop_s = float(cost.latency_s if stays else cost.start_s[row, i])
        if (stays or cost.participants[i]) and stop_s > start_s:
            found.append(Bar(i, "queue", start_s, stop_s, bool(waited[i]), stays))
    return found


def waits(scene: Scene) -> list[Wait]:
    """Of each slot and each run of phases that clients go through side by side: which client is last.

    Clients that were dropped at the timeout were waited for, too.
    """
    if scene.played is None:
        return []
    decision, cost, *_ = scene.played
    if cost.flights is not None:
        return _wait_for_update(scene, cost)
    began, stop_s = _who_began(cost), _finite(cost)
    slot = scene.framework.access.slot_of_clients(decision.cluster)
    common = [resource >= Resource.SERVER for resource in _resources(scene)]
    found, now = [], 0.0
    for number in np.unique(slot[began]):
        members = np.flatnonzero(began & (slot == number))
        for rows in _runs(common):
            stop = stop_s[rows][:, members].max(0)
            last = int(stop.argmax())
            if not common[rows.start] and stop[last] > now:
                found.append(Wait(int(members[last]), len(members) - 1, now, float(stop[last])))
            now = max(now, float(stop[last]))
    return found


def _wait_for_update(scene: Scene, cost: RoundCost) -> list[Wait]:
    """Which client of an update delivered last; those that had delivered before the step waited for it, too."""
    asynchrony, members = scene.state.system.asynchrony, np.flatnonzero(cost.participants)
    if asynchrony is None or not len(members):
        return []
    arrived = np.where(scene.state.delivered, 0.0, cost.stop_s[asynchrony.server_row - 1])[members]
    last = int(arrived.argmax())
    return [Wait(int(members[last]), len(members) - 1, 0.0, float(arrived[last]))] if arrived[last] > 0 else []


def straggler(scene: Scene) -> int | None:
    """The client that the round waited for longest; None: nobody else took part."""
    if scene.played is None or np.sum(_who_began(scene.played.cost)) < 2:
        return None
    seconds: dict[int, float] = {}
    for wait in waits(scene):
        seconds[wait.last] = seconds.get(wait.last, 0.0) + wait.stop_s - wait.start_s
    return max(seconds, key=lambda client: seconds[client], default=None)


def _who_began(cost: RoundCost) -> Bools:
    """With an asynchronous framework whoever does something."""
    return cost.participants | cost.timed_out if cost.flights is None else np.any(cost.stop_s > cost.start_s, axis=0)


def _in_turn(stage: str, spans: list[tuple[float, float]]) -> list[Bar]:
    """The server's bars of a stage, from ends and begins in order of the ends: it does one thing at a time."""
    found, now = [], 0.0
    for stop_s, start_s in spans:
        found.append(Bar(SERVER, stage, max(start_s, now), stop_s))
        now = stop_s
    return found


def _finite(cost: RoundCost) -> Floats:
    """[R, C] ends of the phases; what would go on for ever ends with the round."""
    return np.minimum(cost.stop_s, cost.latency_s)


def _resources(scene: Scene) -> list[int]:
    """What is busy in each row of the timeline."""
    return [*MOVES, *scene.state.system.program.resource.tolist()]


def _runs(common: list[bool]) -> list[slice]:
    """Neighbours of the same kind."""
    edges = [0, *(i for i in range(1, len(common)) if common[i] != common[i - 1]), len(common)]
    return [slice(*edge) for edge in pairwise(edges)]
