"""How schedulers look in plots: each has its colour and line style, the same in every plot."""

import re
from collections.abc import Iterable
from typing import NamedTuple

# Okabe and Ito's colours, told apart by colour-blind readers; line styles tell them apart in print.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
LineStyle = str | tuple[int, tuple[int, ...]]
"""As Matplotlib takes it: a name, or offset and lengths of dashes and gaps."""
STYLES: tuple[LineStyle, ...] = ("-", "--", "-.", ":", (0, (6, 1, 1, 1, 1, 1)))

MOST_CURVES = 8
"""In one panel: more are hard to tell apart."""

_NAMES = (
    *("ppo-equivariant", "greedy", "unified", "fastest-k", "deadline", "best-fixed", "random"),
    *("ppo", "paper-greedy", "two-timescale", "highest-loss-k", "loss-per-second-k", "round-robin-k", "random-k"),
    *("maskable-ppo", "fixed", "proportional-fair", "equal-shares", "round-robin", "gpsl", "look-ahead"),
    *("recurrent-ppo", "ablation-a", "ablation-b", "ablation-c", "ablation-d", "tqc", "slack-clock"),
    *("untrained", "index", "rollout", "exact-cuts", "received-signal-strength", "ablation-c-random"),
)
"""Schedulers in the order of colours, a row for each line style; those that are often compared differ in colour."""


class Look(NamedTuple):
    """Of a curve, a point or a bar."""

    colour: str
    style: LineStyle
    """Of lines."""


_FIXED = {
    name: Look(COLOURS[number % len(COLOURS)], STYLES[number // len(COLOURS)]) for number, name in enumerate(_NAMES)
}


def looks(names: Iterable[str]) -> dict[str, Look]:
    """How agents look that are drawn in one plot, by their names with options, in their order.

    A scheduler has its own colour, whatever it is compared with; so have its variants, in other line styles as long as
    there are some, and `tuned` has that of its rule. Names that no scheduler of the project has get what the others
    leave.
    """
    wanted = list(dict.fromkeys(names))
    # Who has a look of its own gets it before others may take it; a name without options before those with some.
    order = sorted(wanted, key=lambda name: (_scheduler(name) not in _FIXED, len(name), name))
    found: dict[str, Look] = {}
    for name in order:
        own = _FIXED.get(_scheduler(name))
        colours = [own.colour] if own else [colour for colour in COLOURS if colour not in _used(found)] or COLOURS
        first = STYLES.index(own.style) if own else 0
        styles = (*STYLES[first:], *STYLES[:first])
        others = [colour for colour in COLOURS if colour not in colours]
        free = [Look(colour, style) for chosen in (colours, others) for style in styles for colour in chosen]
        found[name] = next((look for look in free if look not in found.values()), free[len(found) % len(free)])
    return {name: found[name] for name in wanted}


def _used(found: dict[str, Look]) -> set[str]:
    return {look.colour for look in found.values()}


def _scheduler(name: str) -> str:
    """Whose name it is, without options; of `tuned` that of the rule."""
    rule = re.match(r"tuned:(?:.*,)?rule=([\w-]+)", name)
    return rule[1] if rule else re.split(r"[: ]", name, maxsplit=1)[0]
