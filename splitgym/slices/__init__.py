"""Slices: several tasks share one cell and one edge server, and a controller says what each of them gets."""

from splitgym.slices.controllers import Controller, factory, make, names, parse
from splitgym.slices.environment import SplitLearningSlicesEnv
from splitgym.slices.setup import SlicedCell, SliceRow, load, presets
from splitgym.slices.shares import Shares
from splitgym.slices.slice import Slice

__all__ = [
    "Controller",
    "Shares",
    "Slice",
    "SliceRow",
    "SlicedCell",
    "SplitLearningSlicesEnv",
    "factory",
    "load",
    "make",
    "names",
    "parse",
    "presets",
]
