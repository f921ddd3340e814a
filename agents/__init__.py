"""All schedulers by name: the rules of `splitgym.schedulers`, and learned ones.

The base classes `agents.Agent` and `agents.Heuristic` are `splitgym.schedulers.Scheduler` and
`splitgym.schedulers.Heuristic`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agents.registry import factory, make, names, parse
    from splitgym.schedulers import Heuristic
    from splitgym.schedulers import Scheduler as Agent

__all__ = ["Agent", "Heuristic", "factory", "make", "names", "parse"]

_BASES = {"Agent": "Scheduler", "Heuristic": "Heuristic"}
"""Base classes, as `splitgym.schedulers` calls them."""


def __getattr__(name: str) -> Any:
    """Imported when it is asked for: it takes seconds, and a command line starts with this file."""
    if name not in __all__:
        raise AttributeError(f"module 'agents' has no attribute {name!r}")
    if name in _BASES:
        return getattr(import_module("splitgym.schedulers"), _BASES[name])
    return getattr(import_module("agents.registry"), name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
