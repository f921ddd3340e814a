"""Constants, spectrum, speeds and links, as the compiled loops take them."""

from typing import NamedTuple

from splitgym.arrays import Bools, Floats
from splitgym.frameworks.resources import Resources
from splitgym.network.wired import Ways
from splitgym.timing.wires import Wires


class Backbone(NamedTuple):
    """Nodes and wired links behind the edge server; all [Q], as in `splitgym.frameworks.Resources`."""

    speed: Floats
    """Cycles/s, or bits/s in each direction."""
    capacitance: Floats
    """xi of each node, J s^2/cycle^3."""
    is_link: Bools
    delay_s: Floats
    """Seconds that whatever is sent over a link needs beside its bits."""


class Constants(NamedTuple):
    """What is the same in every world."""

    noise: float
    """N0, W/Hz."""
    downlink_psd: float
    """Of the base station, W/Hz."""
    client_max_w: float
    """p_max, W."""
    total_max_w: float
    """p_th, W."""
    client_capacitance: float
    """xi of the clients, J s^2/cycle^3."""
    server_capacitance: float
    """xi of the server, J s^2/cycle^3."""
    backbone: Backbone
    ways: Ways


class Spectrum(NamedTuple):
    """What all clients of a world share."""

    subchannel_hz: Floats
    """[M] bandwidths B_k, Hz."""
    noise: float
    """N0, W/Hz."""
    downlink_psd: float
    """Of the base station, W/Hz."""
    client_max_w: float
    """p_max, W."""
    total_max_w: float
    """p_th, W."""


class Cell(NamedTuple):
    """Speeds and links of one world in a round."""

    client_hz: Floats
    """[C] cycles/s."""
    server_hz: float
    """Cycles/s."""
    backbone: Backbone
    gain: Floats
    """[C, M] linear, antenna gains included."""
    band: Floats
    """[C] rate of a broadcast to the client alone, over wires and radio, bits/s."""
    move_down: Floats
    """[C] model bits the client has to fetch."""
    move_up: Floats
    """[C] model bits the client has to give up."""
    move_between: float
    """Model bits that move between the nodes on either side of the second cut."""
    relocation_s: float
    """Seconds in which units move between the nodes of placements."""
    relocated_bits: float
    """Bits that move then."""
    relocation_traffic: float
    """Bits sent then over all links together."""
    wires: Wires
    broadcast_delay_s: float
    """Seconds that a broadcast needs beside its bits."""
    station_gain: Floats
    """[C, S] towards each station where all of them use all subchannels; else [C, 0]."""


class Links(NamedTuple):
    """What the clients have of the band in their slot; all [C]."""

    hz: Floats
    """What each has, Hz; on demand the mean while it receives."""
    power_w: Floats
    """What each spends on it, W; on demand the mean while it sends."""
    uplink: Floats
    """R_i^U, bits/s; on demand the mean while it sends."""
    downlink: Floats
    """R_i^D, bits/s; on demand the mean while it receives."""


def backbone_of(resources: Resources) -> Backbone:
    """The table of resources for kernels."""
    return Backbone(resources.speed, resources.capacitance, resources.is_link, resources.delay_s)
