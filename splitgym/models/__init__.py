"""Networks as lists of units that can be cut between any two, and what each unit costs.

`Profile` and `NetworkCosts` are plain NumPy; everything else needs torch and is imported on first use, so that timing
and allocation can read a profile without loading torch.
"""

from typing import TYPE_CHECKING

from splitgym.lazy import lazily
from splitgym.models.costs import NetworkCosts, Profile

if TYPE_CHECKING:
    from splitgym.models.building import build
    from splitgym.models.network import CuttableNetwork
    from splitgym.models.profiling import measure, profile

__all__ = ["CuttableNetwork", "NetworkCosts", "Profile", "build", "measure", "profile"]

__getattr__ = lazily(
    __name__,
    {
        "CuttableNetwork": "splitgym.models.network",
        "build": "splitgym.models.building",
        "measure": "splitgym.models.profiling",
        "profile": "splitgym.models.profiling",
    },
)
