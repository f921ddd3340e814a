"""What a calibration file may hold: lengths and ranges within which the dynamics stay finite."""

from collections.abc import Iterator
from dataclasses import fields
from typing import Annotated, Any

import numpy as np
from pydantic import Field, model_validator

from splitgym import data
from splitgym.learning.surrogate.parameters import Parameters
from splitgym.models import Memory, NetworkCosts, Profile
from splitgym.scenario import Scenario, Section, Task, Training
from splitgym.scenario.quantities import Factor, Fraction, NodeCount, Units

FREE = ("dirichlet_alpha", "evaluation_samples", "evaluate_every")
"""Fields of `task` that a calibration does not depend on, or has a range of."""
FREE_OF_TRAINING = ("aggregation_ratio", "quorum", "patience_s", "weight_exponent", "micro_batches")
"""Fields of `training` that it does not depend on; on micro-batches not without batch norm, see `Surrogate`."""

Speed = Annotated[float, Field(ge=0.0, le=1e6)]
Exponent = Annotated[float, Field(ge=0.0, le=50.0)]
Spread = Annotated[float, Field(ge=0.0, le=5.0)]
"""Standard deviation of a logarithm."""
Logits = Annotated[float, Field(ge=0.0, le=1000.0)]
Positive = Annotated[float, Field(ge=1e-9, le=1e6)]
Counts = Annotated[tuple[Annotated[int, Field(ge=0, le=1_000_000_000)], ...], Field(min_length=2, max_length=100_000)]
"""Samples of each class."""
Costs = Annotated[tuple[Annotated[int, Field(ge=0, le=2**53)], ...], Field(min_length=2, max_length=1000)]
"""FLOPs, bits or bytes of each unit: whole numbers that a float keeps."""

Shape = Annotated[tuple[Annotated[int, Field(ge=1, le=1_000_000)], ...], Field(min_length=1, max_length=10)]
"""Of a unit's output, of one sample."""


class Numbers(Section):
    """The numbers of `Parameters`, those by cut at the first, the middle and the last cut layer."""

    initial_rate: Annotated[float, Field(ge=0.0, le=100.0)]
    take_off: Exponent
    server_speed: tuple[Speed, Speed, Speed]
    client_speed: tuple[Speed, Speed, Speed]
    client_share: tuple[Fraction, Fraction, Fraction]
    label_bias_speed: Speed
    kept_by_server: tuple[Speed, Speed, Speed]
    kept_by_client: Speed
    kept_by_number: Exponent
    kept_by_evenness: Exponent
    few_client_penalty: Speed
    skew: Exponent
    confusion: Speed
    drift: Speed
    returning: Fraction
    decay: Fraction
    ceiling: Fraction
    sharpness: Speed
    softness: Positive
    class_ease: Annotated[tuple[Speed, ...], Field(min_length=2)]
    run_effect: Spread
    class_effect: Logits
    class_noise: Logits
    persistence: Fraction
    loss_noise: Spread

    def parameters(self) -> Parameters:
        """For the dynamics."""
        values: dict[str, Any] = {name: np.array(value) if isinstance(value, tuple) else value for name, value in self}
        return Parameters(**values)


class NetworkMemory(Section):
    """What training each unit needs of memory, as `splitgym.models.memory_of` counts it."""

    parameter_bytes: Costs
    buffer_bytes: Costs
    input_bytes: Costs
    saved_bytes: Costs
    shared_bytes: Costs
    recomputed_bytes: Costs
    batch_bytes: Costs


class Network(Section):
    """What each unit of the network costs for one sample, as `splitgym.models.measure` counts it."""

    forward_flops: Costs
    backward_flops: Costs
    activation_bits: Costs
    model_bits: Costs
    has_batch_norm: bool
    tensors: Costs
    features: Annotated[tuple[Shape, ...], Field(min_length=2, max_length=1000)]
    memory: NetworkMemory

    @classmethod
    def of(cls, costs: NetworkCosts) -> "Network":
        """For a file."""
        memory = NetworkMemory(**_whole_numbers(costs.memory))
        numbers = _whole_numbers(costs.profile)
        return cls(
            **numbers,
            has_batch_norm=costs.has_batch_norm,
            features=costs.features,
            tensors=costs.tensors,
            memory=memory,
        )

    def costs(self) -> NetworkCosts:
        """For the simulator."""
        profile = Profile(**{f.name: getattr(self, f.name) for f in fields(Profile)})
        return NetworkCosts(profile, self.has_batch_norm, self.features, self.tensors, Memory(**dict(self.memory)))

    def by_unit(self) -> Iterator[tuple[str, tuple[Any, ...]]]:
        """Everything that has one value per unit, by name."""
        for name, values in self:
            if isinstance(values, NetworkMemory):
                yield from ((f"{name}.{field}", numbers) for field, numbers in values)
            elif isinstance(values, tuple):
                yield name, values


