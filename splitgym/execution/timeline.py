"""The measured timeline beside the simulator's: errors of phases and of rounds, as a table and as lines of a file."""

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from splitgym.arrays import Floats

ROUND = "round"
"""Stage under which whole rounds are listed."""
MEASURABLE_S = 0.05
"""Real seconds of a phase from which on its error says something: processes are woken milliseconds late."""


@dataclass(frozen=True)
class Span:
    """A row of the timeline of a client, or a round, in simulated seconds."""

    round: int
    stage: str
    client: int
    """-1: all."""
    simulated_start_s: float
    simulated_stop_s: float
    measured_start_s: float
    measured_stop_s: float
    complete: bool
    """False: a client was lost in the round, which is then another than the simulated one."""

    @property
    def simulated_s(self) -> float:
        """How long it lasts in the simulator."""
        return self.simulated_stop_s - self.simulated_start_s

    @property
    def measured_s(self) -> float:
        """How long it lasted."""
        return self.measured_stop_s - self.measured_start_s

    @property
    def error(self) -> float:
        """Of how long it lasted, relative."""
        return abs(self.measured_s - self.simulated_s) / self.simulated_s


FIELDS = (
    "round",
    "stage",
    "client",
    "simulated_start_s",
    "simulated_stop_s",
    "measured_start_s",
    "measured_stop_s",
    "complete",
)


def spans(
    number: int,
    stages: Sequence[str],
    simulated: tuple[Floats, Floats, float],
    measured: tuple[Floats, Floats, float],
    clients: Iterable[int],
    complete: bool,
) -> list[Span]:
    """The spans of a round.

    Args:
        number: Of the round.
        stages: R names of rows.
        simulated: [R, C] start and stop, and latency, s.
        measured: Likewise; NaN where nothing was measured.
        clients: Those that took part.
        complete: Whether nobody was lost.
    """
    (start, stop, latency_s), (measured_start, measured_stop, measured_latency_s) = simulated, measured
    found = [
        Span(
            number,
            stage,
            i,
            simulated_start_s=float(start[row, i]),
            simulated_stop_s=float(stop[row, i]),
            measured_start_s=float(measured_start[row, i]),
            measured_stop_s=float(measured_stop[row, i]),
            complete=complete,
        )
        for row, stage in enumerate(stages)
        for i in clients
        if stop[row, i] > start[row, i] and np.isfinite(measured_stop[row, i])
    ]
    return [*found, Span(number, ROUND, -1, 0.0, float(latency_s), 0.0, measured_latency_s, complete)]


def errors(found: Iterable[Span]) -> dict[str, Floats]:
    """Errors by stage, those of phases in the order in which they come and then of rounds; complete rounds only."""
    by_stage: dict[str, list[float]] = {}
    for span in found:
        if span.complete:
            by_stage.setdefault(span.stage, []).append(span.error)
    rounds = by_stage.pop(ROUND, [])
    return {stage: np.array(each) for stage, each in {**by_stage, ROUND: rounds}.items() if each}


def table(found: Sequence[Span], scale: float) -> str:
    """A line for each stage: how many, how long, median and largest error; real times by `scale`."""
    complete = [span for span in found if span.complete]
    if not complete:
        return "no round was complete"
    by_stage = errors(complete)
    rounds = {ROUND: by_stage.pop(ROUND)}
    phases = [span for span in complete if span.stage != ROUND]
    measurable = [span for span in phases if scale * span.simulated_s >= MEASURABLE_S]
    lines = [f"{'phase':16} {'count':>6} {'simulated':>11} {'real':>9} {'median error':>13} {'largest':>10}"]
    for name, own in (("all", phases), ("50 ms or more", measurable)):
        if own:
            errors_of = np.array([span.error for span in own])
            by_stage = {**by_stage, name: errors_of}
    for stage, each in {**by_stage, **rounds}.items():
        seconds = [span.simulated_s for span in complete if span.stage == stage]
        middle = float(np.median(seconds)) if seconds else np.nan
        lasts = f"{middle:9.3f} s {scale * middle:7.3f} s" if seconds else f"{'':11} {'':9}"
        lines.append(f"{stage:16} {len(each):6} {lasts} {_shares(each)}")
    return "\n".join(lines)


def _shares(each: Floats) -> str:
    return f"{100 * np.median(each):11.2f} % {100 * each.max():8.1f} %"


def to_csv(found: Iterable[Span]) -> str:
    """All spans, a line for each."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(FIELDS)
    writer.writerows([getattr(span, name) for name in FIELDS] for span in found)
    return text.getvalue()
