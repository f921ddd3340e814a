"""Spectrum, power budgets, speeds and links, as the compiled loops take them."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class Spectrum(NamedTuple):
    """What all clients share, in every world."""

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
    gain: Floats
    """[C, M] linear, antenna gains included."""
    band: Floats
    """[C] rate of a broadcast to the client alone, bits/s."""
    move_down: Floats
    """[C] model bits the client has to fetch."""
    move_up: Floats
    """[C] model bits the client has to give up."""
