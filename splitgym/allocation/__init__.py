"""The paper's resource management: subchannels, power, cut layer, the descent over all three; and clusters."""

from splitgym.allocation.budget import project_power
from splitgym.allocation.clusters import clusters_for, form_clusters
from splitgym.allocation.descent import Step, allocate, best_cut, descend, descent_steps
from splitgym.allocation.power import control_power, even_psd, spread_power
from splitgym.allocation.shares import equal_shares
from splitgym.allocation.subchannels import greedy_subchannels

__all__ = [
    "Step",
    "allocate",
    "best_cut",
    "clusters_for",
    "control_power",
    "descend",
    "descent_steps",
    "equal_shares",
    "even_psd",
    "form_clusters",
    "greedy_subchannels",
    "project_power",
    "spread_power",
]
