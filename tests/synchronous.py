"""Frameworks at the end of whose rounds everybody is back: an update of the others takes other times."""

from splitgym.frameworks import get, names

SYNCHRONOUS = tuple(name for name in names() if not get(name).asynchronous)
