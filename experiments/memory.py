"""Which mini-batches fit into which memory at which cut layer, and what limits of memory cost until the target.

    python -m experiments memory

The largest mini-batch that a client of 64 kB to 1 GB can train at each cut layer, with SGD and momentum, and whole
episodes of `wearables` with real training: without limits, with them, and with recomputation.
"""

from collections.abc import Mapping
from typing import Any

import gymnasium as gym
import numpy as np
import pandas as pd
import torch
from matplotlib import colormaps
from matplotlib.figure import Figure

from experiments.running import Case, Experiment, Row
from experiments.tables import markdown
from splitgym import data, models, schedulers
from splitgym.evaluation import HELD_OUT
from splitgym.evaluation.look import COLOURS

NETWORKS = {"cnn": "digits", "resnet18": "ham10000"}
"""Each with its data set."""
MEMORY_BYTES = (*(64e3 * 4.0**power for power in range(7)), 1e9)
MOST_ROWS = 4096
"""No larger mini-batch is looked for."""
MOMENTUM = 1
"""Copies that the optimiser keeps of the weights."""
SCENARIO = "wearables"
LIMITS: Mapping[str, Mapping[str, Any]] = {
    "none": {"clients": {"memory_min_bytes": None, "memory_max_bytes": None}, "server": {"memory_bytes": None}},
    "memory": {},
    "recompute": {"clients": {"recompute": True}},
}
FRAMEWORKS = ("psl", "sfl-v2")
"""Without and with a mean of what clients train, which deep cuts need where data differs."""
SCHEDULERS = {"greedy": "common", "exact-cuts": "by-client"}
"""Rules, each with its cut layers."""


def cases(quick: bool) -> list[Case]:
    """The networks; frameworks and rules with each limit, in a quick run three rounds of them."""
    feasible = [{"part": "feasible", "network": network} for network in NETWORKS]
    times = [
        {"part": "time", "framework": framework, "limits": limits, "rule": rule, "rounds": 3 if quick else 120}
        for framework in FRAMEWORKS
        for limits in LIMITS
        for rule in SCHEDULERS
    ]
    return [*feasible, *times]


def measure(case: Case, seed: int) -> list[Row]:
    """Rows of one of the parts."""
    return feasible(case["network"]) if case["part"] == "feasible" else [episode(case, seed)]


def feasible(network: str) -> list[Row]:
    """The largest mini-batch for each memory, cut layer, and with and without recomputation; 0: not even one row."""
    memory = models.measure(network, *data.dimensions(NETWORKS[network]), "7x7").memory
    cuts, rows = np.arange(1, len(memory)), np.arange(1, MOST_ROWS + 1)[:, None]
    found = []
    for recompute in (False, True):
        needed = memory.client_bytes(cuts, rows, MOMENTUM, recompute=recompute)
        for limit in MEMORY_BYTES:
            # What is needed grows with the rows.
            batches = (needed <= limit).sum(0)
            found += [
                {"memory_bytes": limit, "cut_layer": int(cut), "recompute": int(recompute), "batch": int(batch)}
                for cut, batch in zip(cuts, batches, strict=True)
            ]
    return found


def episode(case: Case, seed: int) -> Row:
    """Plays until the target, the end of a budget, or for so many rounds."""
    torch.set_num_threads(1)
    env: Any = gym.make(
        "splitgym:SplitLearning-v0",
        scenario=SCENARIO,
        framework=case["framework"],
        plan={"cut_layer": SCHEDULERS[case["rule"]]},
        **LIMITS[case["limits"]],
    ).unwrapped
    rule = schedulers.make(case["rule"], env)
    env.action_space.seed(seed)
    env.reset(seed=HELD_OUT + seed)
    rows: list[tuple[float, float, float]] = []
    terminated = truncated = False
    while not (terminated or truncated) and len(rows) < case["rounds"]:
        *_, terminated, truncated, info = env.play(rule.decide(env.state))
        took = info["participants"]
        cuts = np.broadcast_to(info["cut_layer"], took.shape)[took]
        rows.append((info["round_latency_s"], float(took.sum()), float(cuts.mean()) if took.any() else np.nan))
    latency_s, clients, cut_layer = np.nanmean(rows, axis=0).tolist()
    return {
        "reached": int(terminated),
        "elapsed_s": info["elapsed_s"],
        "accuracy": info["accuracy"],
        "worst_accuracy": info["worst_accuracy"],
        "round_s": latency_s,
        "clients": clients,
        "mean_cut": cut_layer,
    }


