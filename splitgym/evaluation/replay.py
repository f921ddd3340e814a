"""Episodes of several schedulers side by side, as one HTML page that needs no other file and no network."""

import math
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from splitgym.evaluation.frame import client_frame, round_frame
from splitgym.evaluation.html import render
from splitgym.evaluation.log import EpisodeLog
from splitgym.inputs import MissingExtraError
from splitgym.outputs import write_text
from splitgym.rendering.palette import look
from splitgym.rendering.timeline import SERVER, bars


def plotly() -> str:
    """The source of plotly.js, as the Python package brings it.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        from plotly.offline import get_plotlyjs  # noqa: PLC0415 - of an extra
    except ModuleNotFoundError as error:
        raise MissingExtraError("a replay needs plotly, pip install 'splitgym[replay]'") from error
    return str(get_plotlyjs())


def write_replay(path: Path, logs: Mapping[str, EpisodeLog], seed: int, script: str) -> None:
    """Writes the page.

    Args:
        path: Of the page.
        logs: Episodes of one scenario and seed, by the name of the scheduler.
        seed: Of the episodes.
        script: `plotly()`.
    """
    source = files("splitgym.evaluation")
    page = render(
        source.joinpath("replay.html.jinja").read_text(encoding="utf-8"),
        data=replay_data(logs, seed),
        # Both are scripts of their own and end nowhere inside.
        plotly=script.replace("</script", r"<\/script"),
        script=source.joinpath("replay.js").read_text(encoding="utf-8"),
    )
    write_text(path, page)


def replay_data(logs: Mapping[str, EpisodeLog], seed: int) -> dict[str, Any]:
    """What the page shows: the rows of `round_frame` and `client_frame`, places of the clients, and bars.

    A bar is who is busy (a client, or -1: the server), with which stage, from when to when, s. What is not a finite
    number is null.
    """
    first = next(iter(logs.values())).world
    stages = sorted({bar[1] for log in logs.values() for number in _numbers(log) for bar in bars(log.scene(number))})
    looks = {stage: look(stage) for stage in stages}
    return {
        "scenario": first.scenario.name,
        "framework": first.framework.name,
        "learner": first.learner,
        "seed": seed,
        "target": first.scenario.episode.target_accuracy,
        "server": SERVER,
        "stages": {stage: {"name": each.name, "colour": each.colour} for stage, each in looks.items()},
        "agents": [{"name": name, "accuracy": log.accuracy, "rounds": _rounds(log)} for name, log in logs.items()],
    }


def _numbers(log: EpisodeLog) -> range:
    return range(1, len(log.rounds) + 1)


def _rounds(log: EpisodeLog) -> list[dict[str, Any]]:
    """A round each."""
    rows, of_clients = round_frame(log).to_dict("records"), client_frame(log)
    return [
        {
            "facts": _plain(row),
            "radius_m": log.rounds[number - 1].radius_m,
            "clients": [
                {**_plain(client), **_place(log, number, client["client"])}
                for client in of_clients[of_clients["round"] == number].to_dict("records")
            ],
            "bars": [[bar.row, bar.stage, bar.start_s, bar.stop_s] for bar in bars(log.scene(number))],
        }
        for number, row in zip(_numbers(log), rows, strict=True)
    ]


def _place(log: EpisodeLog, number: int, client: int) -> dict[str, float]:
    x, y = log.rounds[number - 1].position_m[client]
    return {"x_m": float(x), "y_m": float(y), "gain_db": log.scene(number).gain_db(client)}


def _plain(row: Mapping[Any, Any]) -> dict[str, Any]:
    """Numbers of Python, as JSON has them."""
    plain = {str(name): value.item() if hasattr(value, "item") else value for name, value in row.items()}
    return {name: None if isinstance(v, float) and not math.isfinite(v) else v for name, v in plain.items()}
