"""Calibrations: the numbers of the law for one task, with the runs that they come from and their error."""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splitgym import data
from splitgym.files import read_toml
from splitgym.inputs import reading
from splitgym.learning.surrogate.parameters import BY_CLASS, BY_CUT, Parameters
from splitgym.scenario import Scenario, ScenarioError, Task, Training, load, presets
from splitgym.scenario.errors import in_one_line

FOLDER_VARIABLE = "SPLITGYM_CALIBRATIONS"
"""Environment variable with a folder of one's own calibrations."""

FRAMEWORKS = ("epsl", "psl", "psl-drop")
"""Those that can be calibrated; others learn otherwise than the surrogate does, or as one of these."""

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
    data_digest: str | None = None
    """Of a data set of one's own, see `splitgym.data.digest`: another one may have its name."""

    @classmethod
    def load(cls, path: Path) -> "Calibration":
        """From a TOML file.

        Raises:
            ScenarioError: it holds no calibration; the message names it.
        """
        with reading(f"calibration {str(path)!r}", ScenarioError), in_one_line():
            values = read_toml(path)
            for name in ("train_samples", "test_samples"):
                values[name] = _numbers(name, values[name], (len(values["train_samples"]),)).astype(np.int64)
            for name in ("clients", "dirichlet_alpha"):
                values[name] = tuple(_numbers(name, values[name], (2,)).tolist())
            _numbers("cut_layers", values["cut_layers"], ())
            values["frameworks"] = tuple(values["frameworks"])
            values["parameters"] = _parameters(values["parameters"], classes=len(values["test_samples"]))
            # A field that is younger than the calibration has its default.
            Task(**values["task"]), Training(**values["training"])
            return cls(**values)

    def differences(self, scenario: Scenario) -> list[str]:
        """What a scenario has otherwise than this calibration, in words."""
        found = []
        for section, has, own in zip(
            ("task", "training"), key(scenario), _fields(Task(**self.task), Training(**self.training)), strict=True
        ):
            for name in sorted({**has, **own}):
                if has.get(name) != own.get(name):
                    found.append(f"{section}.{name} = {has.get(name)!r}, calibrated: {own.get(name)!r}")
        return found or [f"other data in {scenario.task.dataset!r}"]

    def fits(self, scenario: Scenario, framework: str) -> bool:
        """Whether it is for that task, data, training and framework."""
        own = Task(**self.task), Training(**self.training)
        task, training = key(scenario)
        return (
            framework in self.frameworks
            and own == (Task(**task), Training(**training))
            and self.data_digest == data.digest(scenario.task.dataset)
        )


def _parameters(numbers: dict[str, Any], classes: int) -> Parameters:
    shapes: dict[str, tuple[int, ...]] = {**dict.fromkeys(BY_CUT, (3,)), **dict.fromkeys(BY_CLASS, (classes,))}
    found: dict[str, Any] = {name: _numbers(name, value, shapes.get(name, ()))[()] for name, value in numbers.items()}
    return Parameters(**found)


def _numbers(name: str, value: Any, shape: tuple[int, ...]) -> NDArray[np.float64]:
    numbers = np.asarray(value)
    if numbers.shape != shape or numbers.dtype.kind not in "iuf" or not np.isfinite(numbers).all():
        raise ValueError(f"{name} = {value!r}, allowed: finite numbers of shape {shape}")
    return numbers


def key(scenario: Scenario) -> tuple[dict[str, Any], dict[str, Any]]:
    """The fields of task and training that learning depends on; absent ones (None) are left out."""
    return _fields(scenario.task, scenario.training)


def _fields(task: Task, training: Training) -> tuple[dict[str, Any], dict[str, Any]]:
    return (
        task.model_dump(mode="json", exclude=set(FREE), exclude_none=True),
        training.model_dump(mode="json", exclude={"aggregation_ratio"}, exclude_none=True),
    )


def calibration_for(scenario: Scenario, framework: str) -> Calibration:
    """The calibration of that scenario and framework: one's own (`FOLDER_VARIABLE`) before those of the package.

    Raises:
        ScenarioError: there is none, or the scenario is outside of its ranges; the message says what differs, and how
            to make one if that is possible.
    """
    command = f"python -m experiments calibrate --scenario {_source(scenario)} --framework {framework}"
    found = next((each for each in _all() if each.fits(scenario, framework)), None)
    if found is None:
        raise ScenarioError(
            f"learner = 'surrogate': scenario {scenario.name!r} with framework {framework!r} is not calibrated"
            + _why_not(scenario, framework, command)
        )
    task, family = scenario.task, scenario.family
    _check_range("clients.count", (scenario.clients.count,), found.clients, command)
    _check_range("family.clients", family.clients or (), found.clients, command)
    if task.partition == "dirichlet":
        _check_range("task.dirichlet_alpha", (task.dirichlet_alpha,), found.dirichlet_alpha, command)
        _check_range("family.dirichlet_alpha", family.dirichlet_alpha or (), found.dirichlet_alpha, command)
    return found


def _source(scenario: Scenario) -> str:
    """How a command names a scenario with this task and training."""
    is_preset = scenario.name in presets() and key(load(scenario.name)) == key(scenario)
    return scenario.name if is_preset else "FILE.toml"


def _why_not(scenario: Scenario, framework: str, command: str) -> str:
    """What differs from the nearest calibration, and what can be done."""
    if framework not in FRAMEWORKS:
        return f", nor can it be, allowed: learner = 'train', or framework {', '.join(map(repr, FRAMEWORKS))}"
    near = [each.differences(scenario) for each in _all() if framework in each.frameworks]
    differ = f": it has {'; '.join(sorted(near, key=len)[0])}" if near else " for any scenario"
    file = " (FILE.toml: where you save scenario.to_toml())" if "FILE.toml" in command else ""
    return f"{differ}; `{command}`{file} makes a calibration, to be found through the folder in {FOLDER_VARIABLE}"


def _all() -> Iterator[Calibration]:
    if own := os.environ.get(FOLDER_VARIABLE):
        with reading(f"{FOLDER_VARIABLE} = {own!r}", ScenarioError):
            files = list(Path(own).iterdir())
        yield from _of(files)
    yield from _of(Path(__file__).with_name("calibrations").iterdir())


def _of(files: Iterable[Path]) -> Iterator[Calibration]:
    yield from (Calibration.load(file) for file in sorted(files) if file.suffix == ".toml")


def _check_range(field: str, values: Sequence[float], allowed: tuple[float, float], command: str) -> None:
    least, most = allowed
    option = "--dirichlet-alpha" if field.endswith("alpha") else "--clients"
    for value in values:
        if not least <= value <= most:
            raise ScenarioError(
                f"{field} = {value:g}: the surrogate is calibrated for {least:g} to {most:g}; "
                f"`{command} {option} {min(least, value):g} {max(most, value):g}` calibrates it anew"
            )
