"""All schedulers by name: the rules of `splitgym.schedulers`, and learned ones.

The package is `splitgym.agents`; in a checkout this folder lies beside `splitgym`. The base classes `Agent` and
`Heuristic` are `splitgym.schedulers.Scheduler` and `splitgym.schedulers.Heuristic`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from splitgym.schedulers import Heuristic
    from splitgym.schedulers import Scheduler as Agent

    from .registry import factory, make, names, parse

__all__ = ["Agent", "Heuristic", "factory", "make", "names", "parse"]

_BASES = {"Agent": "Scheduler", "Heuristic": "Heuristic"}
"""Base classes, as `splitgym.schedulers` calls them."""


def __getattr__(name: str) -> Any:
    """Imported when it is asked for: it takes seconds, and a command line starts with this file."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name in _BASES:
        return getattr(import_module("splitgym.schedulers"), _BASES[name])
    return getattr(import_module(f"{__name__}.registry"), name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
