"""Which runs are logged, and which of them are held out of the fit."""

from collections.abc import Sequence

from experiments.calibrate.logs import Job, Log
from experiments.calibrate.patterns import FITTED, FITTED_IN_FLIGHT, HELD_OUT, HELD_OUT_IN_FLIGHT, Pattern
from splitgym import frameworks
from splitgym.scenario import Scenario

HELD_OUT_EVERY = 5
"""Of so many runs one is held out, whatever its pattern."""


def jobs(
    source: str,
    scenario: Scenario,
    framework: str,
    *,
    runs: int,
    steady_runs: int,
    clients: tuple[int, int],
    dirichlet_alpha: tuple[float, float],
    rounds: int,
    evaluate_every: int,
    evaluation_samples: int | None,
) -> list[Job]:
    """The runs, pattern after pattern, the steady ones last; `source` is where the scenario was read from."""
    if scenario.task.partition != "dirichlet":
        dirichlet_alpha = (scenario.task.dirichlet_alpha, scenario.task.dirichlet_alpha)
    patterns = patterns_of(framework)
    return [
        Job(
            number,
            source,
            framework,
            patterns[number % len(patterns)].__name__,
            clients,
            dirichlet_alpha,
            rounds,
            evaluate_every,
            evaluation_samples,
            steady=number >= runs,
            # One more than there are patterns: a run of another one each time.
            again=number % (len(patterns) + 1) == 0,
        )
        for number in range(runs + steady_runs)
    ]


def patterns_of(framework: str) -> tuple[Pattern, ...]:
    """Ways to decide who takes part, by the name of a framework."""
    if frameworks.get(framework).asynchronous:
        return (*FITTED_IN_FLIGHT, *HELD_OUT_IN_FLIGHT)
    return (*FITTED, *HELD_OUT)


def group(log: Log) -> str:
    """What a run is for: "fitted", "held-out seeds" (of fitted patterns) or "held-out patterns"."""
    if log.job["pattern"] in {pattern.__name__ for pattern in (*HELD_OUT, *HELD_OUT_IN_FLIGHT)}:
        return "held-out patterns"
    return "held-out seeds" if log.job["number"] % HELD_OUT_EVERY == HELD_OUT_EVERY - 1 else "fitted"


def of_group(logs: Sequence[Log], *groups: str) -> list[Log]:
    """Those of the logs that are of one of the groups."""
    return [log for log in logs if group(log) in groups]
