"""Sizes of the data sets; of those that come with the package known without reading them."""

from pathlib import Path

from splitgym.data.sources import PUBLISHED, read


def dimensions(name: str | Path) -> tuple[tuple[int, int, int], int]:
    """((channels, height, width) of an image, number of classes) of the data set of that name or file.

    Raises:
        DataError: it is one's own file, and that cannot be read.
    """
    return PUBLISHED[name] if isinstance(name, str) and name in PUBLISHED else read(name).dimensions
