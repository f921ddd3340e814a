"""The finished episodes of a comparison, in a file: what stands there is not played again."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from splitgym.evaluation.episodes import Episode
from splitgym.inputs import InputError
from splitgym.outputs import Journal, write_text


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """In words; empty if there are none."""
    names = [name for name in {**before, **now} if before.get(name) != now.get(name)]
    return "; ".join(f"{name} is {now.get(name)!r}, was {before.get(name)!r}" for name in names)


class OtherEpisodesError(InputError):
    """A file holds episodes that something else has made; the message says in what that differs."""


class KeptEpisodes:
    """A file with a line for each finished episode; it survives that its writer is killed at any moment.

    Args:
        path: Of the file; it is made if there is none.
        made_by: What decides the episodes beside scenario, agent and seed, by name.

    Raises:
        OtherEpisodesError: the episodes in the file were made by something else.
        InputError: a line is broken.
    """

    def __init__(self, path: Path, made_by: Mapping[str, Any]) -> None:
        if not path.exists():
            write_text(path, f"{json.dumps({'made_by': made_by})}\n")
        self._journal = Journal(path, _read)
        before = self._journal.entries[0] if self._journal.entries else None
        if not isinstance(before, dict):
            raise InputError(f"{path} is broken: its first line does not say what made the episodes")
        now = json.loads(json.dumps(made_by))
        if differ := differences(before, now):
            raise OtherEpisodesError(f"{path} holds episodes of another comparison: {differ}")

        self.episodes = [entry for entry in self._journal.entries if isinstance(entry, Episode)]
        """All of them."""

    def add(self, episode: Episode) -> None:
        """Keeps an episode; when this returns, it is on the disk."""
        self._journal.add({"episode": episode.to_json()})
        self.episodes.append(episode)


def _read(line: dict[str, Any]) -> Episode | dict[str, Any]:
    return Episode.from_json(line["episode"]) if "episode" in line else dict(line["made_by"])
