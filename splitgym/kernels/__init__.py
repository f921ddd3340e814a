"""Kernels: loops that numba compiles, and where the compiled code is kept."""

from splitgym.kernels.cache import FOLDER_VARIABLE, cache_folder, without_notice
from splitgym.kernels.compilation import COMPILED, INLINED, NO_REFCOUNT, kernel

__all__ = ["COMPILED", "FOLDER_VARIABLE", "INLINED", "NO_REFCOUNT", "cache_folder", "kernel", "without_notice"]
