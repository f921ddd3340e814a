"""Calibrations: the numbers of the law for one task, with the runs that they come from and their error."""

import os
import tomllib
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splitgym.inputs import read_text, reading
from splitgym.learning.surrogate.calibration_file import CalibrationFile, Purpose
from splitgym.learning.surrogate.parameters import Parameters
from splitgym.scenario import Scenario, ScenarioError
from splitgym.scenario.errors import in_one_line

FOLDER_VARIABLE = "SPLITGYM_CALIBRATIONS"
"""Environment variable with a folder of one's own calibrations."""


@dataclass(frozen=True)
class Calibration:
    """What the surrogate knows of a task."""

    frameworks: tuple[str, ...]
    clients: tuple[int, int]
    """Fewest and most."""
    dirichlet_alpha: tuple[float, float]
    cut_layers: int
    """Cut layers of the network, L - 1."""
    train_samples: NDArray[np.int64]
    """[K] training samples of each class."""
    test_samples: NDArray[np.int64]
    """[K] test samples of each class."""
    parameters: Parameters
    provenance: dict[str, Any]
    error: dict[str, Any]
    """On runs that the parameters were not fitted to."""

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> "Calibration":
        """From what a file holds.

        Raises:
            pydantic.ValidationError: it is no calibration.
        """
        valid = CalibrationFile.model_validate(values)
        return cls(
            frameworks=valid.frameworks,
            clients=valid.clients,
            dirichlet_alpha=valid.dirichlet_alpha,
            cut_layers=valid.cut_layers,
            train_samples=np.array(valid.train_samples),
            test_samples=np.array(valid.test_samples),
            parameters=valid.parameters.parameters(),
            provenance=valid.provenance,
            error=valid.error,
        )


def calibration_for(scenario: Scenario, framework: str) -> Calibration:
    """The calibration of that scenario and framework: one's own (`FOLDER_VARIABLE`) before those of the package.

    Raises:
        ScenarioError: there is none, or the scenario is outside of its ranges; the message says how to make one.
    """
    command = f"python -m experiments calibrate --scenario {scenario.name} --framework {framework}"
    found, faults = _find(scenario, framework)
    for fault in faults if found is not None else ():
        warnings.warn(f"{fault}; it is not used", RuntimeWarning, stacklevel=2)
    if found is None:
        broken = "".join(f"; {fault}" for fault in faults[:1])
        raise ScenarioError(
            f"learner = 'surrogate': scenario {scenario.name!r} with framework {framework!r} and its settings of "
            f"task and training is not calibrated; `{command}` makes a calibration (your own scenario: the path of its "
            f"TOML file), to be found through the folder in {FOLDER_VARIABLE}{broken}"
        )
    task, family = scenario.task, scenario.family
    _check_range("clients.count", (scenario.clients.count,), found.clients, command)
    _check_range("family.clients", family.clients or (), found.clients, command)
    if task.partition == "dirichlet":
        _check_range("task.dirichlet_alpha", (task.dirichlet_alpha,), found.dirichlet_alpha, command)
        _check_range("family.dirichlet_alpha", family.dirichlet_alpha or (), found.dirichlet_alpha, command)
    return found


def _find(scenario: Scenario, framework: str) -> tuple[Calibration | None, list[ScenarioError]]:
    """The first calibration for that scenario and framework, and what is wrong with files before it.

    A file for something else is not looked into further; one of which nobody knows what it is for is passed over.

    Raises:
        ScenarioError: the calibration is broken; the message names its file.
    """
    faults: list[ScenarioError] = []
    for path in _files():
        try:
            with _reading(path):
                values = tomllib.loads(read_text(path))
                purpose = Purpose.model_validate({n: values[n] for n in Purpose.model_fields if n in values})
        except ScenarioError as fault:
            faults.append(fault)
            continue
        if purpose.fits(scenario, framework):
            with _reading(path):
                return Calibration.of(values), faults
    return None, faults


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    with reading(f"calibration {str(path)!r}", ScenarioError), in_one_line():
        yield


def _files() -> Iterator[Path]:
    if own := os.environ.get(FOLDER_VARIABLE):
        with reading(f"{FOLDER_VARIABLE} = {own!r}", ScenarioError):
            files = list(Path(own).iterdir())
        yield from _calibrations(files)
    yield from _calibrations(Path(__file__).with_name("calibrations").iterdir())


def _calibrations(files: Iterable[Path]) -> list[Path]:
    return sorted(file for file in files if file.suffix == ".toml")


def _check_range(field: str, values: Sequence[float], allowed: tuple[float, float], command: str) -> None:
    least, most = allowed
    option = "--dirichlet-alpha" if field.endswith("alpha") else "--clients"
    for value in values:
        if not least <= value <= most:
            raise ScenarioError(
                f"{field} = {value:g}: the surrogate is calibrated for {least:g} to {most:g}; "
                f"`{command} {option} {min(least, value):g} {max(most, value):g}` calibrates it anew"
            )