def report(rows: pd.DataFrame) -> str:
    """Largest mini-batches, and times to the target."""
    sections = [
        "Largest mini-batch of a client by its memory and the cut layer, SGD with momentum; behind the stroke with "
        f"recomputation. {MOST_ROWS}: at least so many; -: not even one row."
    ]
    for network, own in _feasible(rows).groupby("network", sort=False):
        lines = []
        for limit, at in own.groupby("memory_bytes"):
            batch = at.set_index(["cut_layer", "recompute"])["batch"]
            cells = {str(cut): f"{_shown(batch[cut, 0])} / {_shown(batch[cut, 1])}" for cut in at["cut_layer"].unique()}
            lines.append({f"{network}: memory (kB)": f"{limit / 1e3:,.0f}", **cells})
        sections.append(markdown(lines))
    sections.append(
        f"Episodes of `{SCENARIO}` with real training, at most {rows['rounds'].max():.0f} rounds: seconds until the "
        "target accuracy (mean over those that reach it), and means over rounds."
    )
    times = rows[rows["part"] == "time"]
    lines = []
    for (framework, limits, rule), own in times.groupby(["framework", "limits", "rule"], sort=False):
        reached = own[own["reached"] == 1]
        lines.append(
            {
                "framework": framework,
                "limits": limits,
                "rule": rule,
                "reached": f"{len(reached)} of {len(own)}",
                "time to target (s)": f"{reached['elapsed_s'].mean():.1f}" if len(reached) else "-",
                "round (s)": f"{own['round_s'].mean():.2f}",
                "clients": f"{own['clients'].mean():.1f}",
                "cut layer": f"{own['mean_cut'].mean():.2f}",
                "worst client (%)": f"{100 * own['worst_accuracy'].mean():.0f}",
            }
        )
    return "\n\n".join([*sections, markdown(lines)])


def plot(rows: pd.DataFrame, figure: Figure) -> None:
    """Largest mini-batches over memory, a line for each cut layer, and the times to the target."""
    figure.set_size_inches(13, 4)
    *panels, last = figure.subplots(1, len(NETWORKS) + 1, width_ratios=(2, 2, 3))
    for axes, (network, own) in zip(panels, _feasible(rows).groupby("network", sort=False), strict=False):
        for (cut, recompute), line in own.groupby(["cut_layer", "recompute"]):
            axes.plot(
                line["memory_bytes"] / 1e3,
                line["batch"].replace(0, np.nan),
                "--" if recompute else "-",
                # Cut layers have an order, and so have these colours.
                color=colormaps["viridis"](0.9 * (cut - 1) / max(own["cut_layer"].max() - 1, 1)),
                marker="." if not recompute else None,
                label=None if recompute else f"cut {int(cut)}",
            )
        axes.set(xscale="log", yscale="log", xlabel="memory of the client (kB)", ylabel="largest mini-batch")
        axes.set_xticks([1e2, 1e4, 1e6], ["100", "10,000", "1,000,000"])
        axes.set_yticks([10, 100, 1000], ["10", "100", "1,000"])
        axes.set_title(f"{network}, {NETWORKS[network]}; dashed: recomputation", fontsize=9)
        axes.legend(fontsize=7)
        axes.grid(alpha=0.3)
    times = rows[(rows["part"] == "time") & (rows["reached"] == 1)]
    places = [(framework, limits) for framework in FRAMEWORKS for limits in LIMITS]
    for place, (framework, limits) in enumerate(places):
        at = times[(times["framework"] == framework) & (times["limits"] == limits)]
        for shift, (colour, rule) in enumerate(zip(COLOURS, SCHEDULERS, strict=False)):
            own = at[at["rule"] == rule]["elapsed_s"]
            x = place + 0.3 * (shift - 0.5)
            last.scatter(np.full(len(own), x), own, s=10, color=colour, alpha=0.5)
            last.hlines(own.mean(), x - 0.12, x + 0.12, color=colour, label=None if place else rule)
    last.set_xticks(range(len(places)), [f"{framework}\n{limits}" for framework, limits in places], fontsize=8)
    last.set(ylabel="time to the target (s)", ylim=(0, None), title=f"{SCENARIO}, real training")
    last.legend(fontsize=7)
    last.grid(axis="y", alpha=0.3)


def _feasible(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of the first part, which no seed changes."""
    own = rows[rows["part"] == "feasible"]
    columns = ["network", "memory_bytes", "cut_layer", "recompute", "batch"]
    return own[columns].drop_duplicates().astype({"cut_layer": int, "recompute": int, "batch": int})


def _shown(batch: int) -> str:
    return str(batch) if batch else "-"


EXPERIMENT = Experiment(
    title="Which cut layers and mini-batches fit into a client's memory, and what do limits cost?",
    cases=cases,
    measure=measure,
    report=report,
    plots={"memory": plot},
    seeds=3,
    quick_seeds=1,
)
