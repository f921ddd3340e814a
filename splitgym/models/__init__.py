"""Networks as lists of units that can be cut between any two, and what each unit costs.

`Profile` and `NetworkCosts` are plain NumPy; everything else needs torch and is imported on first use, so that timing
and allocation can read a profile without loading torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from splitgym.models.costs import NetworkCosts, Profile

if TYPE_CHECKING:
    from splitgym.models.building import build
    from splitgym.models.network import CuttableNetwork
    from splitgym.models.profiling import measure, profile

__all__ = ["CuttableNetwork", "NetworkCosts", "Profile", "build", "measure", "profile"]

_NEED_TORCH = {
    "CuttableNetwork": "splitgym.models.network",
    "build": "splitgym.models.building",
    "measure": "splitgym.models.profiling",
    "profile": "splitgym.models.profiling",
}


def __getattr__(name: str) -> Any:
    if name not in _NEED_TORCH:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_NEED_TORCH[name]), name)
