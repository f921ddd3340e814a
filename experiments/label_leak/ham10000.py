"""How much does the server learn of each diagnosis in U-shaped split learning, where one class has two thirds of rows?

    python -m experiments label_leak.ham10000

HAM10000 and ResNet-18 on the four hospitals of the preset, mini-batches of 32, real training from scratch; the server
is that of `experiments.label_leak`. By class, in ten rounds near the begin and in the last ten: how often a row of the
class has a gradient nearer in direction to a known row of it than a row of another class (area under the ROC curve; 0.5
is a guess whatever the class's share), and which share of its rows is in the cluster of directions matched to it.
"""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.everybody import everybody
from experiments.label_leak import label_of, scores
from experiments.label_leak.server import Server, windows_of
from experiments.running import Case, Experiment, Row
from experiments.tables import estimate, half_width, markdown
from splitgym.arrays import Floats, Ints
from splitgym.data.sources import read
from splitgym.evaluation.look import COLOURS
from splitgym.learning import Learner
from splitgym.scenario import Scenario, build

METHODS = ((0, "none"), (1, "none"), (2, "none"), (1, "max-norm"))
"""Units of the clients' tail beside the loss, and what clients do to their gradients."""
KNOWN = 10
"""So many rows of a class are the known one in turn."""
ROUNDS = 100


def cases(quick: bool) -> list[Case]:
    """Tails and defences."""
    return [
        {"tail": tail, "defence": defence, "rounds": 16 if quick else ROUNDS}
        for tail, defence in (METHODS[1:2] if quick else METHODS)
    ]


def measure(case: Case, seed: int) -> list[Row]:
    """A row for each class: its share, what leaks of it, and how good the network is in the end."""
    scenario, windows = _scenario(case), windows_of(case["rounds"])
    server = Server(case["defence"], windows, seed)
    learner, decision = Learner(scenario, server.framework, seed), everybody(scenario, 1, 0.0)
    for _ in range(case["rounds"]):
        outcome = learner.round(decision)
    names, share = read(scenario.task.dataset).classes, learner.class_counts.sum(0) / learner.class_counts.sum()
    found = {
        f"{name}_{when}": np.nanmean(rows, axis=0)
        for when in windows
        for name, rows in _by_client(server, when, scenario.clients.count, len(names), seed).items()
    }
    return [
        {
            "class": name,
            "share": float(share[k]),
            "accuracy": float(outcome.accuracy),
            "balanced": float(outcome.balanced_accuracy),
            **{column: float(values[k]) for column, values in found.items()},
        }
        for k, name in enumerate(names)
    ]


def _by_client(server: Server, when: str, clients: int, classes: int, seed: int) -> dict[str, list[Floats]]:
    """Of each client in a window, [classes] what its gradients give away; by the name of the score."""
    found: dict[str, list[Floats]] = {"direction": [], "clusters": []}
    for client in range(clients):
        gradients, _, labels = server.of_client(client, when)
        member = scores.cluster_directions(gradients, classes, np.random.default_rng(seed))
        found["direction"].append(direction_by_class(gradients, labels, classes))
        found["clusters"].append(scores.recall_by_class(member, labels, classes))
    return found


def direction_by_class(gradients: Floats, labels: Ints, classes: int) -> Floats:
    """[classes] area under the ROC curve of the direction beside a known row, mean over which row that is.

    NaN for classes with less than two rows, or with all of them.

    Args:
        gradients: [rows, d].
        labels: [rows].
        classes: How many.
    """
    areas = np.full(classes, np.nan)
    for k in range(classes):
        own = np.flatnonzero(labels == k)
        if 1 < len(own) < len(labels):
            areas[k] = np.mean([_area(gradients, labels == k, known) for known in own[:KNOWN]])
    return areas


def _area(gradients: Floats, positive: Ints, known: int) -> float:
    score = scores.direction_score(gradients, gradients[known])
    return scores.auc(np.delete(score, known), np.delete(positive, known))


def _scenario(case: Case) -> Scenario:
    return build(
        "hospitals",
        {
            "clients": {"tail_units": case["tail"] + 1},
            "plan": {"second_cut": "fixed"},
            "task": {
                "model": "experiments.label_leak.task:resnet18_and_loss",
                "evaluation_samples": None,
                "evaluate_every": case["rounds"],
            },
            "training": {"batch_size": 32},
        },
    )


