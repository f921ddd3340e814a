"""How kernels are compiled that allocate nothing."""

from typing import Any

UNCOUNTED: dict[str, Any] = {"cache": True, "nogil": True, "error_model": "numpy", "_nrt": False}
"""For `numba.njit`: without counts of references to arrays, which cost as much as the work itself, as each taking of an
array out of a tuple is counted. What is compiled so, and what it calls, cannot make an array."""
