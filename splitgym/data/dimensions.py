"""Sizes of the data sets, known without reading them."""

_DIMENSIONS = {"digits": ((1, 8, 8), 10), "mnist": ((1, 28, 28), 10), "ham10000": ((3, 32, 32), 7)}


def dimensions(name: str) -> tuple[tuple[int, int, int], int]:
    """((channels, height, width) of an image, number of classes) of the data set of that name."""
    return _DIMENSIONS[name]
