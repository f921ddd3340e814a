"""Measured against simulated seconds, with the line on which both are equal."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from splitgym import outputs
from splitgym.execution.timeline import MEASURABLE_S, ROUND, Span
from splitgym.inputs import MissingExtraError
from splitgym.rendering.palette import look

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def draw(axes: "Axes", found: Sequence[Span], scale: float) -> None:
    """Draws phases and rounds on logarithmic axes, kinds of stages in the colours of a rendered round.

    Complete rounds only, and of phases those that are long enough to be measured; `scale`: real seconds for a
    simulated one.
    """
    complete = [span for span in found if span.complete and scale * span.simulated_s >= MEASURABLE_S]
    # What has lasted for much less than all that is simulated stands at the edge.
    least = 0.2 * min((span.simulated_s for span in complete), default=1.0)
    looks = {stage: look(stage) for stage in dict.fromkeys(span.stage for span in complete)}
    for kind in dict.fromkeys(looks.values()):
        own = [span for span in complete if looks[span.stage] == kind]
        marker, size = ("D", 4.0) if own[0].stage == ROUND else ("o", 3.5)
        x, y = [span.simulated_s for span in own], [max(span.measured_s, least) for span in own]
        axes.plot(x, y, marker, color=kind.colour, markersize=size, alpha=0.6, markeredgewidth=0, label=kind.name)
    if complete:
        both = (least, 1.25 * max(max(span.simulated_s, span.measured_s) for span in complete))
        axes.plot(both, both, "-", color="0.3", linewidth=1, label="equal")
        axes.set(xlim=both, ylim=both)
    axes.set(xscale="log", yscale="log", xlabel="simulated (s)", ylabel="measured (simulated s)")
    axes.set_aspect("equal")
    axes.legend(fontsize=8, loc="lower right")


def new_figure() -> Any:
    """An empty picture.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure  # noqa: PLC0415 - of an extra
    except ImportError as error:
        raise MissingExtraError("the figure needs matplotlib, pip install 'splitgym[train]'") from error
    return Figure(figsize=(6, 6), layout="constrained")


def write_figure(path: Path, found: Sequence[Span], scale: float) -> None:
    """Writes the picture; see `draw` and `new_figure`."""
    figure = new_figure()
    draw(figure.subplots(), found, scale)
    outputs.write(path, lambda file: figure.savefig(file, format="png", dpi=150))
