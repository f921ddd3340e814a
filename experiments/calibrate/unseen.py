"""How far the surrogate is from real runs that no calibration was fitted to, beside a second real run.

    python -m experiments calibrate.unseen

Calibrations are judged as they are shipped or found in one's own folder. In every pattern of decisions (`patterns.py`)
runs are trained for real, on numbers of clients and skews of data that the calibration holds for; half of them are
steady, with phi 0 and one cut layer. Each is trained a second time with the same data and decisions and other initial
weights: no forecast can be expected to be much nearer.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Literal

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from experiments.calibrate.jobs import patterns_of
from experiments.calibrate.logs import Job, trained, trained_again
from experiments.calibrate.replays import Replay
from experiments.calibrate.report import EARLY, MISSED, Comparison, by_kind, errors, rounds_to
from experiments.curves import legend_below
from experiments.running import Case, Experiment, Row
from experiments.tables import markdown, with_interval
from splitgym.arrays import Floats
from splitgym.evaluation.look import COLOURS
from splitgym.evaluation.statistics import Bootstrap
from splitgym.learning.surrogate import calibration_for
from splitgym.scenario import build

Name = Literal["iot", "iot-async-psl", "iot-wide", "bandwidth-limited", "toy", "epsl"]
FIRST = 200_000
"""Number of the first run: no calibration is fitted to these."""


@dataclass(frozen=True)
class Runs:
    """Real runs beside which a calibration is put."""

    scenario: str
    framework: str
    rounds: int
    evaluate_every: int
    evaluation_samples: int | None = None


RUNS: Mapping[Name, Runs] = {
    "iot": Runs("iot", "epsl", 200, 8),
    "iot-async-psl": Runs("iot", "async-psl", 300, 10),
    "iot-wide": Runs("iot-wide", "epsl", 120, 6),
    "bandwidth-limited": Runs("bandwidth-limited", "epsl", 150, 6),
    "toy": Runs("toy", "epsl", 100, 4),
    "epsl": Runs("epsl", "epsl", 60, 5, 400),
}
"""As long as those that the calibrations are fitted to."""


@dataclass(frozen=True)
class Cases:
    """Patterns of decisions, for each calibration."""

    calibrations: tuple[Name, ...] = ("iot", "iot-async-psl", "iot-wide", "bandwidth-limited", "toy")
    """Which are judged; epsl needs SPLITGYM_DATA, and two minutes for each run."""

    def __call__(self, quick: bool) -> list[Case]:
        """Each pattern, steady and not; in the short form two patterns in `toy`, for twelve rounds."""
        found = [
            {"calibration": name, "pattern": pattern.__name__, "steady": steady, "rounds": RUNS[name].rounds}
            for name in self.calibrations
            for pattern, steady in product(patterns_of(RUNS[name].framework), (False, True))
        ]
        return [{**case, "calibration": "toy", "rounds": 12} for case in found[:4]] if quick else found


def measure(case: Case, seed: int) -> list[Row]:
    """A row for each target: how far the surrogate is from a run, and how far a second real run."""
    runs = RUNS[case["calibration"]]
    scenario = build(runs.scenario)
    known = calibration_for(scenario, runs.framework)
    names = [pattern.__name__ for pattern in patterns_of(runs.framework)]
    job = Job(
        FIRST + 2 * (len(names) * seed + names.index(case["pattern"])) + case["steady"],
        runs.scenario,
        runs.framework,
        case["pattern"],
        known.clients,
        known.dirichlet_alpha,
        case["rounds"],
        runs.evaluate_every,
        runs.evaluation_samples,
        steady=case["steady"],
        again=True,
    )
    log = trained(job)
    replay, second = (
        Replay([one], known.cut_layers, scenario.training.batch_size)
        for one in (log, trained_again(job, log.decisions()))
    )
    forecast, again = Comparison.of(replay, known.parameters), second.accuracy[0]
    goal = scenario.episode.target_accuracy
    own = ["clients", "dirichlet_alpha", "participants", "cut_layer", "aggregation_ratio"]
    own += ["error", "bias", "real_rounds", "surrogate_rounds"]
    return [
        {
            "target": round(target, 4),
            **forecast.rows(target)[own].iloc[0].to_dict(),
            "second_error": float(np.abs(again - replay.accuracy[0]).mean()),
            "second_bias": float((again - replay.accuracy[0]).mean()),
            "second_rounds": rounds_to(again, replay.evaluated + 1, target),
        }
        for target in (goal, EARLY * goal)
    ]


def report(rows: pd.DataFrame) -> str:
    """Errors of each calibration at both targets, and where they are largest."""
    return "\n\n".join(
        [
            "Real runs that nothing is fitted to, half of them steady: phi 0 and one cut layer, where good schedulers "
            "end up. Accuracy: mean absolute error along the run of the surrogate's expectation, of a second real run "
            "with other initial weights, and how many times the second the first is, with its 95 % interval over runs. "
            "Rounds to the target: median relative error where both reach it, for the median of nine draws of the "
            "surrogate and for the second real run. Rank: Spearman's correlation of runs by these rounds.",
            "## Errors",
            markdown(_errors(rows)),
            "## Where",
            markdown(_where(rows)),
        ]
    )


def _errors(rows: pd.DataFrame) -> Iterator[Mapping[str, object]]:
    for (name, target), of_all in rows.groupby(["calibration", "target"], sort=False):
        for kind, own in (("all", of_all), ("steady", of_all[of_all["steady"]])):
            rounds = int(own["rounds"].iloc[0])
            surrogate, second = errors(own, rounds), errors(_as_forecast(own), rounds)
            yield {
                "calibration": f"`{name}`",
                "target": f"{target:g}",
                "runs": f"{len(own)}, {kind}",
                "accuracy": f"{surrogate['accuracy_mae']:.3f}",
                "of a second run": f"{second['accuracy_mae']:.3f}",
                "times": _times(own["error"].to_numpy(), own["second_error"].to_numpy()),
                "rounds": _percent(surrogate["rounds_error_median"]),
                "second": _percent(second["rounds_error_median"]),
                "agree on reaching": _percent(surrogate["agree_on_reaching"]),
                "rank": _number(surrogate["rank_correlation"]),
                "rank of a second run": _number(second["rank_correlation"]),
            }


def _as_forecast(rows: pd.DataFrame) -> pd.DataFrame:
    """The same runs with their second training in the place of the surrogate."""
    columns = {"error": "second_error", "bias": "second_bias", "surrogate_rounds": "second_rounds"}
    return rows.assign(**{name: rows[second] for name, second in columns.items()})


def _times(surrogate: Floats, second: Floats) -> str:
    found = Bootstrap([len(second)], seed=0).estimate(
        lambda own, other: own[0].mean(-1) / other[0].mean(-1), [surrogate], [second]
    )
    return with_interval(found, 2)


def _where(rows: pd.DataFrame) -> Iterator[Mapping[str, object]]:
    """Mean error by kind of run; it does not depend on the target."""
    for name, of_all in rows.groupby("calibration", sort=False):
        runs = of_all[of_all["target"] == of_all["target"].iloc[0]]
        for by, kind, own in by_kind(runs):
            yield {
                "calibration": f"`{name}`",
                "by": by,
                "is": kind,
                "runs": len(own),
                "accuracy": f"{own['error'].mean():.3f}",
                "too high by": f"{own['bias'].mean():+.3f}",
                "of a second run": f"{own['second_error'].mean():.3f}",
            }


def _percent(share: float) -> str:
    return "-" if np.isnan(share) else f"{100 * share:.0f} %"


def _number(value: float) -> str:
    return "-" if np.isnan(value) else f"{value:.2f}"


def plot(rows: pd.DataFrame, figure: Figure) -> None:
    """Rounds to the target of the scenario: of the surrogate and of a second real run, over those of the real run."""
    names = list(rows["calibration"].unique())
    columns = min(len(names), 3)
    lines = -(-len(names) // columns)
    figure.set_size_inches(4 * columns, 3.4 * lines + 0.6)
    panels = [figure.add_subplot(lines, columns, number + 1) for number in range(len(names))]
    for axes, name in zip(panels, names, strict=True):
        own = rows[rows["calibration"] == name]
        own = own[own["target"] == own["target"].max()]
        missed = MISSED * own["rounds"].iloc[0]
        real = np.minimum(own["real_rounds"], missed)
        axes.plot([0, missed], [0, missed], color="grey", linewidth=1)
        for column, colour, marker, label in (
            ("second_rounds", COLOURS[1], "x", "second real run"),
            ("surrogate_rounds", COLOURS[0], "o", "surrogate"),
        ):
            axes.scatter(
                real, np.minimum(own[column], missed), s=22, color=colour, marker=marker, label=label, alpha=0.7
            )
        axes.set_title(f"{name}, target {own['target'].iloc[0]:g}", fontsize=10)
        axes.set_xlabel("rounds of a real run")
        axes.grid(alpha=0.3)
        axes.set_ylabel("rounds of the other")
    legend_below(figure, "Rounds to the target; who misses it is at 1.2 times the rounds of a run", 2)


EXPERIMENT = Experiment(
    title="How far is the surrogate from real runs that no calibration was fitted to?",
    cases=Cases(),
    measure=measure,
    report=report,
    plots={"rounds": plot},
    seeds=3,
)
