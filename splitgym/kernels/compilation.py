"""How loops are compiled."""

from collections.abc import Callable
from typing import Any

from numba.core import config

from splitgym.kernels.cache import KernelCache
from splitgym.kernels.inner import APART, Kernel
from splitgym.kernels.sources import is_of_package

COMPILED: dict[str, Any] = {"nopython": True, "boundscheck": None, "nogil": True, "error_model": "numpy"}
NO_REFCOUNT: dict[str, Any] = {**COMPILED, "_nrt": False}
"""Without counts of references to arrays, which cost as much as the work itself, as each taking of an array out of a
tuple is counted. What is compiled so, and what it calls, cannot make an array."""
INLINED: dict[str, Any] = {**NO_REFCOUNT, "forceinline": True}
"""Likewise, and written out where it is called: tuples of arrays as arguments cost as much as a short function."""
INLINED_APART: dict[str, Any] = {**INLINED, APART: True}
"""Likewise, for loops over several arrays that other kernels call. The caller gives no array twice, nor two that share
memory, if one of them is written to: the compiler relies on it, and takes several numbers at once without a check."""


def kernel(options: dict[str, Any], **more: Any) -> Callable[[Callable[..., Any]], Any]:
    """Compiles a function when it is first called, or takes the code that an earlier process has kept.

    Code of functions outside of the package is not kept: what they depend on is not known.

    Args:
        options: `COMPILED`, `NO_REFCOUNT`, `INLINED` or `INLINED_APART`.
        **more: Further options of `numba.njit`.
    """

    def compiled(function: Callable[..., Any]) -> Any:
        if config.DISABLE_JIT:  # type: ignore[attr-defined]
            return function
        # What is not said a function inherits from the caller that is compiled first, and last digits depend on that.
        chosen = {"fastmath": False, "forceinline": False, **options, **more}
        dispatcher: Any = Kernel(function, {}, chosen)
        if is_of_package(function):
            dispatcher._cache = KernelCache(function, chosen)
        return dispatcher

    return compiled
