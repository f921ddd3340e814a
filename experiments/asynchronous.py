"""Does it pay to update with the first K of n clients instead of waiting for all, and who is heard then?

    python -m experiments asynchronous

Whole episodes of `stragglers` with real training until the target, the band in equal shares, one unit of the network on
the clients: `psl`, with everybody or with two of the ten clients in a round, and `async-psl` with a quorum of K. The
fastest client is always equally fast, the slowest has the same speed, a tenth or a hundredth of it. Then, with two
shards of labels for each client, episodes of a fixed simulated time: accuracy on the classes of the slowest clients, by
what shall make up for their being heard seldom: weights, or labels balanced by generated smashed data (GAS); and with
common first units, `async-sfl`.
"""

from typing import Any

import gymnasium as gym
import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure

from experiments.curves import draw_curves
from experiments.running import Case, Experiment, Row
from experiments.tables import estimate, half_width, markdown
from splitgym import schedulers
from splitgym.arrays import Floats, Ints
from splitgym.evaluation import HELD_OUT
from splitgym.evaluation.look import COLOURS
from splitgym.learning.real import RealLearners
from splitgym.scenario import build

SCENARIO = "stragglers"
SPREADS = (1, 10, 100)
"""Speed of the fastest client over that of the slowest."""
QUORUMS = (1, 2, 3, 5, 7, 10)
WEIGHTS = ("none", "fed-async", "stale-up", "inverse-participation")
BESIDE = (("async-psl", "generated"), ("async-sfl", "none"), ("async-sfl", "generated"))
"""Framework and balancing of labels beside those of the weights."""
WEIGHED_QUORUM = 2
SLOW = 3
"""So many of the slowest clients are looked at."""
MOST_STEPS = 400
"""Of an episode; where the same few clients are heard the target is never reached."""
SYNCHRONOUS = 0
"""Instead of a quorum: `psl`, whose rounds wait for all, and twice."""
FEW = {"everybody": "", "fastest-k": ", 2 fastest", "random-k": ", 2 at random"}
"""Which clients take part in a round of PSL, and how a table says it: rounds of few need no asynchrony to be short."""


def cases(quick: bool) -> list[Case]:
    """Spreads by quorum, then kinds of weights, then balanced labels and common units."""
    spreads, quorums = ((100,), (2,)) if quick else (SPREADS, QUORUMS)
    seconds, steps = (2.0, 3) if quick else (40.0, MOST_STEPS)
    methods = [(selection, SYNCHRONOUS) for selection in FEW] + [("everybody", quorum) for quorum in quorums]
    until_target = [
        {
            "spread": spread,
            "selection": selection,
            "quorum": quorum,
            "framework": "psl" if quorum == SYNCHRONOUS else "async-psl",
            "balancing": "none",
            "weights": "none",
            "seconds": 0.0,
            "steps": steps,
        }
        for spread in spreads
        for selection, quorum in methods
    ]
    fixed = {"spread": 100, "selection": "everybody", "quorum": WEIGHED_QUORUM, "seconds": seconds, "steps": steps}
    plain = {**fixed, "framework": "async-psl", "balancing": "none"}
    others = [{**fixed, "framework": framework, "balancing": balancing} for framework, balancing in BESIDE]
    return (
        until_target
        + [{**plain, "weights": kind} for kind in WEIGHTS]
        + [{**each, "weights": "none"} for each in others]
    )


def measure(case: Case, seed: int) -> list[Row]:
    """An episode: until the target, or for some seconds."""
    torch.set_num_threads(1)
    env: Any = gym.make("splitgym:SplitLearning-v0", **_settings(case)).unwrapped
    selection = case["selection"]
    few = {} if selection == "everybody" else {"k": WEIGHED_QUORUM}
    rule = schedulers.make("equal-shares", env, cut_layer=1, selection=selection, **few)
    env.action_space.seed(seed)
    _, info = env.reset(seed=HELD_OUT + seed)
    updates, done = np.zeros(env.scenario.clients.count), False
    while not done and info["round"] < case["steps"]:
        *_, terminated, truncated, info = env.play(rule.decide(env.state))
        done = terminated or truncated
        updates += info["participants"]
    slowest = np.argsort(env.state.client_hz)[:SLOW]
    return [
        {
            "target_s": info["elapsed_s"],
            "reached": info["accuracy"] >= env.scenario.episode.target_accuracy,
            "updates": info["round"],
            "slow_share": float(updates[slowest].sum() / updates.sum()),
            "accuracy": info["accuracy"],
            "slow_classes": _accuracy_on_classes_of(slowest, env),
            "slow_clients": float(_client_accuracy(env)[slowest].mean()),
        }
    ]


