"""Names of a room that are imported on first use, because what they need is large."""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def lazily(room: str, places: Mapping[str, str]) -> Callable[[str], Any]:
    """The `__getattr__` of a room that finds some of its names in other modules.

    Args:
        room: Name of its module.
        places: Module of each of these names.
    """

    def get(name: str) -> Any:
        if name not in places:
            raise AttributeError(f"module {room!r} has no attribute {name!r}")
        return getattr(import_module(places[name]), name)

    return get
