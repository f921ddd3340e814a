"""User-edge-cloud against user-edge and user-cloud over the size of the training set (arXiv 2306.12194, Fig. 6)."""

from typing import Any

from experiments.running import Case, Experiment, Row
from experiments.three_tier import figures, rounds, training
from experiments.three_tier.report import report


def cases(quick: bool) -> list[dict[str, Any]]:
    """Rounds in random cells, and real trainings."""
    return [*rounds.cases(quick), *training.cases(quick)]


def measure(case: Case, seed: int) -> list[Row]:
    """Rows of a case."""
    part, own = case["part"], {name: value for name, value in case.items() if name != "part"}
    return rounds.measure(seed=seed, **own) if part == "round" else training.measure(seed=seed, **own)


EXPERIMENT = Experiment(
    title="Does a cloud behind the edge server shorten the training, and by which link?",
    cases=cases,
    measure=measure,
    report=report,
    plots={
        "training_set": figures.training_set,
        "third_tier": figures.third_tier,
        "busy": figures.busy,
        "accuracy": figures.accuracy,
    },
    seeds=3,
    quick_seeds=1,
)
