"""What each architecture adds behind the cut, and the best cuts of every cell, over speeds and rates."""

from typing import NamedTuple

import numpy as np
import pandas as pd

from experiments.three_tier.architectures import THREE_TIERS, USER_CLOUD, USER_EDGE
from splitgym import data, models
from splitgym.arrays import Floats, Ints
from splitgym.scenario import load

PRESET = load("three-tier")
USER_EDGE_BITS_PER_S = 20 * PRESET.cloud.link_bits_per_s
"""Capacity of the user-edge link; the preset's link to the cloud has a twentieth of it."""
CYCLES_OF_CLIENTS = PRESET.clients.cycles_per_flop / PRESET.server.cycles_per_flop
"""For a FLOP, over those of edge server and cloud."""
ROWS = PRESET.clients.count * PRESET.training.batch_size


class Rounds(NamedTuple):
    """Rounds of an architecture with the best cuts, each [..., cells]."""

    seconds: Floats
    cut_layer: Ints
    second_cut: Ints
    """Last unit of the edge server."""


def fronts(rows: pd.DataFrame) -> dict[float, Floats]:
    """[cells, L - 1] seconds in front of each cut layer, by cycles per FLOP."""
    return {
        float(kappa): own.pivot_table(index="cell", columns="cut_layer", values="front_s").to_numpy()
        for kappa, own in rows.groupby("cycles_per_flop")
    }


def best_rounds(
    front_s: Floats, cycles_per_flop: float, cloud_hz: Floats, link_bits_per_s: Floats
) -> dict[str, Rounds]:
    """Rounds of each architecture; with three tiers edge server and cloud have at least one unit each.

    Args:
        front_s: [cells, L - 1] of `fronts`.
        cycles_per_flop: Of edge server and cloud alike.
        cloud_hz: [...] cycles/s.
        link_bits_per_s: [...] between edge server and cloud, in each direction.
    """
    task = PRESET.task
    profile = models.measure(task.model, *data.dimensions(task.dataset), task.stem).profile
    units = len(profile)
    flops = ROWS * np.concatenate([[0.0], np.cumsum(profile.forward_flops + profile.backward_flops)])
    bits = 2 * ROWS * np.append(np.inf, profile.activation_bits)
    cloud_s, bit_s = cycles_per_flop / cloud_hz[..., None], 1 / link_bits_per_s[..., None]
    edge_s = cycles_per_flop / PRESET.server.compute_hz
    cuts = range(1, units)
    found = {}
    for name in (THREE_TIERS, USER_EDGE, USER_CLOUD):
        pairs = {
            THREE_TIERS: [(cut, second) for cut in cuts for second in range(cut + 1, units)],
            USER_EDGE: [(cut, units) for cut in cuts],
            USER_CLOUD: [(cut, cut) for cut in cuts],
        }[name]
        seconds = np.stack(
            [
                front_s[:, cut - 1]
                + edge_s * (flops[second] - flops[cut])
                + (bits[second] * bit_s + cloud_s * (flops[units] - flops[second]) if second < units else 0.0 * bit_s)
                for cut, second in pairs
            ]
        )
        best, table = seconds.argmin(0), np.array(pairs)
        found[name] = Rounds(seconds.min(0), table[best, 0], table[best, 1])
    return found
