"""The folder of a training run or a comparison: everything needed to repeat it, and what it made."""

import json
import platform
import re
import shlex
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from math import inf
from pathlib import Path
from typing import Any

from agents.policy_file import write
from agents.records import record
from splitgym.evaluation.processes import TORCH_THREADS
from splitgym.files import read_json
from splitgym.inputs import reading

PACKAGES = ("splitgym", "gymnasium", "numpy", "scipy", "stable-baselines3", "sb3-contrib", "torch")


def versions() -> dict[str, str]:
    """Of Python and of the packages on which results depend."""
    return {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}}


def command() -> str:
    """The command that is running."""
    return shlex.join(["python", *sys.argv])


def file_name(name: str) -> str:
    """The name without what has a meaning in paths."""
    return re.sub(r"[^\w.-]", "-", name)


@dataclass(frozen=True)
class Progress:
    """How far the training of a policy is."""

    steps: int = 0
    """Environment steps done."""
    best: float | None = None
    """Cost of the policy that was kept; None as long as there is none."""

    @property
    def cost(self) -> float:
        """That cost, or infinity."""
        return inf if self.best is None else self.best


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
        self.last = path / "last.zip"
        self.initial = path / "initial.safetensors"
        self.policy = path / "policy"
        self._progress = path / "progress.json"

    def save_progress(self, progress: Progress) -> None:
        """Notes how far the training is."""
        text = json.dumps({"steps": progress.steps, "best": progress.best}) + "\n"
        write(self._progress, lambda path: path.write_text(text, encoding="utf-8"))

    def progress(self) -> Progress:
        """How far the training is."""
        if not self._progress.exists():
            return Progress()
        with reading(f"progress {str(self._progress)!r}"):
            return record(Progress, read_json(self._progress))


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
            name = file_name(name)
            numbers = (n for n in range(1, 1_000_000) if not Path("runs", f"{name}-{n}").exists())
            path = Path("runs", f"{name}-{next(numbers)}")
        elif (path / "run.json").exists():
            raise FileExistsError(
                f"{path} holds a run already: choose another --out, or continue training with --resume {path}"
            )
        elif path.exists() and not path.is_dir():
            raise NotADirectoryError(f"--out {path} is not a folder")
        path.mkdir(parents=True, exist_ok=True)
        return cls(path)

    @classmethod
    def open(cls, path: Path) -> "RunFolder":
        """A folder that holds a run, perhaps without a checkpoint yet.

        Raises:
            FileNotFoundError: it does not.
        """
        for name in ("run.json", "scenario.toml", "settings.yml"):
            if not (path / name).is_file():
                raise FileNotFoundError(f"{path} holds no run that can be resumed: {name} is missing")
        return cls(path)

    def save_settings(self, command: str, settings: Mapping[str, Any], scenarios: Mapping[str, str]) -> None:
        """Writes how the run is made, and the whole scenarios: names of files, and their TOML.

        How: the command, the settings, the versions, and the torch threads of each process that trains.
        """
        run = {
            "command": command,
            "settings": {name: str(value) if isinstance(value, Path) else value for name, value in settings.items()},
            "versions": versions(),
            "torch_threads": TORCH_THREADS,
        }
        for name, toml in scenarios.items():
            self.write(name, partial(Path.write_text, data=toml, encoding="utf-8"))
        # Last, for it says that there is a run.
        self.write("run.json", lambda path: path.write_text(json.dumps(run, indent=2) + "\n", encoding="utf-8"))

    def settings(self) -> dict[str, Any]:
        """The settings of the run.

        Raises:
            InputError: run.json is broken.
        """
        path = self.path / "run.json"
        with reading(str(path)):
            return dict(read_json(path)["settings"])

    def write(self, name: str, save: Callable[[Path], Any]) -> Path:
        """Writes a file as a whole: until it is finished the former one stays."""
        return write(self.path / name, save)
