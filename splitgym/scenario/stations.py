"""Base stations, as rows: where each stands, and at which node."""

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from splitgym.parts import suggest
from splitgym.scenario.names import Name
from splitgym.scenario.nodes import CLIENT, SERVER, nodes_of
from splitgym.scenario.quantities import RatioDb
from splitgym.scenario.routes import Routes
from splitgym.scenario.section import Section

if TYPE_CHECKING:
    from splitgym.scenario.scenario import Scenario

Coordinate = Annotated[float, Field(ge=-1e6, le=1e6)]
"""Of a position, up to a thousand kilometres away."""


class StationRow(Section):
    """A row of `stations`: a base station. Without any row there is one in the origin, beside node `server`."""

    name: Name = Field(description="By which rows of `links` name it.")
    position_m: tuple[Coordinate, Coordinate] = Field(description="Where it stands: x and y, m.")
    node: Name | None = Field(None, description="The node at the same place; absent: links lead from it to nodes.")
    gain_db: RatioDb = Field(0.0, description="What its antennas gain over `radio.antenna_gain`, both ways, dB.")


def stations_on_a_subchannel(scenario: "Scenario") -> int:
    """How many stations use the same subchannel: all, or one."""
    return max(len(scenario.stations), 1) if scenario.radio.frequency_reuse == "universal" else 1


def check_stations(scenario: "Scenario") -> None:
    """Raises a ValueError if rows of stations contradict each other, or those of nodes and links."""
    stations = scenario.stations
    nodes = (SERVER, *(row.name for row in nodes_of(scenario)))
    names = [row.name for row in stations]
    for row in stations:
        if names.count(row.name) > 1 or row.name in (CLIENT, *nodes):
            raise ValueError(f"stations: name {row.name!r}, allowed: names that no other station and no node has")
        if row.node is not None and row.node not in nodes:
            raise ValueError(f"stations, row {row.name!r}: node = {row.node!r} is unknown, {suggest(row.node, nodes)}")
    if stations and scenario.radio.sharing == "on-demand":
        raise ValueError("radio.sharing = 'on-demand' with rows of stations, allowed: 'static'")
    routes = Routes.of(scenario) if stations else None
    for row in stations:
        if routes and not routes.joins(row.name, SERVER):
            raise ValueError(
                f"stations, row {row.name!r}: no wired way leads from there to node {SERVER!r}, allowed: stations "
                "with a node or rows of links that lead there"
            )
