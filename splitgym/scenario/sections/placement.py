"""Which nodes may train the units behind the cut, with framework 'multi-hop'."""

from typing import Annotated

from pydantic import Field

from splitgym.scenario.names import Name
from splitgym.scenario.quantities import Units
from splitgym.scenario.section import Section


class PlacementRow(Section):
    """A row of `placement.candidates`: a path of nodes, and where the units of each end."""

    nodes: Annotated[tuple[Name, ...], Field(min_length=1, max_length=100)] = Field(
        description="The nodes in order, 'server' first unless there are `stations`; a link joins each one to the next."
    )
    bounds: Annotated[tuple[Units, ...], Field(max_length=99)] = Field(
        (),
        description="Last unit of each node but the last one, not decreasing; 0, or that of the node before: it only "
        "passes data on.",
    )


class Placements(Section):
    """Paths of nodes behind the cut, with framework 'multi-hop'."""

    nodes: Annotated[tuple[Name, ...], Field(min_length=1, max_length=100)] = Field(
        ("server",), description="Nodes that may hold units, where no candidates are listed."
    )
    hops: Annotated[int, Field(ge=1, le=100)] = Field(
        3, description="Most nodes on a path H, where no candidates are listed."
    )
    candidates: Annotated[tuple[PlacementRow, ...], Field(max_length=1000)] = Field(
        (), description="Placements to choose from; none: those with the shortest rounds behind the cut."
    )
    origin: Name | None = Field(
        None,
        description="The node that stores all units when an episode begins: who is to train some that it does not "
        "store fetches them first. Absent: everybody knows the initial weights.",
    )
    count: Annotated[int, Field(ge=1, le=1000)] = Field(
        8, description="Most placements to choose from, where no candidates are listed."
    )
