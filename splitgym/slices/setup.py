"""Which slices share a cell: rows of tasks with their service, from a preset, a file or Python."""

from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from splitgym.scenario import Scenario, ScenarioError, Section, build
from splitgym.scenario.errors import in_one_line
from splitgym.scenario.loading import presets_in, read
from splitgym.scenario.names import Name
from splitgym.scenario.quantities import Fraction, Seconds

COMMON = ("cell", "radio", "server")
"""Sections of a scenario that say the cell and the server, which all slices share."""

_PRESETS = resources.files("splitgym.slices") / "presets"


class SliceRow(Section):
    """A slice: a task of its own, and what it is promised."""

    name: Name = Field(description="Name that observations, `info` and frames have.")
    service: Literal["best-effort", "latency-critical"] = Field(
        "best-effort",
        description="best-effort: its accuracy is the reward; latency-critical: its late rounds are the cost.",
    )
    deadline_s: Seconds | None = Field(None, description="Longest round that is in time, s; only if latency-critical.")
    violation_probability: Fraction | None = Field(
        None, description="Share of its rounds that may be late; only if latency-critical."
    )
    scenario: str | Path | dict[str, Any] | Scenario = Field("iot", description="As `SplitLearning-v0` takes it.")
    overrides: dict[str, dict[str, Any]] = Field({}, description="Fields of the scenario that are replaced.")
    framework: str = Field("epsl", description="Its learning framework.")
    learner: str = Field("train", description="train or surrogate.")
    scheduler: Any = Field(
        "greedy",
        description="Who schedules its rounds: `name:option=value`, an object with decide(state), or a function that "
        "makes one for a SplitLearning environment.",
    )

    @model_validator(mode="after")
    def _promise_fits_service(self) -> "SliceRow":
        for field in ("deadline_s", "violation_probability"):
            given = getattr(self, field)
            if (given is None) == (self.service == "latency-critical"):
                allowed = "a number" if given is None else "None"
                raise ValueError(f"{field} = {given!r} with service = {self.service!r}, allowed: {allowed}")
        return self


class SlicedCell(Section):
    """A cell and its slices."""

    name: Name = Field("custom", description="Name that frames have.")
    description: str = Field("", max_length=2000, description="One sentence on what the cell stands for.")
    period_s: Seconds = Field(10.0, description="Seconds from one decision of the controller to the next.")
    cell: dict[str, Any] = Field({}, description="Fields of `cell` that are replaced in every slice.")
    radio: dict[str, Any] = Field({}, description="Likewise of `radio`.")
    server: dict[str, Any] = Field({}, description="Likewise of `server`.")
    slices: tuple[SliceRow, ...] = Field(min_length=1, max_length=100, description="In the order of all arrays.")

    @model_validator(mode="after")
    def _names_differ(self) -> "SlicedCell":
        names = [row.name for row in self.slices]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"slices: name {name!r} is there {names.count(name)} times, allowed: once")
        return self

    def scenarios(self) -> list[Scenario]:
        """The scenario of every slice.

        Raises:
            ScenarioError: one is not valid, or they do not share a cell and a server; the message names the field.
        """
        common = {name: getattr(self, name) for name in COMMON}
        built = []
        for row in self.slices:
            try:
                built.append(build(build(row.scenario, row.overrides), common))
            except ScenarioError as error:
                raise ScenarioError(f"slice {row.name!r}: {error}") from error
        for row, scenario in zip(self.slices, built, strict=True):
            self._check_shared(row.name, scenario, built[0])
        if built[0].radio.subchannels < len(built):
            raise ScenarioError(
                f"radio.subchannels = {built[0].radio.subchannels}, allowed: {len(built)} or more, one for each slice"
            )
        return built

    def _check_shared(self, name: str, scenario: Scenario, first: Scenario) -> None:
        """Raises a ScenarioError if a slice has another cell or server than the first one."""
        for section in COMMON:
            mine, shared = getattr(scenario, section), getattr(first, section)
            for field in type(mine).model_fields:
                value, expected = getattr(mine, field), getattr(shared, field)
                if value != expected:
                    raise ScenarioError(
                        f"slice {name!r}: {section}.{field} = {value!r}, allowed: {expected!r}, as slice "
                        f"{self.slices[0].name!r} has it, or one for all: {section}={{{field!r}: ...}}"
                    )
        for field in ("radius_m", "subchannel_hz"):
            if getattr(scenario.family, field) is not None:
                raise ScenarioError(
                    f"slice {name!r}: family.{field} = {list(getattr(scenario.family, field))}, allowed: None, as all "
                    "slices have the same cell"
                )


def presets() -> tuple[str, ...]:
    """Names of the sliced cells that come with the package, in alphabetical order."""
    return presets_in(_PRESETS)


def load(
    source: str | Path | Mapping[str, Any] | Sequence[Any] | SlicedCell, replaced: Mapping[str, Any] | None = None
) -> SlicedCell:
    """Makes a sliced cell.

    Args:
        source: Preset, path of a TOML file, mapping, rows of slices, or a `SlicedCell`.
        replaced: Its fields that are replaced; sections field by field.

    Raises:
        ScenarioError: it is not valid, or there is no such preset or file; one line.
    """
    if isinstance(source, SlicedCell):
        values = {name: getattr(source, name) for name in SlicedCell.model_fields}
    elif isinstance(source, Mapping):
        values = dict(source)
    elif isinstance(source, list | tuple):
        values = {"slices": source}
    elif isinstance(source, str | Path):
        values = read(source, _PRESETS, "slices")
    else:
        raise ScenarioError(
            f"slices = {source!r}, allowed: preset name, path of a TOML file, mapping, rows of slices or SlicedCell"
        )
    for name, value in (replaced or {}).items():
        old = values.get(name)
        values[name] = {**old, **value} if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    with in_one_line(ScenarioError):
        return SlicedCell.model_validate(values)
