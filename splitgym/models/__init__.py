"""Networks as lists of units that can be cut between any two, and what each unit costs.

`Profile`, `Memory` and `NetworkCosts` are plain NumPy; everything else needs torch and is imported on first use, so
that timing and allocation can read a profile without loading torch.
"""

from typing import TYPE_CHECKING

from splitgym.lazy import lazily
from splitgym.models.costs import NetworkCosts, Profile
from splitgym.models.memory import Memory, optimizer_copies

if TYPE_CHECKING:
    from splitgym.models.building import build
    from splitgym.models.network import CuttableNetwork
    from splitgym.models.profiling import measure, profile
    from splitgym.models.saved_tensors import memory_of

__all__ = [
    "CuttableNetwork",
    "Memory",
    "NetworkCosts",
    "Profile",
    "build",
    "measure",
    "memory_of",
    "optimizer_copies",
    "profile",
]

__getattr__ = lazily(
    __name__,
    {
        "CuttableNetwork": "splitgym.models.network",
        "build": "splitgym.models.building",
        "measure": "splitgym.models.profiling",
        "memory_of": "splitgym.models.saved_tensors",
        "profile": "splitgym.models.profiling",
    },
)
