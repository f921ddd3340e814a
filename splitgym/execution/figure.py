"""Measured against simulated seconds, with the line on which both are equal."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from splitgym import outputs
from splitgym.execution.timeline import ROUND, Span
from splitgym.inputs import MissingExtraError

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def draw(axes: "Axes", found: Sequence[Span]) -> None:
    """Draws phases and rounds on logarithmic axes, a colour for each stage; complete rounds only."""
    complete = [span for span in found if span.complete and span.measured_s > 0.0]
    for stage in dict.fromkeys(span.stage for span in complete):
        own = [span for span in complete if span.stage == stage]
        marker, size = ("D", 5.0) if stage == ROUND else ("o", 3.5)
        x, y = [span.simulated_s for span in own], [span.measured_s for span in own]
        axes.plot(x, y, marker, markersize=size, alpha=0.6, markeredgewidth=0, label=stage)
    if complete:
        ends = [each for span in complete for each in (span.simulated_s, span.measured_s)]
        axes.plot([min(ends), max(ends)], [min(ends), max(ends)], "-", color="0.3", linewidth=1, label="equal")
    axes.set(xscale="log", yscale="log", xlabel="simulated (s)", ylabel="measured (simulated s)")
    axes.legend(fontsize=8)


def write_figure(path: Path, found: Sequence[Span]) -> None:
    """Writes the picture.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure  # noqa: PLC0415 - of an extra
    except ImportError as error:
        raise MissingExtraError("the figure needs matplotlib, pip install 'splitgym[train]'") from error
    figure = Figure(figsize=(6, 6), layout="constrained")
    draw(figure.subplots(), found)
    outputs.write(path, lambda file: figure.savefig(file, format="png", dpi=150))
