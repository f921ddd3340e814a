"""How much of the labels does the server learn from what it sees in U-shaped split learning, and what hides them?

    python -m experiments label_leak

A CNN on digits, five clients, real training; first with one digit against all others (a tenth of the rows), then with
all ten. The clients' tail is the loss alone, or that and the last one or two layers. The server scores rows by what it
sees of a client: gradients at the second cut and the activations it sent there, of ten rounds near the begin and of
the last ten. Two classes: area under the ROC curve, 0.5 is a guess. Ten classes: it clusters directions of gradients;
recall of each class after the best matching. Simulated time to the target: rounds times the mean latency of a round of
the devices of `iot`. The other part is the round of `hospitals` over the bandwidth, U-shaped and PSL.
"""

from collections.abc import Iterator, Sequence
from itertools import product
from math import nan

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from experiments.cells import mean_latency_s, random_states
from experiments.curves import draw_curves, legend_below
from experiments.everybody import everybody
from experiments.label_leak import scores
from experiments.label_leak.server import Server, windows_of
from experiments.latency.sweeps import endless
from experiments.running import Case, Experiment, Row
from experiments.tables import estimate, markdown
from splitgym.allocation import descend
from splitgym.arrays import Floats, Ints
from splitgym.frameworks import get
from splitgym.learning import Learner
from splitgym.scenario import Scenario, build
from splitgym.schedulers.allocations import Allocation
from splitgym.timing import round_cost

TASKS = {"one digit": "experiments.label_leak.task:one_against_all", "ten digits": "digits"}
NETWORK = "experiments.label_leak.task:cnn_and_loss"
DEFENCES = {
    "one digit": ("none", "max-norm", "marvell 0.25", "marvell 1"),
    "ten digits": ("none", "max-norm"),
}
"""Marvell, which is for two classes, with the power of its noise over the square of the class means' difference."""
TAILS = (0, 1, 2)
"""Layers of the clients' tails, beside the loss."""
AT_SERVER = -1
"""Instead of a tail: PSL, whose labels are at the server."""
EVERY = 5
TARGET = 0.85
"""Balanced accuracy."""
FACTORS = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
"""Bandwidth of a subchannel over that of the preset."""
CELLS = 5


def cases(quick: bool) -> list[Case]:
    """Tasks, tails and defences; and bandwidths."""
    rounds, tails = (24, (0, 1)) if quick else (150, TAILS)
    pairs = [(task, defence) for task, own in DEFENCES.items() for defence in (own[:2] if quick else own)]
    leaks = [
        {"part": "leak", "task": task, "tail": tail, "defence": defence, "rounds": rounds}
        for tail, (task, defence) in product(tails, pairs)
    ]
    psl = [{"part": "leak", "task": task, "tail": AT_SERVER, "defence": "none", "rounds": rounds} for task in TASKS]
    return [*leaks, *psl, *({"part": "bandwidth", "factor": factor} for factor in (FACTORS[::3] if quick else FACTORS))]


def measure(case: Case, seed: int) -> list[Row]:
    """One row: what leaks and how fast it learns; or the latencies of rounds."""
    return [_leak(case, seed) if case["part"] == "leak" else _latencies(case["factor"], seed)]


def _leak(case: Case, seed: int) -> Row:
    """Trains, measures what leaks in the first and in the last window, and how long the target takes."""
    scenario, windows = _scenario(case), windows_of(case["rounds"])
    server = Server(case["defence"], windows, seed)
    psl = case["tail"] == AT_SERVER
    framework = get("psl") if psl else server.framework
    learner, decision, first = Learner(scenario, framework, seed), everybody(scenario, 1, 0.0), nan
    for number in range(1, case["rounds"] + 1):
        outcome = learner.round(decision)
        if outcome.evaluated and outcome.balanced_accuracy >= TARGET and np.isnan(first):
            first = number
    states = random_states(scenario, framework, range(CELLS * seed, CELLS * (seed + 1)))
    latency_s = mean_latency_s(states, 0.0, Allocation(cut_layer=1))
    row = {"balanced": outcome.balanced_accuracy, "latency_s": latency_s, "to_target_s": first * latency_s}
    for when in windows if not psl else ():
        clients = [server.of_client(i, when) for i in range(scenario.clients.count)]
        found = [scores_of(*rows, np.random.default_rng(seed)) for rows in clients]
        row |= {f"{name}_{when}": np.nanmean([each[name] for each in found]).item() for name in found[0]}
    return row


