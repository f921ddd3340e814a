"""An episode as pandas DataFrames: a row for each round, and a row for each client in each round."""

import gzip
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pandas as pd

from splitgym.arrays import Floats
from splitgym.evaluation.log import EpisodeLog
from splitgym.outputs import write_together
from splitgym.rendering.scene import Role, Scene, owned

OF_CLIENTS = ("codec", "precision", "batch_size", "clock")
"""Fields of a decision that each client may have for itself, shown where `info` has them."""


def round_frame(log: EpisodeLog) -> pd.DataFrame:
    """One row for each round.

    Columns are `round`, what `info` says (entries of dictionaries as `stages.client_fp`; of what is true or not of
    each client how many it is true of; other values of clients stand in `client_frame`), `reward`, `terminated` and
    `truncated`.
    """
    rows = [
        {
            **_flat(each.info),
            "reward": each.reward,
            "terminated": each.terminated,
            "truncated": each.truncated,
        }
        for each in log.rounds
    ]
    return pd.DataFrame(rows)


def client_frame(log: EpisodeLog) -> pd.DataFrame:
    """One row for each round and client of the episode.

    Columns:

    - `round`, `client`: from 1, from 0
    - `selected`, `participated`: whether it was meant to, and did
    - `reason`: why it did not: what `splitgym.rendering.scene.Role` says; empty if it did
    - `client_hz`: the speed that other work left to it, cycles/s
    - `cut_layer`: its last unit; `codec`, `precision`, `batch_size`, `clock` where the scenario opens them
    - `subchannels`: how many are its own, without those of others in its slot
    - `power_w`: what it sends with on these, W
    - `energy_j`: what it spent, J
    - `seconds.STAGE`: how long it was busy with that phase, or was served in it, s
    """
    return pd.concat([_clients(log, number) for number in range(1, len(log.rounds) + 1)], ignore_index=True)


def write_frames(stem: Path, log: EpisodeLog, naming: Mapping[str, Any]) -> None:
    """Writes both tables as packed CSV: `STEM-rounds.csv.gz`, `STEM-clients.csv.gz`.

    Args:
        stem: Of the files; their folder must be there.
        log: Of the episode.
        naming: First columns, with a value each.
    """
    frames = {"rounds": round_frame(log), "clients": client_frame(log)}
    contents = {stem.with_name(f"{stem.name}-{name}.csv.gz"): _csv(frame, naming) for name, frame in frames.items()}
    write_together({path: partial(_write, content=content) for path, content in contents.items()})


def _write(file: BinaryIO, content: bytes) -> None:
    file.write(content)


def _csv(frame: pd.DataFrame, naming: Mapping[str, Any]) -> bytes:
    """The same bytes at every time, which `gzip` else notes."""
    for place, (name, value) in enumerate(naming.items()):
        frame.insert(place, name, value)
    return gzip.compress(frame.to_csv(index=False).encode(), mtime=0)


def _flat(info: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """What there is one of in a round, by name."""
    flat: dict[str, Any] = {}
    for name, value in info.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{name}.")
        elif np.ndim(value) == 0:
            flat[prefix + name] = value
        elif np.asarray(value).dtype == np.bool_:
            flat[prefix + name] = int(np.sum(value))
    return flat


def _clients(log: EpisodeLog, number: int) -> pd.DataFrame:
    """The clients in a round."""
    played, scene = log.rounds[number - 1], log.scene(number)
    decision, info, clients = played.decision, played.info, scene.clients
    roles = [scene.role(client) for client in clients]
    density = owned(scene)
    open_factors = [name for name in OF_CLIENTS if name in info]
    of_clients = {
        "selected": decision.selected,
        "participated": info["participants"],
        "reason": np.array([""] * len(decision.selected), dtype=object),
        "client_hz": played.truth.client_hz,
        "cut_layer": np.asarray(decision.cut_layer),
        **{name: np.asarray(info[name]) for name in open_factors},
        "subchannels": np.isfinite(density).sum(1),
        "power_w": np.nansum(density * played.truth.subchannel_hz, axis=1),
        "energy_j": info["client_energy_j"],
        **{f"seconds.{stage}": seconds for stage, seconds in _seconds(scene).items()},
    }
    of_clients["reason"][clients] = ["" if role is Role.TOOK_PART else role.value for role in roles]
    count = len(decision.selected)
    own = {name: np.broadcast_to(values, (count,))[clients] for name, values in of_clients.items()}
    return pd.DataFrame({"round": info["round"], "client": clients, **own})


def _seconds(scene: Scene) -> dict[str, Floats]:
    """[C] seconds that each phase kept the clients busy, by its name."""
    assert scene.played is not None
    cost, found = scene.played.cost, dict[str, Floats]()
    # What would go on for ever ends with the round.
    busy = np.minimum(cost.stop_s, cost.latency_s) - np.minimum(cost.start_s, cost.latency_s)
    for stage, seconds in zip(cost.stages, busy, strict=True):
        found[stage] = found.get(stage, 0.0) + seconds
    return found
