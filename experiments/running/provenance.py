"""What made a result: settings, versions of everything, sources, command; and what may be added to it."""

import inspect
import json
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import experiments
from agents.provenance import machine, sources
from agents.provenance import versions as packages_of_agents
from splitgym.files import read_json
from splitgym.inputs import reading
from splitgym.outputs import write_text

PACKAGES = ("matplotlib", "numba", "pandas")
"""On which results depend, beside those of `agents`."""
FILE, OF_COMMAND = "provenance.json", "run.json"
"""Files of experiments, and of the commands `splitgym compare` and `splitgym train`."""
FOLDER = Path(experiments.__path__[0])
NAMES_OF_KINDS = {str: "text", dict: "an object in braces"}


def versions(measure: Callable[..., object]) -> dict[str, str]:
    """Of machine, Python and packages; of this project a digest of the sources that decide what is measured."""
    return {
        "machine": machine(),
        **packages_of_agents(),
        **{name: version(name) for name in PACKAGES},
        "sources": sources(_own_sources(Path(inspect.getfile(measure)))),
    }


def _own_sources(measured_by: Path) -> Path:
    """The file of an experiment, or its folder if it has one of its own."""
    has_folder = (measured_by.parent / "__init__.py").exists() and measured_by.parent != FOLDER
    return measured_by.parent if has_folder else measured_by


def save(folder: Path, provenance: Mapping[str, Any]) -> None:
    """Writes it into the folder of a run, which is made."""
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / FILE, json.dumps(provenance, indent=2) + "\n")


def saved(folder: Path) -> dict[str, Any] | None:
    """That of the run in a folder, be it of an experiment or of a command; None if it holds none.

    Raises:
        InputError: it is broken.
    """
    path = next((path for name in (FILE, OF_COMMAND) if (path := folder / name).exists()), None)
    if path is None:
        return None
    with reading(str(path)):
        found = read_json(path)
        for name, kind in (("command", str), ("settings", dict), ("versions", dict)):
            if not isinstance(found[name], kind):
                raise TypeError(f"{name} = {found[name]!r}, allowed: {NAMES_OF_KINDS[kind]}")
        return found
