"""Schedulers by name."""

from agents.agent import Agent, Heuristic
from agents.registry import factory, make, names, parse

__all__ = ["Agent", "Heuristic", "factory", "make", "names", "parse"]
