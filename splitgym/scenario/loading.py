"""Scenarios by name, from a file, or from parts."""

import tomllib
from collections.abc import Mapping
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from splitgym.files import read_toml
from splitgym.inputs import reading
from splitgym.parts import suggest
from splitgym.scenario.errors import ScenarioError, in_one_line
from splitgym.scenario.scenario import Scenario

_PRESETS = resources.files("splitgym.scenario") / "presets"


def presets() -> tuple[str, ...]:
    """Names of the scenarios that come with the package, in alphabetical order."""
    return presets_in(_PRESETS)


def presets_in(folder: Traversable) -> tuple[str, ...]:
    """Names of the TOML files in a folder of the package, in alphabetical order."""
    return tuple(sorted(Path(entry.name).stem for entry in folder.iterdir() if entry.name.endswith(".toml")))


def load(name_or_path: str | Path) -> Scenario:
    """Loads a preset by name or a scenario from a TOML file.

    Raises:
        ScenarioError: no such preset or file, no valid TOML, or no valid scenario; one line.
    """
    return build(name_or_path)


def build(source: str | Path | Mapping[str, Any] | Scenario, overrides: Mapping[str, Any] | None = None) -> Scenario:
    """Makes a scenario from a preset name, a TOML file, a mapping or a scenario, with some fields replaced.

    Args:
        source: Where the scenario comes from.
        overrides: Fields to replace, nested as in the scenario: `{"clients": {"count": 20}}`.

    Raises:
        ScenarioError: as for `load`; also for an override that names no field.
    """
    if isinstance(source, Scenario):
        values = source.model_dump()
    elif isinstance(source, Mapping):
        values = dict(source)
    elif isinstance(source, str | Path):
        return _from_file(source, overrides or {})
    else:
        raise ScenarioError(f"scenario = {source!r}, allowed: preset name, path of a TOML file, mapping or Scenario")
    return _validate(_merge(values, overrides or {}))


def read(name_or_path: str | Path, folder: Traversable, what: str) -> dict[str, Any]:
    """What a preset or a file holds.

    Args:
        name_or_path: A preset in the folder, or the path of a TOML file.
        folder: Of the presets.
        what: What it describes, as messages name it.

    Raises:
        ScenarioError: there is no such preset or file, or it is no TOML; one line.
    """
    if str(name_or_path) in presets_in(folder):
        return tomllib.loads((folder / f"{name_or_path}.toml").read_text(encoding="utf-8"))
    path = Path(name_or_path)
    if path.suffix != ".toml":
        raise ScenarioError(
            f"{what} {str(name_or_path)!r} is neither a preset nor a .toml file: "
            f"{suggest(str(name_or_path), presets_in(folder))}"
        )
    with reading(f"{what} file {str(path)!r}", ScenarioError):
        return dict(read_toml(path))


def in_commands(name: str) -> str:
    """How a command names the scenario of that name: as a preset, or else by a file that has to be there first."""
    return name if name in presets() else "FILE.toml"


def _from_file(source: str | Path, overrides: Mapping[str, Any]) -> Scenario:
    """The scenario of a preset or a file, with overrides; a message names the file."""
    values = _merge(read(source, _PRESETS, "scenario"), overrides)
    try:
        return _validate(values)
    except ScenarioError as error:
        if str(source) in presets():
            raise
        raise ScenarioError(f"scenario file {str(source)!r}: {error}") from error


def _merge(values: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """The values with overrides, sections field by field."""
    merged = dict(values)
    for name, value in overrides.items():
        old = merged.get(name)
        if isinstance(value, Mapping) and (old is None or isinstance(old, Mapping)):
            merged[name] = _merge(old or {}, value)
        else:
            merged[name] = value
    return merged


def _validate(values: Mapping[str, Any]) -> Scenario:
    with in_one_line(ScenarioError):
        return Scenario.model_validate(values)
