"""The nodes behind the cut of a round that was played, where these lie on a path."""

import re
from typing import NamedTuple

from splitgym.frameworks.placements import segments_of
from splitgym.rendering.scene import Played, Scene

NUMBERED = re.compile(r"(server|link)_[fb]p_(\d+)")
"""Stages of a node of a path, and of the link behind it."""


class Stop(NamedTuple):
    """A node of a path."""

    name: str
    first: int
    """Its first unit."""
    last: int
    """Its last unit; in front of the first: it only passes data on."""

    @property
    def words(self) -> str:
        """Its name and its units."""
        if self.last < self.first:
            return self.name
        return f"{self.name} {self.first}" + (f"-{self.last}" if self.last > self.first else "")


def path(scene: Scene, played: Played) -> list[Stop]:
    """The nodes of the placement that was decided, in order; none with a framework without placements."""
    placed, decision = scene.state.system.program.placed, played.decision
    if placed is None:
        return []
    placement = placed.placements[int(decision.placement)]
    segments = segments_of(placement, int(decision.cut_layer), placed.units)
    return [Stop(name, in_front + 1, last) for name, in_front, last in segments]


def busy_in(scene: Scene, stage: str) -> str:
    """Name of the node or link that is busy in a stage of a path; of other stages nothing."""
    found, program = NUMBERED.fullmatch(stage), scene.state.system.program
    if found is None or scene.played is None or program.placed is None:
        return ""
    phase = program.stages.index(stage)
    return program.resources.names[program.route[int(scene.played.decision.placement), phase]]
