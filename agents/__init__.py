"""Schedulers by name."""

from agents.agent import Agent, Heuristic
from agents.registry import make, names, parse

__all__ = ["Agent", "Heuristic", "make", "names", "parse"]
