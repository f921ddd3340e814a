"""Kernels: loops that numba compiles, and where the compiled code is kept."""

from splitgym.kernels.cache import FOLDER_VARIABLE, cache_folder
from splitgym.kernels.compilation import COMPILED, INLINED, INLINED_APART, NO_REFCOUNT, kernel

__all__ = ["COMPILED", "FOLDER_VARIABLE", "INLINED", "INLINED_APART", "NO_REFCOUNT", "cache_folder", "kernel"]
