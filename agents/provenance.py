"""What decides a result: versions of everything, and digests of sources, scenarios, data and policies."""

import os
import platform
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from hashlib import sha256
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

import gymnasium as gym

import splitgym
from splitgym import data
from splitgym.evaluation.runner import AgentFactory
from splitgym.learning.surrogate.calibration import FOLDER_VARIABLE

from .registry import parse

PACKAGES = ("splitgym", "gymnasium", "numpy", "scipy", "stable-baselines3", "sb3-contrib", "torch")


def versions() -> dict[str, str]:
    """Of Python and of the packages on which results depend."""
    return {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}}


def machine() -> str:
    """Operating system and processor."""
    return f"{platform.system()} {platform.machine()}"


@cache
def sources(*others: Path) -> str:
    """A digest of the simulator, the schedulers, and other files and folders."""
    return digest_of(_files((Path(splitgym.__path__[0]), Path(__file__).parent, *others)))


def digest_of(files: Iterable[tuple[str, bytes]]) -> str:
    """Of paths and contents, in their order."""
    digest = sha256()
    for path, content in files:
        digest.update(f"{path}\n".encode() + content)
    return digest.hexdigest()[:16]


def _files(roots: Iterable[Path]) -> Iterator[tuple[str, bytes]]:
    """Paths and contents of all files there, folder after folder."""
    for root in roots:
        for path in sorted(root.rglob("*")) if root.is_dir() else [root]:
            if path.is_file() and "__pycache__" not in path.parts:
                yield path.relative_to(root.parent).as_posix(), path.read_bytes()


def made_by(
    settings: Mapping[str, Any], environments: Mapping[str, gym.Env[Any, Any]], schedulers: Mapping[str, AgentFactory]
) -> dict[str, Any]:
    """What decides the episodes of a comparison beside scenario, agent and seed, by name.

    Args:
        settings: Of the comparison; `framework` and `learner` among them.
        environments: One of each scenario, by its name.
        schedulers: By name.
    """
    found = {**settings, **versions(), "machine": machine(), "sources": sources(*_own_sources(settings, schedulers))}
    for name, env in environments.items():
        world: Any = env.unwrapped
        found[f"scenario {name}"] = sha256(world.scenario.to_toml().encode()).hexdigest()[:16]
        found[f"data of {name}"] = data.digest(world.scenario.task.dataset)
        if trace := world.scenario.radio.trace:
            found[f"trace of {name}"] = sha256(Path(trace).read_bytes()).hexdigest()[:16]
        for agent, make in schedulers.items():
            if policy := getattr(make(env), "digest", None):
                found[f"policy of {agent} in {name}"] = policy[:16]
    return found


def _own_sources(settings: Mapping[str, Any], schedulers: Iterable[str]) -> Iterator[Path]:
    """Files of the user's that decide results: the modules of a framework and of schedulers, calibrations."""
    for name in (settings["framework"], *(parse(text)[0] for text in schedulers)):
        module, colon, _ = name.partition(":")
        if colon and (file := import_module(module).__file__):
            yield Path(file).absolute()
    if settings["learner"] == "surrogate" and (folder := os.environ.get(FOLDER_VARIABLE)):
        yield Path(folder).absolute()
