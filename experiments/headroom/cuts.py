"""How much shorter rounds of `hospitals` are if both cuts are decided anew each round, not fixed once.

    python -m experiments headroom.cuts

Everybody takes part and subchannels and powers are the descent's for every pair of cuts, so that the cuts alone differ.
"""

from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from experiments.cells import random_states
from experiments.latency.sweeps import endless
from experiments.running import Case, Experiment, Row
from experiments.tables import estimate, markdown
from splitgym.allocation import descent
from splitgym.evaluation.look import COLOURS
from splitgym.frameworks import get
from splitgym.scenario import build

WIDTHS = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
"""Of a subchannel, as multiples of the preset's."""
CELLS = 10
"""Random states for each seed."""


def cases(quick: bool) -> list[Case]:
    """Every bandwidth."""
    return [{"width": width} for width in (WIDTHS[:1] if quick else WIDTHS)]


def measure(case: Case, seed: int) -> list[Row]:
    """A row for each state and pair of cuts."""
    preset = endless("hospitals")
    scenario = build(preset, {"radio": {"subchannel_hz": case["width"] * preset.radio.subchannel_hz}})
    rows: list[Row] = []
    for cell, state in enumerate(random_states(scenario, get("u-shaped"), range(CELLS * seed, CELLS * (seed + 1)))):
        last = state.system.cut_layers + 1
        for first in range(1, state.system.cut_layers + 1):
            for second in range(first + 1, last + 1):
                found = descent(state, state.available, 0.0, cut_layer=first, second_cut=second)
                rows.append({"cell": cell, "cuts": f"{first}, {second}", "latency_s": float(found.latency_s)})
    return rows


def summary(rows: pd.DataFrame) -> pd.DataFrame:
    """A row for each bandwidth and seed: seconds at the best fixed pair of all seeds, and at the best of each state."""
    found: list[dict[str, Any]] = []
    for width, own in rows.groupby("width"):
        fixed = own.groupby("cuts")["latency_s"].mean().idxmin()
        for seed, of_seed in own.groupby("seed"):
            fixed_s = of_seed[of_seed["cuts"] == fixed]["latency_s"].mean()
            best = of_seed.loc[of_seed.groupby("cell")["latency_s"].idxmin()]
            found.append(
                {
                    "width": width,
                    "seed": seed,
                    "fixed": fixed,
                    "fixed_s": fixed_s,
                    "decided_s": best["latency_s"].mean(),
                    "gain": 100 * (1 - best["latency_s"].mean() / fixed_s),
                    "pairs": best["cuts"].nunique(),
                }
            )
    return pd.DataFrame(found)


def report(rows: pd.DataFrame) -> str:
    """A table over the bandwidth."""
    lines = [
        {
            "subchannel, times the preset's": f"{width:g}",
            "best fixed cuts": own["fixed"].iloc[0],
            "round (s)": estimate(own["fixed_s"], 3),
            "cuts decided (s)": estimate(own["decided_s"], 3),
            "less time (%)": estimate(own["gain"]),
            "pairs taken": f"{own['pairs'].max()}",
        }
        for width, own in summary(rows).groupby("width")
    ]
    caption = (
        f"Mean ± half width of the 95 % interval over {rows['seed'].nunique()} seeds of {CELLS} random cells, "
        "everybody takes part. The fixed pair is the one of the least mean over all these cells, so that the gain is "
        "rather too small."
    )
    return f"{caption}\n\n{markdown(lines)}"


def plot(rows: pd.DataFrame, figure: Figure) -> None:
    """Gain over the bandwidth, and its seeds."""
    figure.set_size_inches(6.0, 3.6)
    axes = figure.subplots()
    found = summary(rows)
    axes.plot(found["width"], found["gain"], ".", color=COLOURS[0], alpha=0.5, label="one seed")
    axes.plot(found.groupby("width")["gain"].mean(), color=COLOURS[0], label="mean")
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set_ylim(bottom=0)
    axes.set_xlabel("bandwidth, times that of hospitals")
    axes.set_ylabel("less time a round (%)")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.suptitle("Both cuts decided each round against the best fixed pair")


EXPERIMENT = Experiment(
    title="What does it gain to decide both cuts of U-shaped split learning anew each round?",
    cases=cases,
    measure=measure,
    report=report,
    plots={"cuts": plot},
)