def scores_of(gradients: Floats, activations: Floats, labels: Ints, rng: np.random.Generator) -> dict[str, float]:
    """What the rows of one client give away: of two classes areas under ROC curves, of more recalls by class.

    Args:
        gradients: [rows, d] as the server receives them.
        activations: [rows, d] as it sent them.
        labels: [rows].
        rng: Starts clusters.
    """
    classes = max(int(labels.max()) + 1, 2)
    if classes == 2:
        positive = labels == 1
        known = int(np.flatnonzero(positive)[0])
        rest = np.delete(np.arange(len(labels)), known)
        direction = scores.direction_score(gradients[rest], gradients[known])
        found = {
            "norm": scores.leak(scores.norm_score(gradients), positive),
            "direction": scores.leak(direction, positive[rest]),
            "spectral": scores.leak(scores.spectral_score(activations), positive),
        }
    else:
        member = scores.cluster_directions(gradients, classes, rng)
        recall = scores.recall_by_class(member, labels, classes)
        found = {"clusters": float(np.nanmean(recall)), **{f"class_{k}": float(r) for k, r in enumerate(recall)}}
    if gradients.shape[1] == classes:
        # As wide as the logits: what the tail of the loss alone sends.
        found["most_negative"] = float((scores.most_negative(gradients) == labels).mean())
    return found


def _scenario(case: Case) -> Scenario:
    """Five devices of `iot` with as much of each class."""
    fields = {
        "clients": {"count": 5, "tail_units": max(case["tail"], 0) + 1},
        "task": {
            **{"dataset": TASKS[case["task"]], "model": NETWORK, "partition": "iid"},
            **{"evaluation_samples": None, "evaluate_every": EVERY},
        },
        "training": {"batch_size": 32},
    }
    return build(endless("iot"), fields)


def _latencies(factor: float, seed: int) -> Row:
    """Mean latency of a round of hospitals with everybody, with both cuts the best, and PSL at its best cut."""
    preset = endless("hospitals")
    scenario = build(preset, {"radio": {"subchannel_hz": factor * preset.radio.subchannel_hz}})
    row: dict[str, float] = {"subchannel_hz": scenario.radio.subchannel_hz}
    for name in ("u-shaped", "psl"):
        states = random_states(scenario, get(name), range(CELLS * seed, CELLS * (seed + 1)))
        decisions = [descend(state, state.available, 0.0) for state in states]
        costs = [round_cost(state, decision) for state, decision in zip(states, decisions, strict=True)]
        row[f"{name}_s"] = float(np.mean([cost.latency_s for cost in costs]))
        row[f"{name}_cut"] = float(np.median([decision.cut_layer for decision in decisions]))
        row[f"{name}_second_cut"] = float(np.median([decision.second_cut for decision in decisions]))
        row[f"{name}_bits"] = float(np.mean([cost.traffic_bits for cost in costs]))
    return row


def report(rows: pd.DataFrame) -> str:
    """A table for each task, and one of latencies over the bandwidth."""
    seeds = rows["seed"].nunique()
    leaks, widths = (rows[rows["part"] == part] for part in ("leak", "bandwidth"))
    parts = [
        f"Mean ± half width of the 95 % interval over {seeds} seeds; ten rounds near the begin / the last ten. Two "
        f"classes: area under the ROC curve, 0.5 is a guess, 1 is every label. Ten classes: mean recall of clusters, "
        f"and the lowest and highest of a class. Target: balanced accuracy {100 * TARGET:g} %."
    ]
    for task, own in leaks.groupby("task", sort=False):
        parts += [f"### {task}", markdown(_lines(own))]
    return "\n\n".join([*parts, "### hospitals over the bandwidth", _finding(widths), markdown(_widths(widths))])


def _lines(rows: pd.DataFrame) -> Iterator[dict[str, str]]:
    names = [name for name in ("norm", "direction", "spectral", "clusters") if f"{name}_late" in rows]
    names = [name for name in names if rows[f"{name}_late"].notna().any()]
    for (tail, defence), own in rows.groupby(["tail", "defence"], sort=False):
        leak = {name: " / ".join(_mean(own[f"{name}_{when}"]) for when in ("early", "late")) for name in names}
        if "clusters" in names:
            leak |= {"classes, last rounds": _range([own[f"class_{k}_late"].mean() for k in range(10)])}
        first = own["to_target_s"].dropna()
        yield {
            "tail": label_of(tail),
            "defence": defence,
            **leak,
            "argmin is the label": " / ".join(_mean(own[f"most_negative_{when}"]) for when in ("early", "late")),
            "balanced accuracy %": estimate(100 * own["balanced"]),
            "round (s)": f"{own['latency_s'].mean():.2f}",
            "to target (s)": (f"{first.mean():.0f}" if len(first) else "never")
            + ("" if len(first) in (0, len(own)) else f" ({len(first)} of {len(own)})"),
        }


def label_of(tail: float) -> str:
    """What clients hold at the end."""
    return {AT_SERVER: "none: PSL, labels at the server", 0: "loss alone", 1: "loss, 1 layer"}.get(
        int(tail), f"loss, {int(tail)} layers"
    )


