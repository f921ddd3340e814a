"""How far the descent, its parts and simpler rules are from the optimum over subchannels, powers and cut layer.

    python -m experiments gaps

Small cells are compared with the exhaustive optimum. Larger ones are compared with a lower bound, above which the
optimum itself may lie: that of the relaxation, and, for the smallest of them, that of mixed-integer programmes. Cells
are those of four presets as they are, and with gains independent over two decades on every link, which is harder;
budgets bind for each client or for all together; phi is 0, 0.5 or 1. Everybody takes part, and there is no timeout.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from itertools import product

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from experiments.cells import ENDLESS_S, random_states
from experiments.running import Case, Experiment, Row, at_least
from splitgym.allocation import at_random, descend, paper_descend, strongest_signal
from splitgym.allocation.bounds.optimum import exact, exhaustive
from splitgym.allocation.bounds.relaxation import lower_bound
from splitgym.evaluation.look import COLOURS, STYLES
from splitgym.frameworks import get
from splitgym.scenario import build
from splitgym.timing import round_cost
from splitgym.types import Decision, RoundState

KINDS = tuple(product(("iot", "epsl", "edge6g", "bandwidth-limited"), ("cell", "independent"), ("client", "common")))
"""Preset, gains, budget that binds."""
MOST_ASSIGNMENTS = 70_000
"""In a small cell."""
SIZES = ((5, 20), (10, 50), (20, 100))
"""Clients and subchannels of larger cells; the first is small enough for mixed-integer programmes."""
SMALL = "small cells"
LARGE = tuple(f"{clients} x {subchannels}" for clients, subchannels in SIZES)
LEAST_PERCENT = 1e-3
"""Left end of the plot; smaller gaps are drawn there."""
EXACT = 1e-9
"""Relative gap that counts as none."""

Rule = Callable[[RoundState, float, np.random.Generator], Decision]
"""A decision with everybody, for a state and phi; some rules draw."""


def everybody(state: RoundState) -> np.ndarray:
    return np.ones(len(state.client_hz), bool)


RULES: Mapping[str, Rule] = {
    "descent": lambda state, phi, _: descend(state, everybody(state), phi),
    "greedy, exact power, best cut": lambda state, phi, _: descend(state, everybody(state), phi, search=False),
    "paper's descent": lambda state, phi, _: paper_descend(state, everybody(state), phi),
    "even power": lambda state, phi, _: descend(state, everybody(state), phi, power="even"),
    "strongest signal": lambda state, phi, _: descend(
        state, everybody(state), phi, assignment=strongest_signal(state, everybody(state))
    ),
    "random subchannels": lambda state, phi, rng: descend(
        state, everybody(state), phi, assignment=at_random(state, everybody(state), rng)
    ),
    "random cut": lambda state, phi, rng: descend(
        state, everybody(state), phi, cut_layer=int(rng.integers(1, state.system.cut_layers + 1))
    ),
}
"""The first is compared with each of the others. What a rule does not fix is chosen as in the descent."""


@dataclass(frozen=True)
class Cell:
    """A random cell."""

    number: int
    """Of the cell among those of its size."""
    clients: int
    subchannels: int
    preset: str
    gains: str
    """"cell": as in the preset; "independent": on each link within two decades around one of 1e-12."""
    budget: str
    """"client": p_th is what all clients may spend; "common": a quarter of that."""
    aggregation_ratio: float

    @property
    def size(self) -> str:
        """Clients and subchannels."""
        return f"{self.clients} x {self.subchannels}"

    def state(self, seed: int) -> RoundState:
        """The state at the start of an episode with EPSL."""
        shape = self.clients, self.subchannels
        numbers = {"clients": {"count": self.clients}, "radio": {"subchannels": self.subchannels}}
        scenario = build(self.preset, {**numbers, "episode": {"round_timeout_s": ENDLESS_S}})
        (state,) = random_states(scenario, get("epsl"), [(self.number, seed)])
        total_w = self.clients * state.system.client_power_max_w * (0.25 if self.budget == "common" else 1.0)
        state = replace(state, system=replace(state.system, total_power_max_w=total_w))
        if self.gains == "cell":
            return state
        exponents = np.random.default_rng((self.number, seed)).uniform(-13, -11, shape)
        return replace(state, channel_gain=10.0**exponents)


def small_cells(count: int) -> Iterator[Cell]:
    """Cells whose assignments can all be tried."""
    for seed in range(count):
        rng = np.random.default_rng(seed)
        clients = int(rng.integers(2, 5))
        most = min(8, int(np.log(MOST_ASSIGNMENTS) / np.log(clients)))
        subchannels = int(rng.integers(clients, most + 1))
        yield Cell(seed, clients, subchannels, *KINDS[seed % len(KINDS)], float(rng.choice([0.0, 0.5, 1.0])))


def large_cells(count: int) -> Iterator[Cell]:
    """Cells of all larger sizes, as many of each kind and size as can be."""
    for n in range(count):
        size, seed = SIZES[n % len(SIZES)], n // len(SIZES)
        yield Cell(seed, *size, *KINDS[seed % len(KINDS)], float(np.random.default_rng(seed).choice([0.0, 0.5, 1.0])))


@dataclass(frozen=True)
class Cases:
    """Random cells."""

    cells: int = 500
    """Small cells: 2 to 4 clients, at most 8 subchannels; 16 in the short form."""
    large: int = 48
    """Larger cells, equally many of each size; 3 in the short form."""
    programme_s: float = 60.0
    """Seconds for the programmes of a larger cell of the smallest size; 0: do without, as the short form does."""

    def __call__(self, quick: bool) -> list[Case]:
        """All of them, the small ones first."""
        at_least(1, cells=self.cells)
        at_least(len(SIZES), large=self.large)
        at_least(0, programme_s=self.programme_s)
        small, large = (16, 3) if quick else (self.cells, self.large)
        programme_s = {LARGE[0]: 0.0 if quick else self.programme_s}
        return [
            *({"size": SMALL, **asdict(cell), "programme_s": 0.0} for cell in small_cells(small)),
            *(
                {"size": cell.size, **asdict(cell), "programme_s": programme_s.get(cell.size, 0.0)}
                for cell in large_cells(large)
            ),
        ]


def latency_s(state: RoundState, decision: Decision) -> float:
    return float(round_cost(state, decision).latency_s)


def optimum(state: RoundState, phi: float) -> dict[str, float]:
    """The optimum, and beside it the bound of the relaxation."""
    selected = everybody(state)
    reference_s = latency_s(state, exhaustive(state, selected, phi))
    return {"reference_s": reference_s, "relaxation_s": lower_bound(state, selected, phi)}


def bound(state: RoundState, phi: float) -> dict[str, float]:
    """The bound of the relaxation."""
    bound_s = lower_bound(state, everybody(state), phi)
    return {"reference_s": bound_s, "relaxation_s": bound_s}


def programme_bound(state: RoundState, phi: float, seconds: float) -> dict[str, float]:
    """The bound of programmes with so much time, and the latency of what they found."""
    bound_s, best = lower_bound(state, everybody(state), phi), exact(state, everybody(state), phi, time_limit_s=seconds)
    return {
        "reference_s": max(bound_s, best.bound_s),
        "relaxation_s": bound_s,
        "found_s": latency_s(state, best.decision),
    }


def measure(case: Case, seed: int) -> list[Row]:
    """References and the latency of every rule, s, of a cell."""
    cell = Cell(**{name: case[name] for name in Cell.__dataclass_fields__})
    state, phi, rng = cell.state(seed), cell.aggregation_ratio, np.random.default_rng((cell.number, seed))
    rules = {name: latency_s(state, rule(state, phi, rng)) for name, rule in RULES.items()}
    if case["size"] == SMALL:
        return [{**optimum(state, phi), **rules}]
    seconds = case["programme_s"]
    return [{**(programme_bound(state, phi, seconds) if seconds else bound(state, phi)), **rules}]


def gap_percent(table: pd.DataFrame, name: str) -> pd.Series:
    """By how much a rule takes longer than the reference, %."""
    return 100 * (table[name] / table["reference_s"] - 1)


def summary(table: pd.DataFrame) -> str:
    """Markdown: gaps of every rule to the reference, and how often the descent is worse than the rule."""
    lines = [
        "| rule | mean % | median % | 95th percentile % | worst % | no gap, % of cells | descent is worse, cells |",
        "|---|" + "---:|" * 6,
    ]
    for name in RULES:
        gaps = gap_percent(table, name)
        worse = int((table["descent"] > table[name] * (1 + EXACT)).sum())
        figures = [gaps.mean(), gaps.median(), gaps.quantile(0.95), gaps.max()]
        cells = [*(f"{figure:.3f}" for figure in figures), f"{100 * (gaps <= 100 * EXACT).mean():.1f}", f"{worse}"]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def references(table: pd.DataFrame) -> list[str]:
    """How far apart the references are, where there are several."""
    relaxed = 100 * (table["reference_s"] / table["relaxation_s"] - 1)
    sentences = []
    if relaxed.max() > 0:
        sentences.append(f"The relaxation's bound is lower by {relaxed.mean():.3f} % (at most {relaxed.max():.3f} %).")
    if "found_s" in table and table["found_s"].notna().any():
        left = gap_percent(table, "found_s")
        sentences.append(
            f"The programmes' own decisions have a gap of {left.mean():.3f} % (at most {left.max():.3f} %)."
        )
    return [" ".join(sentences)] if sentences else []


def by_kind(table: pd.DataFrame) -> str:
    """Markdown: mean gaps by preset and gains."""
    heads = ["preset", "gains", "cells", *RULES]
    lines = ["| " + " | ".join(heads) + " |", "|---|---|" + "---:|" * (len(heads) - 2)]
    for (preset, gains), own in table.groupby(["preset", "gains"], sort=False):
        means = [f"{gap_percent(own, name).mean():.3f}" for name in RULES]
        lines.append(f"| {preset} | {gains} | {len(own)} | " + " | ".join(means) + " |")
    return "\n".join(lines)


def report(table: pd.DataFrame) -> str:
    """Markdown: all tables."""
    parts = ["Gaps in latency; a rule chooses what it does not fix as the descent does."]
    for size, own in table.groupby("size", sort=False):
        to = "the exhaustive optimum" if size == SMALL else "a lower bound"
        parts += [f"### {size}: {len(own)} cells, gaps to {to}", summary(own), *references(own)]
    small = table[table["size"] == SMALL]
    parts += [f"### {SMALL}: mean gap (%) by kind", by_kind(small)]
    return "\n\n".join(parts)


def plot(table: pd.DataFrame, figure: Figure) -> None:
    """Percentage of cells in which a rule's gap is at most so much; left: small cells, right: larger ones."""
    figure.set_size_inches(11, 4.6)
    halves = {
        f"{SMALL}, gap to the optimum (%)": table[table["size"] == SMALL],
        f"{', '.join(LARGE)}: gap to a lower bound (%)": table[table["size"] != SMALL],
    }
    for axes, (label, own) in zip(figure.subplots(1, 2, sharey=True), halves.items(), strict=True):
        for number, name in enumerate(RULES):
            gaps = np.maximum(gap_percent(own, name), LEAST_PERCENT)
            look = {"color": COLOURS[number % len(COLOURS)], "linestyle": STYLES[number % len(STYLES)]}
            percent = 100 * np.arange(1, len(gaps) + 1) / len(gaps)
            axes.step(np.sort(gaps), percent, where="post", linewidth=1.8, label=name, **look)
        axes.set(xscale="log", xlabel=label, xlim=(LEAST_PERCENT, None), ylim=(0, 101))
        axes.grid(alpha=0.3)
    figure.axes[0].set_ylabel("cells (%)")
    figure.suptitle("Random cells in which a round takes at most so much longer than the best one")
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)


EXPERIMENT = Experiment(
    title="How far are the descent, its parts and simpler rules from the optimum over subchannels, powers and cut?",
    cases=Cases(),
    measure=measure,
    report=report,
    plots={"gaps": plot},
    seeds=1,
)