def _settings(case: Case) -> dict[str, Any]:
    """Of the environment."""
    fastest = build(SCENARIO).clients.compute_max_hz
    fixed = case["seconds"] > 0
    return {
        "scenario": SCENARIO,
        "framework": case["framework"],
        "disable_env_checker": True,
        "clients": {"compute_min_hz": fastest / case["spread"]},
        "task": {"evaluation_samples": None, **({"partition": "shards"} if fixed else {})},
        "training": {
            "quorum": case["quorum"],
            "client_weights": case["weights"],
            "label_balancing": case["balancing"],
        },
        "episode": {"time_budget_s": case["seconds"], "stop_at_target": False} if fixed else {},
    }


def _learner(env: Any) -> Any:
    learners = env._simulation.world._learner
    assert isinstance(learners, RealLearners)
    return learners.learners[0]


def _client_accuracy(env: Any) -> Floats:
    """[C] test accuracy of each client's network."""
    return np.asarray(_learner(env).outcome.client_accuracy)


def _accuracy_on_classes_of(clients: Ints, env: Any) -> float:
    """Mean accuracy over all clients' networks by class, weighted by how much of a class lies at some clients."""
    learner = _learner(env)
    correct, there = learner.evaluator.correct(learner.nodes), learner.evaluator.class_counts
    by_class = correct.mean(0) / np.maximum(there, 1)
    counts = learner.class_counts
    weight = counts[clients].sum(0) / np.maximum(counts.sum(0), 1) * (there > 0)
    return float(by_class @ weight / weight.sum())


def report(rows: pd.DataFrame) -> str:
    """Seconds to the target by quorum, and who is heard by weights."""
    until_target, fixed = rows[rows["seconds"] == 0], rows[rows["seconds"] > 0]
    lines = []
    for (selection, quorum), own in until_target.groupby(["selection", "quorum"], sort=False):
        line: dict[str, Any] = {"": f"PSL{FEW[selection]}" if quorum == SYNCHRONOUS else f"K = {quorum}"}
        for spread, cell in own.groupby("spread"):
            line[f"speeds 1:{spread}, s"] = _seconds(cell)
            line[f"updates, 1:{spread}"] = f"{cell['updates'].mean():.0f}"
        lines.append(line)
    sections = [
        f"Simulated seconds to the target of {SCENARIO!r}, mean and 95 % interval, and server updates until then. A "
        f"run that does not reach it counts with its seconds after {MOST_STEPS} steps, and is counted behind the mean. "
        "K: of 10 clients.",
        markdown(lines),
        _saving(until_target),
        f"Two shards of labels for each client, {fixed['seconds'].max():g} simulated seconds, K = {WEIGHED_QUORUM}, "
        f"speeds 1:100. The {SLOW} slowest clients: part of all mini-batches that is theirs; test accuracy (%) of all "
        "clients' networks on their classes, and of their own networks on all classes.",
        markdown(
            {
                "": method,
                "their mini-batches (%)": estimate(100 * own["slow_share"]),
                "accuracy (%)": estimate(100 * own["accuracy"]),
                "on their classes (%)": estimate(100 * own["slow_classes"]),
                "of their networks (%)": estimate(100 * own["slow_clients"]),
            }
            for method, own in fixed.groupby(_methods(fixed), sort=False)
        ),
    ]
    return "\n\n".join(sections)


