"""Nodes and links behind the edge server, as rows: what computes there, and over which links it is reached."""

from typing import TYPE_CHECKING

from pydantic import Field

from splitgym.scenario.names import Name
from splitgym.scenario.quantities import BitsPerSecond, Bytes, Capacitance, CyclesPerFlop, Hertz, UnitNumbers
from splitgym.scenario.section import Section
from splitgym.scenario.stored import STORAGE, STORED

if TYPE_CHECKING:
    from splitgym.scenario.scenario import Scenario

CLIENT, SERVER, CLOUD = "client", "server", "cloud"
"""Nodes that every scenario has, by its sections."""
BACKHAUL = "backhaul"
"""The link between edge server and cloud."""


class NodeRow(Section):
    """A row of `nodes`: a processor on which a framework can train units of the network."""

    name: Name = Field(description="By which phases and segments of a framework name it.")
    compute_hz: Hertz = Field(description="Speed, cycles/s.")
    cycles_per_flop: CyclesPerFlop = Field(description="Its cycles per FLOP.")
    switched_capacitance: Capacitance = Field(
        description="Effective switched capacitance xi, J s^2/cycle^3 (energy xi f^2 per cycle)."
    )
    memory_bytes: Bytes | None = Field(None, description="Memory for training, bytes; absent: no limit.")
    storage_bytes: Bytes | None = STORAGE
    stored_units: UnitNumbers = STORED


class LinkRow(Section):
    """A row of `links`: a wired link between two nodes, or from a base station to a node."""

    name: Name = Field(description="By which phases of a framework name it.")
    ends: tuple[Name, Name] = Field(description="The two nodes or stations.")
    bits_per_s: BitsPerSecond = Field(description="Rate in each direction, bits/s.")
    delay_s: float = Field(0.0, ge=0.0, le=1e6, description="What everything that is sent takes beside the rate, s.")


def nodes_of(scenario: "Scenario") -> tuple[NodeRow, ...]:
    """All nodes behind the edge server: the cloud, and the rows of `nodes`."""
    cloud = scenario.cloud
    row = NodeRow(
        name=CLOUD,
        compute_hz=cloud.compute_hz,
        cycles_per_flop=cloud.cycles_per_flop,
        switched_capacitance=cloud.switched_capacitance,
        memory_bytes=cloud.memory_bytes,
        storage_bytes=cloud.storage_bytes,
        stored_units=cloud.stored_units,
    )
    return (row, *scenario.nodes)


def links_of(scenario: "Scenario") -> tuple[LinkRow, ...]:
    """All wired links: that between edge server and cloud, and the rows of `links`."""
    return (LinkRow(name=BACKHAUL, ends=(SERVER, CLOUD), bits_per_s=scenario.cloud.link_bits_per_s), *scenario.links)


def check_links(scenario: "Scenario") -> None:
    """Raises a ValueError if two links join the same pair: which of them bits take would be a rule of its own."""
    joined: dict[frozenset[str], str] = {}
    for link in links_of(scenario):
        other = joined.setdefault(frozenset(link.ends), link.name)
        if other != link.name:
            raise ValueError(
                f"links, row {link.name!r}: ends = {list(link.ends)} are those of link {other!r}, allowed: one link "
                "between two places"
            )