def _mean(values: pd.Series) -> str:
    return "-" if values.isna().all() else f"{values.mean():.2f}"


def _range(values: Sequence[float]) -> str:
    return "-" if np.isnan(values).all() else f"{np.nanmin(values):.2f} to {np.nanmax(values):.2f}"


def _finding(rows: pd.DataFrame) -> str:
    ratio = rows.assign(ratio=rows["u-shaped_s"] / rows["psl_s"]).groupby("factor")["ratio"].mean()
    return (
        f"A round of U-shaped split learning takes {ratio.iloc[0]:.2f} of the time of one of PSL with the narrowest "
        f"band and {ratio.iloc[-1]:.2f} with the widest."
    )


def _widths(rows: pd.DataFrame) -> Iterator[dict[str, str]]:
    for _, own in rows.groupby("factor"):
        yield {
            "subchannel (MHz)": f"{own['subchannel_hz'].iloc[0] / 1e6:g}",
            "u-shaped (s)": estimate(own["u-shaped_s"], 2),
            "psl (s)": estimate(own["psl_s"], 2),
            "cuts of u-shaped": f"{own['u-shaped_cut'].median():g}, {own['u-shaped_second_cut'].median():g}",
            "cut of psl": f"{own['psl_cut'].median():g}",
            "u-shaped (Mbit)": f"{own['u-shaped_bits'].mean() / 1e6:.0f}",
            "psl (Mbit)": f"{own['psl_bits'].mean() / 1e6:.0f}",
        }


PANELS = {
    "one digit": {"norm_late": "length of gradients", "direction_late": "direction of gradients"},
    "ten digits": {"clusters_early": "clusters, first rounds", "clusters_late": "clusters, last rounds"},
}
"""What is drawn of a task, by column."""


def plot_leak(rows: pd.DataFrame, figure: Figure) -> None:
    """What leaks over the tail, a curve for each defence, beside the time to the target."""
    rows = rows[rows["part"] == "leak"]
    figure.set_size_inches(12, 7.5)
    labels = {name: name for name in DEFENCES["one digit"]}
    for line, (task, panels) in zip(figure.subplots(2, 3, squeeze=False), PANELS.items(), strict=True):
        own = rows[rows["task"] == task]
        guess, what = (0.5, "area under the ROC curve") if task == "one digit" else (0.1, "rows of a class found")
        for axes, (column, title) in zip(line, panels.items(), strict=False):
            draw_curves(axes, own[own["tail"] >= 0], "tail", column, "defence", labels)
            axes.axhline(guess, color="0.4", linewidth=1)
            axes.set(title=f"{task}: {title}", ylabel=what, ylim=(0, 1.05), xticks=TAILS)
        draw_curves(line[2], own, "tail", "to_target_s", "defence", labels)
        line[2].set(title=f"{task}: simulated time to {100 * TARGET:g} %", ylabel="time (s)", ylim=(0, None))
        line[2].set_xticks([AT_SERVER, *TAILS], ["PSL", *map(str, TAILS)])
        for axes in line:
            axes.set_xlabel("layers of the tail beside the loss")
    figure.suptitle("What gradients at the second cut give away of labels, and the time that it takes to hide it")
    legend_below(figure, f"mean and 95 % interval over {rows['seed'].nunique()} seeds; grey line: a guess")


def plot_bandwidth(rows: pd.DataFrame, figure: Figure) -> None:
    """Latency of a round over the bandwidth, U-shaped and PSL."""
    rows = rows[rows["part"] == "bandwidth"]
    figure.set_size_inches(7, 4.6)
    axes = figure.subplots()
    both = pd.concat(
        [
            rows.assign(curve=name, value=rows[f"{name}_s"], mhz=rows["subchannel_hz"] / 1e6)
            for name in ("u-shaped", "psl")
        ]
    )
    names = {"u-shaped": "u-shaped, both cuts decided", "psl": "psl, labels at the server"}
    draw_curves(axes, both, "mhz", "value", "curve", names)
    axes.set(xlabel="bandwidth of a subchannel (MHz)", ylabel="a round (s)", xscale="log", ylim=(0, None))
    axes.set_xticks(sorted(set(both["mhz"])), [f"{mhz:g}" for mhz in sorted(set(both["mhz"]))])
    axes.minorticks_off()
    figure.suptitle("Hospitals: what it costs to keep the labels, over the bandwidth")
    legend_below(figure, f"mean and 95 % interval over {rows['seed'].nunique()} seeds of {CELLS} cells")


EXPERIMENT = Experiment(
    title="How much of the labels does the server learn in U-shaped split learning, and what hides them?",
    cases=cases,
    measure=measure,
    report=report,
    plots={"leak": plot_leak, "bandwidth": plot_bandwidth},
    seeds=3,
    quick_seeds=1,
)
