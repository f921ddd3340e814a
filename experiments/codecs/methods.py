"""What is compared: codecs, each in all rounds, and simple ways to change them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from splitgym.allocation import allocate
from splitgym.arrays import Ints
from splitgym.timing import round_cost
from splitgym.types import Plan, RoundState

CODECS = (
    "none",
    "fp16",
    "uniform-8",
    "uniform-4",
    "uniform-2",
    "top-k:0.1",
    "top-k:0.03",
    "random-top-k:0.1",
    "c3:4",
    "c3:16",
)
FIRST_CUT = ("none", "uniform-8", "uniform-4", "uniform-2", "top-k:0.1", "top-k:0.03", "c3:4")
"""Those that are also run at the first cut layer, where there are twice as many numbers."""
SHORT = ("none", "uniform-2")
"""Of the short form."""


SLACK = 0.01
"""By so much may a round take longer and count as no longer."""


@dataclass(frozen=True)
class Method:
    """How codecs are decided."""

    decide: Callable[[RoundState, int], Any]
    """Index of a codec in `CODECS`, or [C], in a state with a cut layer."""
    fixed: bool = False
    """Whether it is the same in all rounds and for all clients."""
    cut_layers: tuple[int, ...] = (2,)
    """At which it is run."""
    in_short: bool = False
    """Whether the short form has it."""


def _index(name: str) -> int:
    return CODECS.index(name)


def always(name: str) -> Method:
    """One codec."""
    cut_layers = (1, 2) if name in FIRST_CUT else (2,)
    return Method(lambda state, _: _index(name), fixed=True, cut_layers=cut_layers, in_short=name in SHORT)


def after(rounds: int, first: str, then: str, in_short: bool = False) -> Method:
    """One codec in the first rounds, and then another."""
    return Method(lambda state, _: _index(first if state.round < rounds else then), in_short=in_short)


def by_channel(weaker: str, stronger: str) -> Method:
    """One codec for the half of the clients with the lower mean gain, and another for the other half."""

    def decide(state: RoundState, cut_layer: int) -> Any:
        gain = state.channel_gain.mean(-1)
        return np.where(gain < np.median(gain), _index(weaker), _index(stronger))

    return Method(decide)


def in_time(*names: str) -> Method:
    """For one client after the other the finest codec with which the round takes no longer than with the coarsest.

    Args:
        names: The finest first.
    """

    def decide(state: RoundState, cut_layer: int) -> Any:
        everybody = np.ones(len(state.client_hz), bool)

        def seconds(codecs: Ints) -> float:
            decision = allocate(state, Plan(cut_layer, 0.0, 0, codecs), everybody)
            return float(round_cost(state, decision).latency_s)

        chosen = np.full(len(everybody), _index(names[-1]))
        limit_s = (1 + SLACK) * seconds(chosen)
        for client in range(len(everybody)):
            for name in names:
                tried = chosen.copy()
                tried[client] = _index(name)
                if seconds(tried) <= limit_s:
                    chosen = tried
                    break
        return chosen

    return Method(decide)


METHODS: Mapping[str, Method] = {
    **{name: always(name) for name in CODECS},
    "uniform-2, after 20 rounds uniform-4": after(20, "uniform-2", "uniform-4"),
    "uniform-2, after 40 rounds uniform-8": after(40, "uniform-2", "uniform-8"),
    "uniform-4, after 40 rounds uniform-2": after(40, "uniform-4", "uniform-2"),
    "top-k:0.03, after 20 rounds uniform-2": after(20, "top-k:0.03", "uniform-2", in_short=True),
    "weaker half uniform-2, others uniform-4": by_channel("uniform-2", "uniform-4"),
    "weaker half uniform-4, others uniform-2": by_channel("uniform-4", "uniform-2"),
    "uniform-8, 4 or 2, the finest in time": in_time("uniform-8", "uniform-4", "uniform-2"),
}
"""By the name that tables show."""
