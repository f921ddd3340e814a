"""Schedulers by name: one file each."""

from agents.agent import Agent, Heuristic, Scheduler
from agents.registry import make, names

__all__ = ["Agent", "Heuristic", "Scheduler", "make", "names"]
