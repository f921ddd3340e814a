"""Kernels: loops that numba compiles, and where the compiled code is kept."""

from splitgym.kernels.cache import FOLDER_VARIABLE, cache_folder, without_notice
from splitgym.kernels.compilation import COMPILED, INLINED, INLINED_APART, NO_REFCOUNT, kernel
from splitgym.kernels.handles import Handle

__all__ = [
    "COMPILED",
    "FOLDER_VARIABLE",
    "INLINED",
    "INLINED_APART",
    "NO_REFCOUNT",
    "Handle",
    "cache_folder",
    "kernel",
    "without_notice",
]
