"""The same as text: what the round came to, then a line for each client with its timeline in letters."""

import numpy as np

from splitgym.rendering.palette import look
from splitgym.rendering.path import path
from splitgym.rendering.scene import Played, Scene, owned
from splitgym.rendering.timeline import SERVER, bars, stages_shown, straggler
from splitgym.rendering.units import percent, quantity
from splitgym.rendering.words import batch_sizes, codecs, facts, tail_units, units_on_clients, warnings

LETTERS = 56
"""Length of a timeline."""

MOST_SUBCHANNELS = 24
"""Up to so many are shown one by one, more as a number."""


def text(scene: Scene) -> str:
    """The scene in lines without colours."""
    return "\n".join([*_head(scene), "", *_rows(scene)])


def _head(scene: Scene) -> list[str]:
    """What is said of the round as a whole."""
    episode, played = scene.scenario.episode, scene.played
    lines = [
        f"{scene.scenario.name}, {scene.framework.name}, {scene.learner}: round {scene.round} of {episode.max_rounds}",
        f"test accuracy {percent(scene.accuracy[-1])} of {percent(episode.target_accuracy)}, "
        f"simulated time {quantity(scene.elapsed_s[-1], 's')} of {episode.time_budget_s:g} s",
    ]
    if played is None:
        return [*lines, "no round has been played yet"]
    stages = {name: seconds for name, seconds in played.cost.seconds_by_stage().items() if seconds > 0}
    slow, coded = straggler(scene), codecs(scene, played)
    told = facts(scene, played) + ([("codec", ", ".join(coded))] if coded else [])
    told += [("path", ", ".join(stop.words for stop in stops)) for stops in (path(scene, played),) if len(stops) > 1]
    told += [("batch size", sizes) for sizes in (batch_sizes(scene, played),) if sizes]
    return [
        *lines,
        f"the round took {quantity(played.cost.latency_s, 's')}: "
        + ", ".join(f"{name} {quantity(seconds, 's')}" for name, seconds in stages.items()),
        f"units on the clients: {_units_on_clients(scene, played)} of {scene.state.system.units}; "
        + "; ".join(f"{name}: {value}" for name, value in told),
        f"straggler: {'nobody waits' if slow is None else f'client {slow}'}",
        *(f"! {warning}" for warning in warnings(scene, played)),
    ]


def _units_on_clients(scene: Scene, played: Played) -> str:
    (fewest, most), last = units_on_clients(scene, played), tail_units(scene, played)
    first = f"{fewest}" if fewest == most else f"{fewest} to {most}"
    return f"first {first} and last {last}" if last else first


def _rows(scene: Scene) -> list[str]:
    """A line for the server, and one for each client: speed, gain, subchannels, timeline."""
    played, density, slow = scene.played, owned(scene), straggler(scene)
    letters = _timelines(scene, played) if played else {}
    shown = density.shape[1] <= MOST_SUBCHANNELS
    wide = max(density.shape[1] if shown else 0, len("subchannels"))
    lines = [
        f"{'client':8} {'speed':>9} {'gain':>7} {'distance':>8}  {'subchannels':{wide}}  {_scale(played)}".rstrip()
    ]
    server = f"{'server':8} {quantity(scene.state.server_hz, 'Hz'):>9} {'':7} {'':8}  {'':{wide}}"
    lines.append(f"{server}  {letters.get(SERVER, '')}".rstrip())
    for client in scene.clients:
        own = np.isfinite(density[client])
        band = "".join("#" if has else "." for has in own) if shown else f"{own.sum()} of {len(own)}"
        name = f"{client}{' <' if client == slow else ''}"
        distance = f"{scene.distance_m(client):.0f} m"
        speed = quantity(scene.state.client_hz[client], "Hz")
        line = f"{name:8} {speed:>9} {scene.gain_db(client):>4.0f} dB {distance:>8}"
        done = letters[client] if client in letters and letters[client].strip(" .") else ""
        lines.append(f"{line}  {band:{wide}}  {done or scene.role(client).value}")
    if played:
        used = dict.fromkeys(map(look, stages_shown(scene)))
        lines += ["", "  ".join(f"{style.letter}: {style.name}" for style in used) + "  <: straggler"]
    return lines


def _scale(played: Played | None) -> str:
    """The time axis: 0, and the latency at the end."""
    return f"{'0':{LETTERS - 8}}{quantity(played.cost.latency_s, 's'):>8}" if played else ""


def _timelines(scene: Scene, played: Played) -> dict[int, str]:
    """In each row the letter of what is going on in the middle of each of `LETTERS` parts of the round."""
    middle = (np.arange(LETTERS) + 0.5) / LETTERS * played.cost.latency_s
    rows = {row: np.full(LETTERS, ".") for row in (SERVER, *scene.clients)}
    for bar in bars(scene):
        rows[bar.row][(bar.start_s <= middle) & (middle < bar.stop_s)] = look(bar.stage).letter
    return {row: "".join(line) for row, line in rows.items()}
