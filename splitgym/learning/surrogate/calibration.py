"""Calibrations: the numbers of the dynamics for one task, with the runs that they come from and their error."""

import os
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from splitgym.arrays import Ints
from splitgym.files import read_toml
from splitgym.inputs import reading
from splitgym.learning.surrogate.calibration_file import CalibrationFile, Purpose, key
from splitgym.learning.surrogate.parameters import Parameters
from splitgym.models import NetworkCosts
from splitgym.scenario import Scenario, ScenarioError, load, presets
from splitgym.scenario.errors import in_one_line

FOLDER_VARIABLE = "SPLITGYM_CALIBRATIONS"
"""Environment variable with a folder of one's own calibrations."""
CUTS_BY_CLIENT = "cuts-by-client"
"""What a calibration may cover beside codecs, as the command that compares it with real runs names it."""
FRAMEWORKS = ("epsl", "psl", "psl-drop", "async-psl")
"""Those that can be calibrated; others learn otherwise than the surrogate does, or as one of these."""


@dataclass(frozen=True)
class Calibration:
    """What the surrogate knows of a task."""

    frameworks: tuple[str, ...]
    clients: tuple[int, int]
    """Fewest and most."""
    dirichlet_alpha: tuple[float, float]
    codecs: tuple[str, ...]
    """With which it has been compared with real runs and found to hold, see `plan.codecs` of a scenario."""
    cuts_by_client: bool
    """Whether likewise clients may have cut layers of their own."""
    cut_layers: int
    """Cut layers of the network, L - 1."""
    network_costs: NetworkCosts | None
    """What each unit of the network costs; None: the file does not say it."""
    train_samples: Ints
    """[K] training samples of each class."""
    test_samples: Ints
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
            codecs=valid.codecs,
            cuts_by_client=valid.cuts_by_client,
            cut_layers=valid.cut_layers,
            network_costs=None if valid.network is None else valid.network.costs(),
            train_samples=np.array(valid.train_samples),
            test_samples=np.array(valid.test_samples),
            parameters=valid.parameters.parameters(),
            provenance=valid.provenance,
            error=valid.error,
        )


def calibration_for(scenario: Scenario, framework: str) -> Calibration:
    """The calibration of that scenario and framework: one's own (`FOLDER_VARIABLE`) before those of the package.

    Raises:
        ScenarioError: there is none, or the scenario is outside of its ranges; the message says what differs, and how
            to make one if that is possible.
    """
    command = f"python -m experiments calibrate --scenario {_source(scenario)} --framework {framework}"
    found, faults = _find(scenario, framework)
    for fault in faults if found is not None else ():
        warnings.warn(f"{fault}; it is not used", RuntimeWarning, stacklevel=2)
    if found is None:
        broken = "".join(f"; {fault}" for fault in faults[:1])
        raise ScenarioError(
            f"learner = 'surrogate': scenario {scenario.name!r} with framework {framework!r} is not calibrated"
            + _why_not(scenario, framework, command)
            + broken
        )
    _check_variants(scenario, found, framework)
    for field, value, (least, most) in _outside(scenario, found):
        option = "--dirichlet-alpha" if field.endswith("alpha") else "--clients"
        raise ScenarioError(
            f"{field} = {value:g}: the surrogate is calibrated for {least:g} to {most:g}; "
            f"`{command} {option} {min(least, value):g} {max(most, value):g}` calibrates it again"
        )
    return found


def _find(scenario: Scenario, framework: str) -> tuple[Calibration | None, list[ScenarioError]]:
    """The first calibration for that scenario and framework, and what is wrong with files before it.

    Several may be for the same task and training, with other ranges: the first that holds for the scenario is taken,
    or else the first. A file for something else is not looked into further; one whose purpose cannot be read is passed
    over.

    Raises:
        ScenarioError: the calibration is broken; the message names its file.
    """
    faults: list[ScenarioError] = []
    first = None
    for path, values, purpose in _purposes(faults):
        if purpose.fits(scenario, framework):
            with _reading(path):
                found = Calibration.of(values)
            if not any(_outside(scenario, found)):
                return found, faults
            first = first or found
    return first, faults


def _purposes(faults: list[ScenarioError]) -> Iterator[tuple[Path, dict[str, Any], Purpose]]:
    """All files, what they hold, and what for; those whose purpose cannot be read are added to the faults."""
    for path in _files():
        try:
            with _reading(path):
                values = read_toml(path)
                purpose = Purpose.model_validate({n: values[n] for n in Purpose.model_fields if n in values})
        except ScenarioError as fault:
            faults.append(fault)
            continue
        yield path, values, purpose


def _source(scenario: Scenario) -> str:
    """How a command names a scenario with this task and training."""
    is_preset = scenario.name in presets() and key(load(scenario.name)) == key(scenario)
    return scenario.name if is_preset else "FILE.toml"


def _why_not(scenario: Scenario, framework: str, command: str) -> str:
    """What differs from the nearest calibration, and what can be done."""
    if scenario.task.is_text:
        return ", nor can it be, as it learns a text, allowed: learner = 'train'"
    if framework not in FRAMEWORKS:
        return f", nor can it be, allowed: learner = 'train', or framework {', '.join(map(repr, FRAMEWORKS))}"
    near = [purpose.differences(scenario) for *_, purpose in _purposes([]) if framework in purpose.frameworks]
    differ = f": it has {'; '.join(sorted(near, key=len)[0])}" if near else " for any scenario"
    file = " (FILE.toml: where you save scenario.to_toml())" if "FILE.toml" in command else ""
    return f"{differ}; `{command}`{file} makes a calibration, to be found through the folder in {FOLDER_VARIABLE}"


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


def _check_variants(scenario: Scenario, found: Calibration, framework: str) -> None:
    """Raises a ScenarioError if the scenario opens what a calibration has not been compared with."""
    plan = scenario.plan
    codecs = [codec for codec in plan.codecs if codec not in found.codecs]
    by_client = plan.cut_layer == "by-client"
    for asked, missing, allowed in (
        (f"plan.codecs = {list(plan.codecs)}", codecs, ", ".join(found.codecs)),
        (f"plan.cut_layer = {plan.cut_layer!r}", [CUTS_BY_CLIENT] * (by_client > found.cuts_by_client), "'common'"),
    ):
        if missing:
            command = f"calibrate.variants --scenario {_source(scenario)} --framework {framework}"
            raise ScenarioError(
                f"{asked} with learner = 'surrogate', allowed: {allowed}; `python -m experiments {command} --variants "
                f"{' '.join(missing)}` finds out whether the calibration holds"
            )


def _outside(scenario: Scenario, found: Calibration) -> Iterator[tuple[str, float, tuple[float, float]]]:
    """Fields of the scenario that are outside of what a calibration holds for, with value, least and most."""
    task, family = scenario.task, scenario.family
    ranges: list[tuple[str, Sequence[float], tuple[float, float]]] = [
        ("clients.count", (scenario.clients.count,), found.clients),
        ("family.clients", family.clients or (), found.clients),
    ]
    if task.partition == "dirichlet":
        ranges += [
            ("task.dirichlet_alpha", (task.dirichlet_alpha,), found.dirichlet_alpha),
            ("family.dirichlet_alpha", family.dirichlet_alpha or (), found.dirichlet_alpha),
        ]
    for field, values, allowed in ranges:
        yield from ((field, value, allowed) for value in values if not allowed[0] <= value <= allowed[1])
