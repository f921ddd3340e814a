"""Counts again what networks cost, in calibrations that are there already.

    python -m experiments calibrate.network runs/calibrations/iot-epsl.toml

All other numbers stay, and no run is trained.
"""

import inspect
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tomli_w
import tyro

from splitgym import data, models
from splitgym.command_line import about, parsing
from splitgym.files import read_toml
from splitgym.inputs import reading
from splitgym.learning.surrogate import calibration
from splitgym.learning.surrogate.calibration_file import CalibrationFile, Network
from splitgym.outputs import write_text
from splitgym.scenario import ScenarioError, Task
from splitgym.scenario.errors import in_one_line
from splitgym.scenario.parts import NETWORKS


@dataclass(frozen=True)
class Options:
    """Count again what networks cost, in calibrations that are there already."""

    files: Annotated[tuple[Path, ...], tyro.conf.Positional] = ()
    """Calibrations; none: all that are shipped."""


def main() -> None:
    """Writes the section `network` of each file anew."""
    with parsing():
        options = tyro.cli(Options, description=about(inspect.getdoc(Options)))
    shipped = Path(calibration.__file__).with_name("calibrations").glob("*.toml")
    for path in options.files or sorted(shipped):
        with reading(f"calibration {str(path)!r}", ScenarioError), in_one_line():
            text = counted_again(read_toml(path))
        write_text(path, text)
        print(f"Saved {path}")


def counted_again(values: dict[str, Any]) -> str:
    """A calibration as TOML, with what its network costs now.

    Raises:
        pydantic.ValidationError: it is no calibration, whatever it says of its network.
    """
    others = {name: value for name, value in values.items() if name != "network"}
    task = CalibrationFile.model_validate(others).task
    return compact(tomli_w.dumps({**values, **network_section(task)}))


def network_section(task: Task) -> dict[str, Any]:
    """What the network costs, so that the surrogate starts without torch; of one's own, which may change, nothing."""
    if task.model not in NETWORKS:
        return {}
    costs = models.measure(task.model, *data.dimensions(task.dataset), task.stem)
    return {"network": Network.of(costs).model_dump()}


def compact(toml: str) -> str:
    """With every list on one line."""
    one_line = re.sub(r"\[\n((?:    .*\n)*)\]", lambda found: f"[{' '.join(found[1].split())}]", toml)
    return one_line.replace("[ ", "[").replace(", ]", "]").replace(",]", "]")
