"""What do few bits at the clients save, beside the same joules saved by a shallower cut?

    python -m experiments low_precision

PSL on the preset `iot`, eight clients with unequal data, real training from scratch; everybody takes part in every
round, with the subchannels and powers of the descent. Clients compute with k bits throughout: weights, activations,
gradients and momentum are rounded, and what they send has k bits. The server keeps 32.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import inf, isinf

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from experiments.cells import ENDLESS_S
from experiments.curves import draw_curves, legend_below
from experiments.running import Case, Experiment, Row, at_least
from experiments.tables import estimate, if_reached, markdown
from splitgym.allocation import descend
from splitgym.envs.world import World
from splitgym.frameworks import get
from splitgym.scenario import build, load

PRESET = "iot"
BITS = (32, 16, 8, 6, 4)
CUT_LAYERS = (1, 2)
TARGET = load(PRESET).episode.target_accuracy


@dataclass(frozen=True)
class Cases:
    """Bits by cut layer."""

    rounds: int = 120
    """Training rounds; 10 in the short form."""
    evaluate_every: int = 5
    """Rounds between measurements on the whole test set."""

    def __call__(self, quick: bool) -> list[Case]:
        """All of them; in the short form two."""
        at_least(1, rounds=self.rounds, evaluate_every=self.evaluate_every)
        length = {"rounds": 10 if quick else self.rounds, "evaluate_every": self.evaluate_every}
        bits, cuts = ((32, 8), (1,)) if quick else (BITS, CUT_LAYERS)
        return [{"cut_layer": cut, "bits": each, **length} for cut in cuts for each in bits]


def measure(case: Case, seed: int) -> list[Row]:
    """Accuracy over the rounds, joules of the clients, and simulated time."""
    scenario = build(
        PRESET,
        {
            "task": {"evaluation_samples": None, "evaluate_every": case["evaluate_every"]},
            "plan": {"precisions": (case["bits"],)},
            "episode": {
                "max_rounds": case["rounds"],
                "time_budget_s": ENDLESS_S,
                "round_timeout_s": ENDLESS_S,
                "stop_at_target": False,
            },
        },
    )
    world, everybody = World(scenario, get("psl")), np.ones(scenario.clients.count, bool)
    world.reset([np.random.default_rng(seed)], [0])
    joules = seconds = 0.0
    rows: list[Row] = []
    for number in range(1, case["rounds"] + 1):
        decision = descend(world.truth.world(0), everybody, 0.0, cut_layer=case["cut_layer"])
        played = world.play(decision.batch())
        joules += float(played.cost.client_energy_j.sum())
        seconds += float(played.cost.latency_s[0])
        if played.outcome.evaluated[0]:
            accuracy = float(played.outcome.accuracy[0])
            rows.append({"round": number, "accuracy": accuracy, "joules": joules, "seconds": seconds})
    return rows


def summary(rows: pd.DataFrame) -> pd.DataFrame:
    """A row for each run: accuracy at the end, joules of a round, joules and seconds to the target."""
    runs = rows.sort_values("round").groupby(["cut_layer", "bits", "seed"], sort=False)
    ends = runs.agg(percent=("accuracy", "last"), joules=("joules", "last"), rounds=("round", "last"))
    reached = rows[rows["accuracy"] >= TARGET].sort_values("round").groupby(["cut_layer", "bits", "seed"]).first()
    for name in ("joules", "seconds"):
        ends[f"{name}_to_target"] = reached[name].reindex(ends.index).fillna(inf)
    return ends.assign(percent=100 * ends["percent"], each=ends["joules"] / ends["rounds"]).reset_index()


def report(rows: pd.DataFrame) -> str:
    """Table and findings."""
    ends, last = summary(rows), rows["round"].max()
    return "\n\n".join(
        [
            f"PSL on `{PRESET}`: {load(PRESET).clients.count} clients, digits, {last} rounds from scratch; mean ± half "
            f"width of the 95 % interval over {rows['seed'].nunique()} seeds. Joules are those of all clients, for "
            "computing and sending. With runs that do not reach the target, their number stands instead.",
            *findings(ends),
            markdown(list(lines(ends))),
        ]
    )


def lines(ends: pd.DataFrame) -> Iterator[dict[str, str]]:
    """A row for each cut layer and number of bits."""
    for (cut, bits), own in ends.groupby(["cut_layer", "bits"], sort=False):
        full = ends[(ends["cut_layer"] == cut) & (ends["bits"] == max(BITS))].set_index("seed")
        yield {
            "cut layer": str(cut),
            "bits": str(bits),
            "accuracy (%)": estimate(own["percent"]),
            "points": estimate(own.set_index("seed")["percent"] - full["percent"]),
            "J of a round": estimate(own["each"], 3),
            f"J to {100 * TARGET:g} %": if_reached(own["joules_to_target"], 2),
            f"s to {100 * TARGET:g} %": if_reached(own["seconds_to_target"], 1),
        }


def findings(ends: pd.DataFrame) -> Iterator[str]:
    """The fewest joules to the target with few bits, and with full precision at whatever cut."""
    full, few = (_least(ends[choice]) for choice in (ends["bits"] == max(BITS), ends["bits"] < max(BITS)))
    if full is None or few is None:
        yield f"**To {100 * TARGET:g} %.** Not all runs reach it with full precision, or with few bits."
        return
    saved = 100 * (1 - few[1] / full[1])
    yield (
        f"**To {100 * TARGET:g} %.** The fewest joules are those of {few[0]}: {estimate(few[1], 2)} J, against "
        f"{estimate(full[1], 2)} J of {full[0]}, {estimate(saved)} % less."
    )


def _least(ends: pd.DataFrame) -> tuple[str, pd.Series] | None:
    """Cut layer and bits with the fewest joules to the target, and these by seed; None: some runs never reach it."""
    found = {
        f"{bits} bits at cut layer {cut}": own.set_index("seed")["joules_to_target"]
        for (cut, bits), own in ends.groupby(["cut_layer", "bits"], sort=False)
    }
    name = min(found, key=lambda each: found[each].mean(), default=None)
    return None if name is None or isinf(found[name].mean()) else (name, found[name])


def plot(rows: pd.DataFrame, figure: Figure) -> None:
    """Accuracy over the joules that clients have spent, a panel for each cut layer."""
    cuts = sorted(rows["cut_layer"].unique())
    figure.set_size_inches(4.8 * len(cuts) + 0.4, 4.4)
    panels = figure.subplots(1, len(cuts), sharey=True, squeeze=False)[0]
    spent = rows.groupby(["cut_layer", "bits", "round"])["joules"].transform("mean")
    shown = rows.assign(percent=100 * rows["accuracy"], spent=spent)
    for axes, cut in zip(panels, cuts, strict=True):
        labels = {bits: str(bits) for bits in BITS}
        draw_curves(axes, shown[shown["cut_layer"] == cut], "spent", "percent", "bits", labels)
        axes.axhline(100 * TARGET, color="0.4", linewidth=1, linestyle=":")
        axes.set(xscale="log", xlabel="energy of the clients (J)", title=f"cut layer {cut}")
    panels[0].set_ylabel("test accuracy (%)")
    legend_below(figure, "bits of the clients", len(BITS))


EXPERIMENT = Experiment(
    title="What do few bits at the clients save?",
    cases=Cases(),
    measure=measure,
    report=report,
    plots={"energy": plot},
    seeds=5,
)
