"""Data sets, and how the clients share them."""

from splitgym.data.datasets import Dataset, load
from splitgym.data.dimensions import dimensions
from splitgym.data.errors import DataError
from splitgym.data.partitioning import class_counts, class_counts_of_worlds, partition
from splitgym.data.sources import Source, digest, located

__all__ = [
    "DataError",
    "Dataset",
    "Source",
    "class_counts",
    "class_counts_of_worlds",
    "digest",
    "dimensions",
    "load",
    "located",
    "partition",
]
