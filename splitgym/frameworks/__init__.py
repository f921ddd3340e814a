"""Learning frameworks: what a round computes and sends, and its real training. One file each.

`codec` and `codecs_at` need torch and are imported on first use.
"""

from typing import TYPE_CHECKING

from splitgym.frameworks.framework import Framework, get, names
from splitgym.frameworks.ledger import Seen, ledger
from splitgym.frameworks.phases import Access, Phase, Workload
from splitgym.frameworks.plans import PlanGrid
from splitgym.frameworks.program import Program
from splitgym.frameworks.resources import Barrier, Resource, Resources
from splitgym.frameworks.rows import aggregated_rows
from splitgym.lazy import lazily

if TYPE_CHECKING:
    from splitgym.frameworks.codecs import codec, codecs_at

__all__ = [
    "Access",
    "Barrier",
    "Framework",
    "Phase",
    "PlanGrid",
    "Program",
    "Resource",
    "Resources",
    "Seen",
    "Workload",
    "aggregated_rows",
    "codec",
    "codecs_at",
    "get",
    "ledger",
    "names",
]

__getattr__ = lazily(__name__, dict.fromkeys(("codec", "codecs_at"), "splitgym.frameworks.codecs"))
