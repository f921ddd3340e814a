"""Data sets, and how the clients share them."""

from splitgym.data.datasets import Dataset, load
from splitgym.data.dimensions import dimensions
from splitgym.data.errors import DataError
from splitgym.data.partitioning import class_counts, least_samples, partition
from splitgym.data.sources import Source, digest, located

__all__ = [
    "DataError",
    "Dataset",
    "Source",
    "class_counts",
    "digest",
    "dimensions",
    "least_samples",
    "load",
    "located",
    "partition",
]