def _whole_numbers(record: Profile | Memory) -> dict[str, Any]:
    return {f.name: tuple(getattr(record, f.name).astype(int).tolist()) for f in fields(record)}


class Purpose(Section):
    """What a calibration is for: the fields of a file that are read before all others."""

    frameworks: tuple[str, ...]
    task: Task
    """The fields that it depends on; younger ones have their defaults."""
    training: Training
    data_digest: str | None = None
    """Of a data set of one's own, see `splitgym.data.digest`: another one may have its name."""

    def fits(self, scenario: Scenario, framework: str) -> bool:
        """Whether it is for that task, data, training and framework."""
        task, training = key(scenario)
        return (
            framework in self.frameworks
            and (self.task, self.training) == (Task(**task), Training(**training))
            and self.data_digest == data.digest(scenario.task.dataset)
        )

    def differences(self, scenario: Scenario) -> list[str]:
        """What a scenario has otherwise, in words."""
        found = []
        own_fields = _fields(self.task, self.training)
        for section, has, own in zip(("task", "training"), key(scenario), own_fields, strict=True):
            for name in sorted({**has, **own}):
                if has.get(name) != own.get(name):
                    found.append(f"{section}.{name} = {has.get(name)!r}, calibrated: {own.get(name)!r}")
        return found or [f"other data in {scenario.task.dataset!r}"]


class CalibrationFile(Purpose):
    """All of it."""

    clients: tuple[NodeCount, NodeCount]
    """Fewest and most."""
    dirichlet_alpha: tuple[Factor, Factor]
    codecs: Annotated[tuple[str, ...], Field(max_length=100)] = ("none",)
    """With which it holds."""
    cuts_by_client: bool = False
    """Whether it holds for cut layers of each client's own."""
    cut_layers: Annotated[Units, Field(ge=1)]
    """Cut layers of the network, L - 1."""
    network: Network | None = None
    """Absent: the network is built and measured."""
    train_samples: Counts
    """[K] of each class."""
    test_samples: Counts
    """[K] of each class."""
    parameters: Numbers
    provenance: dict[str, Any]
    error: dict[str, Any]

    @model_validator(mode="after")
    def _parts_fit_each_other(self) -> "CalibrationFile":
        """Lengths agree with the classes, ranges are ordered, and there are enough samples."""
        classes = len(self.train_samples)
        for name, values in (
            ("test_samples", self.test_samples),
            ("parameters.class_ease", self.parameters.class_ease),
        ):
            if len(values) != classes:
                raise ValueError(f"{name} has {len(values)} values, allowed: {classes}, as many as train_samples")
        units = self.cut_layers + 1
        for name, costs in () if self.network is None else self.network.by_unit():
            if len(costs) != units:
                raise ValueError(f"network.{name} has {len(costs)} values, allowed: {units}, one more than cut_layers")
        for name in ("clients", "dirichlet_alpha"):
            low, high = getattr(self, name)
            if low > high:
                raise ValueError(f"{name} = [{low:g}, {high:g}], allowed: the lower one first")
        if sum(self.train_samples) < self.clients[1]:
            raise ValueError(
                f"train_samples = {sum(self.train_samples)} in all, allowed: one for each of {self.clients[1]} clients"
            )
        if sum(self.test_samples) == 0:
            raise ValueError("test_samples = 0 in all, allowed: at least 1")
        return self


def key(scenario: Scenario) -> tuple[dict[str, Any], dict[str, Any]]:
    """The fields of task and training that learning depends on; absent ones (None) are left out."""
    return _fields(scenario.task, scenario.training)


def _fields(task: Task, training: Training) -> tuple[dict[str, Any], dict[str, Any]]:
    return (
        task.model_dump(mode="json", exclude=set(FREE), exclude_none=True),
        training.model_dump(mode="json", exclude=set(FREE_OF_TRAINING), exclude_none=True),
    )
