"""Test accuracy of all frameworks over rounds and simulated time (arXiv 2306.12194, Fig. 4), real training.

    python -m experiments frameworks --task ham10000

Five clients in the cell of the preset `edge6g`; all methods with the same network, optimiser, data split and cell.
"""

from dataclasses import asdict, dataclass, replace
from itertools import product
from typing import Literal

from experiments.frameworks.methods import methods
from experiments.frameworks.report import plot, report
from experiments.frameworks.runs import measure
from experiments.running import Case, Experiment, at_least
from splitgym.inputs import InputError
from splitgym.parts import suggest


@dataclass(frozen=True)
class Cases:
    """Methods and ways to share the data, on one task."""

    task: Literal["ham10000", "mnist", "digits"] = "digits"
    """What is learnt; ham10000 (ResNet-18) and mnist need SPLITGYM_DATA."""
    methods: tuple[str, ...] = ()
    """Names as in the table; none: all."""
    partitions: tuple[Literal["iid", "dirichlet"], ...] = ("iid", "dirichlet")
    """How clients share the data."""
    rounds: int = 400
    """Training rounds; 20 in the short form."""
    evaluate_every: int = 20
    """Rounds between measurements on the whole test set; 10 in the short form."""
    cut_layer: int = 1
    """Units on the clients."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """bf16: mixed precision, on processors that have it."""
    batch_size: int | None = None
    """Samples of a client's mini-batch; none: the task's."""

    def __call__(self, quick: bool) -> list[Case]:
        """All of them."""
        at_least(1, rounds=self.rounds, evaluate_every=self.evaluate_every, cut_layer=self.cut_layer)
        known = methods(self.rounds)
        for name in self.methods:
            if name not in known:
                raise InputError(f"--methods {name!r} is unknown, {suggest(name, known)}")
        same = asdict(replace(self, rounds=20, evaluate_every=10) if quick else self)
        names, partitions = same.pop("methods") or tuple(known), same.pop("partitions")
        return [{"method": name, "partition": part, **same} for part, name in product(partitions, names)]


EXPERIMENT = Experiment(
    title="Which framework learns best over rounds and over simulated time, with IID and with non-IID clients?",
    cases=Cases(),
    measure=measure,
    report=report,
    plots={"frameworks": plot},
    seeds=3,
)
