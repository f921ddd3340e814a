"""When does it pay that every station uses all subchannels? Rounds of two cells, and episodes on the networks.

    python -m experiments reuse

Two cells move apart; `highway` and `campus` are as they are. In all of them each subchannel is used once in all cells
together (`coordinated`), or every station has all of them and the others interfere (`universal`).
"""

from experiments.reuse import episodes, two_cells
from experiments.reuse.report import plot, report
from experiments.running import Case, Experiment, Row


def cases(quick: bool) -> list[Case]:
    """Distances of two cells, then episodes."""
    return [*two_cells.cases(quick), *episodes.cases(quick)]


def measure(case: Case, seed: int) -> list[Row]:
    """Rows of a case."""
    if "distance_m" in case:
        return two_cells.measure(case["distance_m"], seed)
    return episodes.measure(**case, seed=seed)


EXPERIMENT = Experiment(
    title="When does it pay that every station uses all subchannels?",
    cases=cases,
    measure=measure,
    report=report,
    plots={"reuse": plot},
    seeds=2,
)
