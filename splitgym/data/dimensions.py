"""Sizes of the data sets; of those that come with the package known without reading them."""

from splitgym.data.sources import PUBLISHED, read


def dimensions(name: str) -> tuple[tuple[int, int, int], int]:
    """((channels, height, width) of an image, number of classes) of the data set of that name or file.

    Raises:
        DataError: it is one's own file, and that cannot be read.
    """
    return PUBLISHED[name] if name in PUBLISHED else read(name).dimensions