def _methods(rows: pd.DataFrame) -> "pd.Series[str]":
    """Of each row what makes up for slow clients, in words."""
    words = rows["framework"].where(rows["balancing"] == "none", rows["framework"] + ", labels balanced")
    return words.where(rows["weights"] == "none", rows["framework"] + ", " + rows["weights"]).rename("method")


def _of_everybody(rows: pd.DataFrame) -> pd.DataFrame:
    return rows[rows["selection"] == "everybody"]


def _seconds(rows: pd.DataFrame) -> str:
    missed = int((~rows["reached"].astype(bool)).sum())
    return estimate(rows["target_s"]) + (f" ({missed} of {len(rows)} do not reach it)" if missed else "")


def _saving(rows: pd.DataFrame) -> str:
    """By how much the best quorum is below PSL, seed by seed."""
    found = []
    for spread, own in rows.groupby("spread"):
        by_quorum = _of_everybody(own).pivot(index="seed", columns="quorum", values="target_s")
        best = by_quorum.drop(columns=SYNCHRONOUS).mean().idxmin()
        saved = 100 * (1 - by_quorum[best] / by_quorum[SYNCHRONOUS])
        found.append(f"speeds 1:{spread}: {estimate(saved)} % less time than PSL with K = {best}")
    return "Paired by seed, " + "; ".join(found) + "."


def plot(rows: pd.DataFrame, figure: Figure) -> None:
    """Seconds to the target over K / n, of each seed and their median, and accuracy by weights."""
    figure.set_size_inches(12, 4.4)
    left, right = figure.subplots(1, 2)
    until_target, fixed = _of_everybody(rows[rows["seconds"] == 0]), rows[rows["seconds"] > 0]
    shown = until_target[until_target["quorum"] != SYNCHRONOUS].assign(part=lambda own: own["quorum"] / QUORUMS[-1])
    spreads = sorted(until_target["spread"].unique())
    medians = shown.groupby(["part", "spread"], as_index=False)["target_s"].median()
    draw_curves(left, medians, "part", "target_s", "spread", {spread: f"speeds 1:{spread}" for spread in spreads})
    synchronous = until_target[until_target["quorum"] == SYNCHRONOUS].groupby("spread")["target_s"].median()
    lines = list(left.lines)
    for line, spread in zip(lines, spreads, strict=True):
        own = shown[shown["spread"] == spread]
        left.scatter(own["part"], own["target_s"], s=9, color=line.get_color(), alpha=0.35, linewidths=0)
        left.plot([1.04], [synchronous[spread]], "*", color=line.get_color(), markersize=11)
    left.set(xlabel="K / n (star: PSL)", ylabel="simulated time to target (s)", yscale="log")
    left.set_title(f"median of {rows['seed'].nunique()} seeds; small: each seed", fontsize="medium")
    left.yaxis.set_major_formatter("{x:g}")
    left.legend()
    columns = {"accuracy": "all", "slow_classes": "classes of the slowest", "slow_clients": "networks of the slowest"}
    by_method = fixed.groupby(_methods(fixed), sort=False)[list(columns)]
    means, widths = by_method.mean(), by_method.agg(half_width)
    methods = list(means.index)
    for number, (column, label) in enumerate(columns.items()):
        place = np.arange(len(methods)) + 0.25 * (number - 1)
        error = 100 * widths[column].fillna(0.0)
        right.bar(place, 100 * means[column], 0.24, yerr=error, capsize=2, color=COLOURS[number], label=label)
    names = [method.replace(", ", ",\n") for method in methods]
    right.set_xticks(range(len(methods)), names, fontsize=8, rotation=30, ha="right", rotation_mode="anchor")
    right.set(ylabel="test accuracy (%)", ylim=(0, 100), xlabel=f"K = {WEIGHED_QUORUM}; mean and 95 % interval")
    right.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3, fontsize=8)
    right.grid(axis="y", alpha=0.3)


EXPERIMENT = Experiment(
    title="Asynchronous updates against rounds that wait for stragglers",
    cases=cases,
    measure=measure,
    report=report,
    plots={"asynchronous": plot},
)