def report(rows: pd.DataFrame) -> str:
    """How good the networks are, and two tables by class."""
    return "\n\n".join(
        [
            f"{rows['rounds'].max()} rounds; means over {rows['seed'].nunique()} seeds and the hospitals; ten rounds "
            "near the begin / the last ten. Classes are in the order of their shares.",
            markdown(_networks(rows)),
            _finding(rows),
            "### Direction of gradients beside a known row of the class: area under the ROC curve",
            markdown(_by_class(rows, "direction")),
            "### Share of the class's rows in the cluster matched to it",
            markdown(_by_class(rows, "clusters")),
        ]
    )


def _methods(rows: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """The rows of each tail and defence, by the name that tables show."""
    for (tail, defence), own in rows.groupby(["tail", "defence"], sort=False):
        yield f"{label_of(tail)}{'' if defence == 'none' else f', {defence}'}", own


def _networks(rows: pd.DataFrame) -> Iterator[dict[str, str]]:
    for name, own in _methods(rows):
        runs = own.groupby("seed").first()
        classes = own.groupby("seed")[["direction_late", "clusters_late"]].mean()
        yield {
            "tail": name,
            "accuracy (%)": estimate(100 * runs["accuracy"]),
            "balanced accuracy (%)": estimate(100 * runs["balanced"]),
            "direction, mean of classes": estimate(classes["direction_late"], 2),
            "clusters, mean of classes": estimate(classes["clusters_late"], 2),
        }


def _classes(rows: pd.DataFrame) -> pd.Series:
    """Share of each class, the most frequent first."""
    shares: pd.Series = rows.groupby("class")["share"].mean().sort_values(ascending=False)
    return shares


def _by_class(rows: pd.DataFrame, score: str) -> Iterator[dict[str, str]]:
    for name, share in _classes(rows).items():
        yield {
            "class": str(name),
            "share (%)": f"{100 * share:.1f}",
            **{
                method: " / ".join(_mean(own[own["class"] == name][f"{score}_{when}"]) for when in ("early", "late"))
                for method, own in _methods(rows)
            },
        }


def _mean(values: pd.Series) -> str:
    return "-" if values.isna().all() else f"{values.mean():.2f}"


def _finding(rows: pd.DataFrame) -> str:
    common, last_layer = _classes(rows).index[0], rows[rows["tail"] == 1]
    means = last_layer.assign(rare=last_layer["class"] != common).groupby(["defence", "rare"])["direction_late"].mean()
    return (
        f"With the last layer in the tail, the direction of a gradient beside a known row gives "
        f"{means['none', False]:.2f} for {common} and {means['none', True]:.2f} for the mean of the rarer classes in "
        f"the last rounds; with max-norm noise {means['max-norm', False]:.2f} and {means['max-norm', True]:.2f}."
    )


def plot(rows: pd.DataFrame, figure: Figure) -> None:
    """Both scores of the last rounds by class, a group of bars for each."""
    figure.set_size_inches(11, 6.4)
    upper, lower = figure.subplots(2, 1, sharex=True)
    _bars(upper, rows, "direction_late", 0.5)
    _bars(lower, rows, "clusters_late", None)
    upper.set_ylabel("direction: area under\nthe ROC curve")
    lower.set_ylabel("rows in the cluster\nmatched to the class")
    shares = _classes(rows)
    lower.set_xticks(range(len(shares)), [f"{name}\n{100 * share:.1f} %" for name, share in shares.items()])
    lower.set_xlabel("class and its share of the rows")
    figure.suptitle("HAM10000, last rounds: what gradients at the second cut give away of each class")
    handles, labels = upper.get_legend_handles_labels()
    title = f"clients' tail; mean and 95 % interval over {rows['seed'].nunique()} seeds; grey line: a guess"
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), title=title)


def _bars(axes: Axes, rows: pd.DataFrame, column: str, guess: float | None) -> None:
    classes, methods = _classes(rows).index, list(_methods(rows))
    width = 0.8 / len(methods)
    for number, (name, own) in enumerate(methods):
        by_class = own.groupby("class")[column]
        places = np.arange(len(classes)) + (number - (len(methods) - 1) / 2) * width
        error = by_class.agg(half_width).reindex(classes).fillna(0.0)
        axes.bar(places, by_class.mean().reindex(classes), width, yerr=error, color=COLOURS[number], label=name)
    if guess is not None:
        axes.axhline(guess, color="0.4", linewidth=1)
    axes.set_ylim(0, 1.05)
    axes.grid(axis="y", alpha=0.3)


EXPERIMENT = Experiment(
    title="How much does the server learn of each diagnosis in U-shaped split learning?",
    cases=cases,
    measure=measure,
    report=report,
    plots={"classes": plot},
    seeds=3,
)
