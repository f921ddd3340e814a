"""How loops are compiled: options for `numba.njit`."""

from typing import Any

COMPILED: dict[str, Any] = {"cache": True, "nogil": True, "error_model": "numpy"}
UNCOUNTED: dict[str, Any] = {**COMPILED, "_nrt": False}
"""Without counts of references to arrays, which cost as much as the work itself, as each taking of an array out of a
tuple is counted. What is compiled so, and what it calls, cannot make an array."""
INLINED: dict[str, Any] = {**UNCOUNTED, "inline": "always"}
"""Likewise, and written out where it is called: tuples of arrays as arguments cost as much as a short function."""
