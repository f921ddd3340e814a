"""Every rule by name: schedulers that decide without any training.

`splitgym.schedulers.make("greedy", env)` makes one for an environment; `splitgym.agents.make` knows learned ones, too.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from splitgym.schedulers.registry import factory, make, names, parse
    from splitgym.schedulers.scheduler import Heuristic, Scheduler

__all__ = ["Heuristic", "Scheduler", "factory", "make", "names", "parse"]


def __getattr__(name: str) -> Any:
    """Imported when it is asked for: environments take seconds to import, and names need none."""
    if name not in __all__:
        raise AttributeError(f"module 'splitgym.schedulers' has no attribute {name!r}")
    module = "scheduler" if name in ("Heuristic", "Scheduler") else "registry"
    return getattr(import_module(f"splitgym.schedulers.{module}"), name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
