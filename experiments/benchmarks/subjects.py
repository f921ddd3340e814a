"""What is measured: settings, the subjects that train in them, and one round of each as a function."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from experiments.benchmarks.baselines import Centralised, ClientLoop, DeepCopyLoop
from experiments.everybody import everybody
from splitgym import models
from splitgym.data.dimensions import dimensions
from splitgym.frameworks import aggregated_rows, get, names
from splitgym.frameworks.nodes import Nodes
from splitgym.frameworks.round_batch import RoundBatch
from splitgym.learning import Learner
from splitgym.learning.memory import keep_freed_memory
from splitgym.models import CuttableNetwork, Profile
from splitgym.scenario import Scenario, Training, build

PLAIN, LOOP, COPIES = "plain centralised (a)", "plain loop (b)", "deep-copy loop (c)"
BASELINES: Mapping[str, type[Centralised] | type[ClientLoop] | type[DeepCopyLoop]] = {
    PLAIN: Centralised,
    LOOP: ClientLoop,
    COPIES: DeepCopyLoop,
}
TRAINING: Mapping[str, Any] = {
    "optimizer": "sgd",
    "client_learning_rate": 0.02,
    "server_learning_rate": 0.02,
    "momentum": 0.9,
    "weight_decay": 0.0,
    "local_steps": 1,
    "clusters": 2,
    "switch_round": 10**6,  # epsl-pt stays in its first phase
}
"""Of every subject, but for the Adam of the deep-copy loop."""
NEVER = 10**9


@dataclass(frozen=True)
class Subject:
    """A framework or a baseline."""

    name: str
    """Of the framework, or a key of BASELINES."""
    phi: float | None = None
    """For frameworks that leave the choice."""
    precision: Literal["fp32", "bf16"] = "fp32"
    keeps_memory: bool = False
    """For a baseline: freed memory stays with the process, as it always does in the package."""

    @property
    def label(self) -> str:
        """As tables show it."""
        parts = [self.name, "" if self.phi is None else f"phi = {self.phi:g}"]
        parts += ["bf16" if self.precision == "bf16" else "", "memory kept" if self.keeps_memory else ""]
        return ", ".join(filter(None, parts))


@dataclass(frozen=True)
class Setting:
    """A network, its data and its clients; what is compared in it, and for how long."""

    model: str
    pixels: int
    clients: int
    batch: int
    cut: int
    subjects: tuple[Subject, ...]
    slots: int = 1
    """Times that every subject has its slot, in one pass over all settings."""
    rounds: int = 1
    """Measured rounds in a slot, one after the other."""
    warm_up: int = 1
    """Rounds before the first slot that are not measured."""
    resident: bool = True
    """Processes live through all slots; otherwise there is one at a time, since memory does not hold all of them."""

    @property
    def dataset(self) -> str | None:
        """None: no data set has such images, random ones take their place."""
        return {8: "digits", 32: "ham10000"}.get(self.pixels)

    @property
    def dimensions(self) -> tuple[tuple[int, int, int], int]:
        """Shape of an image, number of classes."""
        shape, classes = dimensions("digits" if self.pixels == 8 else "ham10000")
        return (shape[0], self.pixels, self.pixels), classes

    @property
    def title(self) -> str:
        """As tables show it."""
        return f"{self.model}, {self.pixels} px, {self.clients} x {self.batch}, cut {self.cut}"

    def network(self) -> CuttableNetwork:
        """The network in torch's default memory format."""
        return models.build(self.model, *self.dimensions)

    def profile(self) -> Profile:
        """What the network's units cost."""
        return models.profile(self.network(), self.dimensions[0])


def all_frameworks() -> tuple[Subject, ...]:
    """Every framework; epsl with three ratios, psl-drop with one."""
    ratios = {"epsl": (0.0, 0.5, 1.0), "psl-drop": (0.5,)}
    return tuple(Subject(name, phi) for name in names() for phi in ratios.get(name, (None,)))


def baselines(keeps_memory: bool = False) -> tuple[Subject, ...]:
    """The plain programs."""
    return tuple(Subject(name, keeps_memory=keeps_memory) for name in BASELINES)


def prepare(setting: Setting, subject: Subject) -> Callable[[], object]:
    """Builds a subject; each call of what comes back trains one round."""
    if subject.name in BASELINES:
        return _baseline(setting, subject)
    return _learner(setting, subject) if setting.dataset else _bare_framework(setting, subject)


def _baseline(setting: Setting, subject: Subject) -> Callable[[], object]:
    """A plain program on random images."""
    if subject.keeps_memory:
        keep_freed_memory()
    training = Training(batch_size=setting.batch, **TRAINING)
    program = BASELINES[subject.name](setting.network(), setting.cut, setting.clients, training)
    images, labels = _random_data(setting)
    return lambda: program.round(images, labels)


def _learner(setting: Setting, subject: Subject) -> Callable[[], object]:
    """The package as the environment uses it: mini-batches are drawn, results looked at; accuracy is not measured."""
    task = {"dataset": setting.dataset, "model": setting.model, "stem": "7x7", "partition": "iid"}
    scenario = build(
        "edge6g",
        {
            "task": {**task, "evaluate_every": NEVER, "evaluation_samples": 16},
            "clients": {"count": setting.clients},
            "training": {**TRAINING, "batch_size": setting.batch, "precision": subject.precision},
        },
    )
    learner = Learner(scenario, subject.name, 0, "cpu")

    def train() -> object:
        prescribed = learner.prescribed_ratio
        ratio = (subject.phi or 0.0) if np.isnan(prescribed) else prescribed
        return learner.round(everybody(scenario, setting.cut, ratio, scenario.training.clusters))

    return train


def _bare_framework(setting: Setting, subject: Subject) -> Callable[[], object]:
    """A framework by itself, on random images of a size that no data set has."""
    keep_freed_memory()  # as a learner does
    n, framework = setting.clients, get(subject.name)
    training = Training(batch_size=setting.batch, precision=subject.precision, **TRAINING)
    network = setting.network().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    nodes = Nodes(
        network,
        n,
        training,
        framework.segments,
        framework.second_cut(Scenario(), len(network)),
    )
    nodes.move_cut(setting.cut, range(n), np.full(n, 1 / n))
    images, labels = _random_data(setting)
    rows = images.flatten(0, 1).contiguous(memory_format=torch.channels_last)
    images = rows.unflatten(0, (n, setting.batch))

    def train() -> object:
        round_batch = RoundBatch(
            participants=tuple(range(n)),
            weights=torch.full((n,), 1 / n),
            images=images,
            labels=labels,
            aggregated_rows=int(aggregated_rows(subject.phi or 0.0, setting.batch)),
            losses=torch.zeros(n),
        )
        return framework.train(nodes, round_batch)

    return train


def _random_data(setting: Setting) -> tuple[Tensor, Tensor]:
    """[n, b, ...] images and [n, b] labels, the same in every round."""
    generator = torch.Generator().manual_seed(0)
    shape, classes = setting.dimensions
    images = torch.randn(setting.clients, setting.batch, *shape, generator=generator)
    return images, torch.randint(classes, images.shape[:2], generator=generator)
