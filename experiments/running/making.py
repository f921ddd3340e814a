"""What makes a result, as its provenance says."""

from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from experiments.command_line import command_line
from experiments.running import history, provenance
from experiments.running.stale import code_digest
from splitgym.evaluation.processes import TORCH_THREADS

DECIDE_NOTHING = ("workers", "logs", "out")
"""Options of commands that decide no result."""


def made_by(name: str, command: str, settings: Mapping[str, Any], measure: Callable[..., object]) -> dict[str, Any]:
    """What the provenance says of a result that begins now.

    Args:
        name: Of the experiment, as in commands.
        command: That repeats it.
        settings: What decides it, as it stands in JSON.
        measure: Of the module that measures it.
    """
    return {
        "experiment": name,
        "command": command,
        "settings": dict(settings),
        "versions": provenance.versions(measure),
        "torch_threads": TORCH_THREADS,
        "commit": history.commit(),
        "code": code_digest(name, settings),
    }


def made_by_command(name: str, options: Any, main: Callable[[], None]) -> dict[str, Any]:
    """The same of an experiment that has options, a dataclass, and a `main`."""
    settings = {each.name: _plain(getattr(options, each.name)) for each in fields(options)}
    deciding = {name: value for name, value in settings.items() if name not in DECIDE_NOTHING}
    return made_by(name, command_line(name), deciding, main)


def _plain(value: Any) -> Any:
    """As it stands in JSON."""
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    return str(value) if isinstance(value, Path) else value
