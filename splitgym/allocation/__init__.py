"""The paper's resource management: which clients participate, with which subchannels, powers and cut layer.

Optima and bounds need scipy.optimize and are imported on first use: nothing decides with them.
"""

from typing import TYPE_CHECKING

from splitgym.allocation.baselines.allocators import (
    SubchannelRule,
    assign_at_best_cut,
    assign_evenly,
    at_random,
    equal_shares,
    in_index_order,
    proportional_fair,
    round_robin,
    strongest_signal,
)
from splitgym.allocation.baselines.block_coordinate import Step, best_cut, descent_steps, paper_descend
from splitgym.allocation.baselines.two_timescale import fast_decision, gibbs_clusters, slow_cut
from splitgym.allocation.budget import project_power
from splitgym.allocation.clusters import clusters_for, form_clusters
from splitgym.allocation.descent.cuts_by_client import descend_cuts, exact_cuts
from splitgym.allocation.descent.descent import Descent, allocate, descend, descent
from splitgym.allocation.descent.greedy import greedy_subchannels
from splitgym.allocation.descent.worlds import BLOCKS
from splitgym.allocation.diagnostics import unserved
from splitgym.allocation.even_split import even_psd
from splitgym.allocation.pooled_batches import pooled_batch_sizes
from splitgym.allocation.power import control_power
from splitgym.allocation.selection.novelty import novelty
from splitgym.allocation.selection.rules import (
    Deadline,
    Everybody,
    FastestK,
    HighestLossK,
    LossPerSecondK,
    Prospect,
    RandomK,
    RoundRobinK,
    Selection,
    Unified,
)
from splitgym.allocation.selection.utility import best_utility
from splitgym.allocation.slack_clock import slack_clock
from splitgym.lazy import lazily

if TYPE_CHECKING:
    from splitgym.allocation.bounds.optimum import Optimum, exact, exact_subchannels, exhaustive
    from splitgym.allocation.bounds.relaxation import lower_bound

__all__ = [
    "BLOCKS",
    "Deadline",
    "Descent",
    "Everybody",
    "FastestK",
    "HighestLossK",
    "LossPerSecondK",
    "Optimum",
    "Prospect",
    "RandomK",
    "RoundRobinK",
    "Selection",
    "Step",
    "SubchannelRule",
    "Unified",
    "allocate",
    "assign_at_best_cut",
    "assign_evenly",
    "at_random",
    "best_cut",
    "best_utility",
    "clusters_for",
    "control_power",
    "descend",
    "descend_cuts",
    "descent",
    "descent_steps",
    "equal_shares",
    "even_psd",
    "exact",
    "exact_cuts",
    "exact_subchannels",
    "exhaustive",
    "fast_decision",
    "form_clusters",
    "gibbs_clusters",
    "greedy_subchannels",
    "in_index_order",
    "lower_bound",
    "novelty",
    "paper_descend",
    "pooled_batch_sizes",
    "project_power",
    "proportional_fair",
    "round_robin",
    "slack_clock",
    "slow_cut",
    "strongest_signal",
    "unserved",
]

__getattr__ = lazily(
    __name__,
    {
        "Optimum": "splitgym.allocation.bounds.optimum",
        "exact": "splitgym.allocation.bounds.optimum",
        "exact_subchannels": "splitgym.allocation.bounds.optimum",
        "exhaustive": "splitgym.allocation.bounds.optimum",
        "lower_bound": "splitgym.allocation.bounds.relaxation",
    },
)


def __dir__() -> list[str]:
    return __all__
