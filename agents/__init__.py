"""Schedulers by name."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agents.agent import Agent, Heuristic
    from agents.registry import factory, make, names, parse

__all__ = ["Agent", "Heuristic", "factory", "make", "names", "parse"]


def __getattr__(name: str) -> Any:
    """Imported when it is asked for: it takes seconds, and a command line begins with this file."""
    if name not in __all__:
        raise AttributeError(f"module 'agents' has no attribute {name!r}")
    return getattr(import_module("agents.agent" if name in ("Agent", "Heuristic") else "agents.registry"), name)
