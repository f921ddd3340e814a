"""Training runs of a fixed length from scratch: their options and scenario, when they reach a target, and the best."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf, isinf
from typing import Any

import pandas as pd

from experiments.cells import ENDLESS_S
from experiments.running import Case, at_least
from splitgym.scenario import Scenario, build


@dataclass(frozen=True)
class Length:
    """Options of an experiment with such runs."""

    rounds: int = 120
    """Training rounds; 10 in the short form."""
    evaluate_every: int = 5
    """Rounds between measurements on the whole test set."""

    def settings(self, quick: bool) -> dict[str, int]:
        """Both, as every case has them."""
        at_least(1, rounds=self.rounds, evaluate_every=self.evaluate_every)
        return {"rounds": 10 if quick else self.rounds, "evaluate_every": self.evaluate_every}


def scenario_of(preset: str, case: Case, plan: Mapping[str, Any]) -> Scenario:
    """The preset with such a plan, endless budgets, and all test samples, for a case with the settings of `Length`."""
    endless = {"time_budget_s": ENDLESS_S, "round_timeout_s": ENDLESS_S, "stop_at_target": False}
    return build(
        preset,
        {
            "task": {"evaluation_samples": None, "evaluate_every": case["evaluate_every"]},
            "plan": plan,
            "episode": {"max_rounds": case["rounds"], **endless},
        },
    )


def at_target(rows: pd.DataFrame, target: float, column: str, run: Sequence[str]) -> pd.Series:
    """By run, the value of a column at the first measurement with that accuracy; infinite where it is not reached.

    Args:
        rows: A row for each measurement, with `round` and `accuracy`.
        target: Accuracy.
        column: Name.
        run: Columns that make a run.
    """
    ordered = rows.sort_values("round", kind="stable")
    everything = ordered.groupby(list(run), sort=False).size().index
    first = ordered[ordered["accuracy"] >= target].groupby(list(run), sort=False)[column].first()
    return first.reindex(everything).fillna(inf)


def best(ends: pd.DataFrame, column: str) -> tuple[str, pd.Series] | None:
    """Method and cut layer with the lowest mean of a column, and its values by seed; None: of all some are infinite.

    Args:
        ends: A row for each run, with `method`, `cut_layer` and `seed`.
        column: Name.
    """
    found = {
        f"{method} at cut layer {cut}": own.set_index("seed")[column]
        for (method, cut), own in ends.groupby(["method", "cut_layer"], sort=False)
    }
    name = min(found, key=lambda each: found[each].mean(), default=None)
    return None if name is None or isinf(found[name].mean()) else (name, found[name])
