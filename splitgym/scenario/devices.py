"""Measured devices: how many seconds each unit of a network took on one, as a file says."""

import csv
import os
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from splitgym.arrays import Floats
from splitgym.files import read_text, read_toml
from splitgym.inputs import reading
from splitgym.parts import suggest
from splitgym.scenario.errors import ScenarioError, in_one_line

if TYPE_CHECKING:
    from splitgym.scenario.sections import Clients

PUBLISHED = "device_layer_profiles.csv"
"""File in SPLITGYM_DATA: seconds of VGG-19 and ResNet-101 on six machines (Tirana et al.)."""
ORIGIN = "github.com/jtirana98/SFL-workflow-optimization, MIT"
PUBLISHED_ROWS = 128
"""Samples of the mini-batches that it was measured with: what its activations hold."""

Seconds = Annotated[float, Field(ge=0.0, le=1e6)]
Bytes = Annotated[float, Field(ge=0.0, le=1e15)]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class UnitProfile(_Strict):
    """What a unit of a network takes for a mini-batch."""

    name: Annotated[str, Field(max_length=100)]
    forward_s: Seconds
    backward_s: Seconds
    update_s: Seconds
    """Of the step of the optimiser."""
    activation_bytes: Bytes
    """Of its output."""
    weight_bytes: Bytes


class DeviceProfile(_Strict):
    """What the units of a network took on a device."""

    device: Annotated[str, Field(min_length=1, max_length=100)]
    """Its name."""
    machine: Annotated[str, Field(max_length=300)]
    """What it is."""
    network: Annotated[str, Field(max_length=100)]
    batch_size: Annotated[int, Field(ge=1, le=100_000)]
    """Samples of the mini-batch."""
    threads: Annotated[int, Field(ge=0, le=100_000)]
    """Of the processor; 0: not known."""
    repeats: Annotated[int, Field(ge=0, le=1_000_000)]
    """Of which the seconds are the median; 0: not known."""
    units: Annotated[tuple[UnitProfile, ...], Field(min_length=2, max_length=1000)]

    @property
    def forward_s(self) -> Floats:
        """[L] of a sample."""
        return np.array([unit.forward_s for unit in self.units]) / self.batch_size

    @property
    def backward_s(self) -> Floats:
        """[L] of a sample, with its part of the step of the optimiser."""
        return np.array([unit.backward_s + unit.update_s for unit in self.units]) / self.batch_size

    @property
    def seconds(self) -> float:
        """Of a sample through all units, forward and backward."""
        return float(self.forward_s.sum() + self.backward_s.sum())


class Devices(NamedTuple):
    """The measured devices of a scenario's clients."""

    profiles: tuple[DeviceProfile, ...]
    """[D] each one once."""
    device: tuple[int, ...]
    """[C] which of them each client is."""
    client_hz: tuple[float, ...]
    """[C] speeds without other work, cycles/s: that of the fastest is `compute_max_hz`, the others' are so many times
    lower as they need longer for the whole network."""


def devices_of(clients: "Clients") -> Devices:
    """The measured devices of clients; without any if these compute FLOPs.

    Raises:
        ScenarioError: a profile cannot be read, or a device needed no time.
    """
    names = tuple(dict.fromkeys(clients.profile))
    profiles = tuple(read_profile(name) for name in names)
    if not profiles:
        return Devices((), (), ())
    fastest = min(profile.seconds for profile in profiles)
    if fastest <= 0:
        raise ScenarioError(f"clients.profile = {list(names)}: a device needed 0 s, allowed: devices that need time")
    device = tuple(names.index(clients.profile[i % len(clients.profile)]) for i in range(clients.count))
    return Devices(
        profiles, device, tuple(clients.compute_max_hz * fastest / profiles[each].seconds for each in device)
    )


def read_profile(name: str, field: str = "clients.profile") -> DeviceProfile:
    """A profile from a file that `splitgym profile` wrote, or a published one by its name.

    Args:
        name: Path that ends in .toml, or `NETWORK-DATASET-DEVICE`, such as "vgg19-cifar-laptop".
        field: What named it, for messages.

    Raises:
        ScenarioError: there is none; one line.
    """
    if name.endswith(".toml"):
        with reading(f"{field} {name!r}", ScenarioError), in_one_line(ScenarioError):
            return DeviceProfile.model_validate(read_toml(Path(name)))
    folder = os.environ.get("SPLITGYM_DATA")
    if not folder or not (path := Path(folder) / PUBLISHED).is_file():
        where = f"{PUBLISHED} in the folder that SPLITGYM_DATA names ({ORIGIN})"
        raise ScenarioError(f"{field} = {name!r} needs {where}; one's own: the path of a .toml file")
    with reading(str(path), ScenarioError):
        found: dict[str, list[dict[str, str]]] = {}
        for row in csv.DictReader(StringIO(read_text(path))):
            found.setdefault(f"{row['model']}-{row['dataset']}-{row['device']}", []).append(row)
        if name not in found:
            raise ScenarioError(f"{field} = {name!r} is unknown, {suggest(name, found)}")
        return _published(found[name])


def _published(rows: list[dict[str, str]]) -> DeviceProfile:
    """The profile that the rows of one network, data set and device say, in milliseconds and KiB."""

    def unit(row: dict[str, str]) -> dict[str, Any]:
        values: dict[str, Any] = {
            f"{each}_s": float(row[f"{each}_ms"]) / 1e3 for each in ("forward", "backward", "update")
        }
        kib = {f"{each}_bytes": float(row[f"{each}_kb"]) * 1024 for each in ("activation", "weight")}
        return {"name": row["layer"], **values, **kib}

    first = rows[0]
    return DeviceProfile.model_validate(
        {
            "device": first["device"],
            "machine": first["device"],
            "network": f"{first['model']}, {first['dataset']}",
            "batch_size": PUBLISHED_ROWS,
            "threads": 0,
            "repeats": 0,
            "units": [unit(row) for row in sorted(rows, key=lambda row: int(row["layer"]))],
        }
    )
