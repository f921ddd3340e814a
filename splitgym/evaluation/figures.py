"""Figures: how text and numbers are drawn, and the files that they are saved to."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from splitgym.outputs import write, write_together

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DPI = 130


@contextmanager
def text_as_it_is() -> Iterator[None]:
    """Names that are drawn inside are shown as they are: a $ in them begins no formula."""
    from matplotlib import rc_context  # noqa: PLC0415 - slow to import, only needed here

    with rc_context({"text.parse_math": False, "text.usetex": False}):
        yield


def number_log_axes(figure: "Figure") -> None:
    """Writes the numbers of logarithmic axes as they are, 100 instead of a formula for it."""
    from matplotlib.ticker import LogFormatter  # noqa: PLC0415 - as above

    class Plain(LogFormatter):
        def __call__(self, x: float, pos: int | None = None) -> str:
            return f"{x:g}" if super().__call__(x, pos) else ""

    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            if isinstance(axis.get_major_formatter(), LogFormatter):
                axis.set_major_formatter(Plain(labelOnlyBase=False))
            if isinstance(axis.get_minor_formatter(), LogFormatter):
                axis.set_minor_formatter(Plain(labelOnlyBase=False, minor_thresholds=(1, 0.4)))


def save(figure: "Figure", path: Path, dpi: int = DPI) -> None:
    """Saves a figure, always with the same bytes; beside a PNG, for screens, a PDF of the same name, for papers.

    Args:
        figure: What is drawn.
        path: Of the file; its suffix says the format.
        dpi: Dots per inch of a PNG.
    """
    if path.suffix == ".png":
        pdf = partial(figure.savefig, format="pdf", metadata={"CreationDate": None})
        write_together({path: partial(_png, figure, dpi), path.with_suffix(".pdf"): pdf})
    else:
        write(path, partial(figure.savefig, format=path.suffix.removeprefix(".")))


def _png(figure: "Figure", dpi: int, file: BinaryIO) -> None:
    from PIL import Image  # noqa: PLC0415 - as above

    drawn = BytesIO()
    figure.savefig(drawn, dpi=dpi)
    # 256 colours are enough, and a third of the size.
    Image.open(drawn).convert("RGB").quantize().save(file, "PNG", optimize=True)
