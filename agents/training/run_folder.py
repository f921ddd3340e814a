"""The folder of a training run or a comparison: everything needed to repeat it, and what it made."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import count, takewhile
from pathlib import Path
from typing import Any

from splitgym.evaluation.processes import TORCH_THREADS
from splitgym.files import read_json
from splitgym.inputs import InputError, reading
from splitgym.outputs import write_text
from splitgym.scenario import file_name

from ..policy_file import Card, card_file, weights_file
from ..provenance import machine, sources, versions
from ..records import record

LONGEST = 150
"""Letters of a folder's name, before its number."""
SETTINGS = "settings.yml"
"""The file of an algorithm's settings, which the folder of a training holds."""


def _numbered(name: str, number: int) -> Path:
    return Path("runs", f"{file_name(name)[:LONGEST]}-{number}")


@dataclass(frozen=True)
class Progress:
    """How far the training of a policy is."""

    steps: int = 0
    """Environment steps done."""


class PolicyFolder:
    """The folder in which one policy is trained.

    Attributes:
        path: The folder.
        last: The learner as it was last saved, to go on from.
        initial: The weights with which the training began.
        policy: The policy that was kept, without the endings of its two files.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.last = path / "last.safetensors"
        self.initial = path / "initial.safetensors"
        self.policy = path / "policy"
        self._progress = path / "progress.json"

    def save_progress(self, progress: Progress) -> None:
        """Notes how far the training is."""
        write_text(self._progress, json.dumps(asdict(progress)) + "\n")

    def progress(self) -> Progress:
        """How far the training is."""
        if not self._progress.exists():
            return Progress()
        with reading(f"progress {str(self._progress)!r}"):
            return record(Progress, read_json(self._progress))

    def cost(self) -> float | None:
        """Of the policy that was kept, which alone knows it, so that no kill parts the two; None: there is none.

        Raises:
            PolicyError: its card is broken.
        """
        return Card.read(card_file(self.policy)).cost if weights_file(self.policy).exists() else None


class RunFolder:
    """A run's folder.

    Attributes:
        path: The folder.
        policy: The best policy of the run, without the endings of its two files.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.policy = path / "policy"

    def seed(self, seed: int) -> PolicyFolder:
        """The folder of the policy with that seed; it is made."""
        path = self.path / f"seed-{seed}"
        path.mkdir(exist_ok=True)
        return PolicyFolder(path)

    @classmethod
    def create(cls, path: Path | None, name: str) -> "RunFolder":
        """Makes a new folder: the given one, or the next free `runs/NAME-n`.

        Raises:
            FileExistsError: the given folder holds a run already.
            NotADirectoryError: it is a file.
        """
        if path is None:
            path = next(free for n in count(1) if not (free := _numbered(name, n)).exists())
        elif (path / "run.json").exists():
            resumed = f", or continue training with --resume {path}" if (path / SETTINGS).exists() else ""
            raise FileExistsError(f"{path} holds a run already: choose another --out{resumed}")
        elif path.exists() and not path.is_dir():
            raise NotADirectoryError(f"--out {path} is not a folder")
        path.mkdir(parents=True, exist_ok=True)
        return cls(path)

    @staticmethod
    def last(name: str) -> Path | None:
        """The last `runs/NAME-n` without a gap before it; None: there is none."""
        found = list(takewhile(Path.exists, (_numbered(name, n) for n in count(1))))
        return found[-1] if found else None

    @classmethod
    def open(cls, path: Path) -> "RunFolder":
        """A folder that holds a run, perhaps without a checkpoint yet.

        Raises:
            FileNotFoundError: it does not.
        """
        for name in ("run.json", "scenario.toml", SETTINGS):
            if not (path / name).is_file():
                raise FileNotFoundError(f"{path} holds no run that can be resumed: {name} is missing")
        if old := sorted(path.glob("seed-*/last.zip")):
            raise InputError(f"{old[0]} is of an earlier version, which could execute code: its run cannot be resumed")
        return cls(path)

    def save_settings(self, command: str, settings: Mapping[str, Any], scenarios: Mapping[str, str]) -> None:
        """Writes how the run is made, and the whole scenarios: names of files, and their TOML.

        How: the command, the settings, machine and versions, a digest of the simulator and the schedulers, and the
        torch threads of each process that trains.
        """
        run = {
            "command": command,
            "settings": {name: str(value) if isinstance(value, Path) else value for name, value in settings.items()},
            "versions": {"machine": machine(), **versions(), "sources": sources()},
            "torch_threads": TORCH_THREADS,
        }
        for name, toml in scenarios.items():
            write_text(self.path / name, toml)
        # Last, for it says that there is a run.
        write_text(self.path / "run.json", json.dumps(run, indent=2) + "\n")

    def settings(self) -> dict[str, Any]:
        """The settings of the run.

        Raises:
            InputError: run.json is broken.
        """
        path = self.path / "run.json"
        with reading(str(path)):
            return dict(read_json(path)["settings"])
