"""Calibrations: the numbers of the law for one task, with the runs that they come from and their error."""

import os
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splitgym.learning.surrogate.parameters import BY_CLASS, BY_CUT, Parameters
from splitgym.scenario import Scenario, ScenarioError, Task, Training

FOLDER_VARIABLE = "SPLITGYM_CALIBRATIONS"
"""Environment variable with a folder of one's own calibrations."""

FREE = ("dirichlet_alpha", "evaluation_samples", "evaluate_every")
"""Fields of `task` that a calibration does not depend on, or has a range of."""


@dataclass(frozen=True)
class Calibration:
    """What the surrogate knows of a task."""

    frameworks: tuple[str, ...]
    task: dict[str, Any]
    """Fields of the scenario's section `task` that it holds for."""
    training: dict[str, Any]
    """As `task`, of the section `training`."""
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
    def load(cls, text: str) -> "Calibration":
        """From TOML."""
        values = tomllib.loads(text)
        numbers = values["parameters"]
        values["parameters"] = Parameters(**{**numbers, **{n: np.array(numbers[n]) for n in (*BY_CUT, *BY_CLASS)}})
        for name in ("train_samples", "test_samples"):
            values[name] = np.array(values[name])
        for name in ("frameworks", "clients", "dirichlet_alpha"):
            values[name] = tuple(values[name])
        return cls(**values)

    def fits(self, scenario: Scenario, framework: str) -> bool:
        """Whether it is for that task, training and framework."""
        # A field that is younger than the calibration has its default there.
        own = Task(**self.task), Training(**self.training)
        task, training = key(scenario)
        return framework in self.frameworks and own == (Task(**task), Training(**training))


def key(scenario: Scenario) -> tuple[dict[str, Any], dict[str, Any]]:
    """The fields of task and training that learning depends on; absent ones (None) are left out."""
    task = scenario.task.model_dump(mode="json", exclude=set(FREE), exclude_none=True)
    training = scenario.training.model_dump(mode="json", exclude={"aggregation_ratio"}, exclude_none=True)
    return task, training


def calibration_for(scenario: Scenario, framework: str) -> Calibration:
    """The calibration of that scenario and framework: one's own (`FOLDER_VARIABLE`) before those of the package.

    Raises:
        ScenarioError: there is none, or the scenario is outside of its ranges; the message says how to make one.
    """
    command = f"python -m experiments calibrate --scenario {scenario.name} --framework {framework}"
    found = next((each for each in _all() if each.fits(scenario, framework)), None)
    if found is None:
        raise ScenarioError(
            f"learner = 'surrogate': scenario {scenario.name!r} with framework {framework!r} and its settings of "
            f"task and training is not calibrated; `{command}` makes a calibration (your own scenario: the path of its "
            f"TOML file), to be found through the folder in {FOLDER_VARIABLE}"
        )
    task, family = scenario.task, scenario.family
    _check_range("clients.count", (scenario.clients.count,), found.clients, command)
    _check_range("family.clients", family.clients or (), found.clients, command)
    if task.partition == "dirichlet":
        _check_range("task.dirichlet_alpha", (task.dirichlet_alpha,), found.dirichlet_alpha, command)
        _check_range("family.dirichlet_alpha", family.dirichlet_alpha or (), found.dirichlet_alpha, command)
    return found


def _all() -> Iterator[Calibration]:
    own = os.environ.get(FOLDER_VARIABLE)
    for folder in ([Path(own)] if own else []) + [resources.files(__package__) / "calibrations"]:
        for file in sorted(folder.iterdir(), key=lambda file: file.name):
            if file.name.endswith(".toml"):
                yield Calibration.load(file.read_text(encoding="utf-8"))


def _check_range(field: str, values: Sequence[float], allowed: tuple[float, float], command: str) -> None:
    least, most = allowed
    option = "--dirichlet-alpha" if field.endswith("alpha") else "--clients"
    for value in values:
        if not least <= value <= most:
            raise ScenarioError(
                f"{field} = {value:g}: the surrogate is calibrated for {least:g} to {most:g}; "
                f"`{command} {option} {min(least, value):g} {max(most, value):g}` calibrates it anew"
            )
