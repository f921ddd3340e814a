"""Sizes of the data sets; of those that come with the package known without reading them."""

from splitgym.data.sources import read

_DIMENSIONS = {"digits": ((1, 8, 8), 10), "mnist": ((1, 28, 28), 10), "ham10000": ((3, 32, 32), 7)}


def dimensions(name: str) -> tuple[tuple[int, int, int], int]:
    """((channels, height, width) of an image, number of classes) of the data set of that name or file.

    Raises:
        DataError: it is one's own file, and that cannot be read.
    """
    if name in _DIMENSIONS:
        return _DIMENSIONS[name]
    source = read(name)
    _, channels, height, width = source.images.shape
    return (channels, height, width), len(source.classes)
