"""What do few bits at the clients save, beside the same joules saved by a shallower cut?

    python -m experiments low_precision

PSL on the preset `iot`, eight clients with unequal data, real training from scratch; everybody takes part in every
round, with the subchannels and powers of the descent. Clients compute with k bits throughout: weights, activations,
gradients and momentum are rounded, and what they send has k bits. The server keeps 32.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from experiments.curves import draw_curves, legend_below
from experiments.fixed_length import Length, at_target, best, scenario_of
from experiments.running import Case, Experiment, Row
from experiments.tables import estimate, if_reached, markdown
from splitgym.allocation import descend
from splitgym.envs.world import World
from splitgym.frameworks import get
from splitgym.scenario import load

PRESET = "iot"
BITS = (32, 16, 8, 6, 4)
CUT_LAYERS = (1, 2)
TARGET = load(PRESET).episode.target_accuracy
RUN = ("cut_layer", "bits", "seed")
"""Columns that make a run."""


@dataclass(frozen=True)
class Cases(Length):
    """Bits by cut layer."""

    def __call__(self, quick: bool) -> list[Case]:
        """All of them; in the short form two."""
        bits, cuts = ((32, 8), (1,)) if quick else (BITS, CUT_LAYERS)
        return [{"cut_layer": cut, "bits": each, **self.settings(quick)} for cut in cuts for each in bits]


def measure(case: Case, seed: int) -> list[Row]:
    """Accuracy over the rounds, joules of the clients, and simulated time."""
    scenario = scenario_of(PRESET, case, {"precisions": (case["bits"],)})
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
    """A row for each run: accuracy at the end and for equal joules, joules of a round, what the target took.

    Equal joules are those that full precision spends in all rounds at the shallowest cut layer, with the same seed.
    """
    rows = rows.sort_values("round", kind="stable")
    ends = rows.groupby(list(RUN), sort=False).agg(
        percent=("accuracy", "last"), joules=("joules", "last"), rounds=("round", "last")
    )
    budget = rows["seed"].map(ends["joules"].loc[rows["cut_layer"].min(), max(BITS)])
    within = rows[rows["joules"] <= budget].groupby(list(RUN))["accuracy"].last()
    for name in ("joules", "seconds"):
        ends[f"{name}_to_target"] = at_target(rows, TARGET, name, RUN)
    return ends.assign(
        percent=100 * ends["percent"],
        percent_within=100 * within.reindex(ends.index),
        each=ends["joules"] / ends["rounds"],
        method=[f"{bits} bits" for bits in ends.index.get_level_values("bits")],
    ).reset_index()


def report(rows: pd.DataFrame) -> str:
    """Table and findings."""
    ends, last = summary(rows), rows["round"].max()
    return "\n\n".join(
        [
            f"PSL on `{PRESET}`: {load(PRESET).clients.count} clients, digits, {last} rounds from scratch; mean ± half "
            f"width of the 95 % interval over {rows['seed'].nunique()} seeds. Joules are those of all clients, for "
            "computing and sending; points and fractions are paired by seed. Accuracy for equal joules: with no more "
            f"than {max(BITS)} bits at cut layer {rows['cut_layer'].min()} spend in all rounds. With runs that do not "
            "reach the target, their number stands instead.",
            *findings(ends),
            markdown(list(lines(ends))),
        ]
    )


def lines(ends: pd.DataFrame) -> Iterator[dict[str, str]]:
    """A row for each cut layer and number of bits."""
    for (cut, bits), own in ends.groupby(["cut_layer", "bits"], sort=False):
        full = _full_at(ends, cut)
        by_seed = own.set_index("seed")
        yield {
            "cut layer": str(cut),
            "bits": str(bits),
            "accuracy (%)": estimate(own["percent"]),
            "points": estimate(by_seed["percent"] - full["percent"]),
            "for equal joules (%)": estimate(own["percent_within"]),
            "J of a round": estimate(own["each"], 3),
            f"of {max(BITS)} bits (%)": estimate(100 * by_seed["each"] / full["each"]),
            f"J to {100 * TARGET:g} %": if_reached(own["joules_to_target"], 2),
            f"s to {100 * TARGET:g} %": if_reached(own["seconds_to_target"], 1),
        }


def findings(ends: pd.DataFrame) -> Iterator[str]:
    """What bits save at the best cut, and what a shallower cut saves."""
    few = ends["bits"] < max(BITS)
    fullest, fewest = (best(own, "joules_to_target") for own in (ends[~few], ends[few]))
    if fullest is None or fewest is None:
        yield f"**To {100 * TARGET:g} %.** Not all runs reach it with full precision, or with few bits."
    else:
        saved = 100 * (1 - fewest[1] / fullest[1])
        yield (
            f"**To {100 * TARGET:g} %.** The fewest joules are those of {fewest[0]}: {estimate(fewest[1], 2)} J, "
            f"against {estimate(fullest[1], 2)} J of {fullest[0]}, {estimate(saved)} % less."
        )
    shallow = _full_at(ends, ends["cut_layer"].min())
    for cut in sorted(ends["cut_layer"].unique())[1:]:
        full, least = _full_at(ends, cut), _at(ends, cut, ends["bits"].min())
        by_cut, by_bits = (100 * (1 - own["each"] / full["each"]) for own in (shallow, least))
        yield (
            f"**Bits or a shallower cut.** Of the joules of a round at cut layer {cut} with full precision, "
            f"{ends['bits'].min()} bits save {estimate(by_bits)} %, and cut layer {ends['cut_layer'].min()} with full "
            f"precision saves {estimate(by_cut)} %."
        )


def _at(ends: pd.DataFrame, cut: int, bits: int) -> pd.DataFrame:
    """Runs with a cut layer and so many bits, by seed."""
    return ends[(ends["cut_layer"] == cut) & (ends["bits"] == bits)].set_index("seed")


def _full_at(ends: pd.DataFrame, cut: int) -> pd.DataFrame:
    return _at(ends, cut, max(BITS))


def plot(rows: pd.DataFrame, figure: Figure) -> None:
    """Accuracy over the joules that clients have spent, a panel for each cut layer, beside a shallower one."""
    cuts = sorted(rows["cut_layer"].unique())
    figure.set_size_inches(5.2 * len(cuts) + 0.4, 4.6)
    panels = figure.subplots(1, len(cuts), sharex=True, sharey=True, squeeze=False)[0]
    spent = rows.groupby(["cut_layer", "bits", "round"])["joules"].transform("mean")
    shown = rows.assign(percent=100 * rows["accuracy"], spent=spent)
    labels = {bits: str(bits) for bits in BITS}
    shallow = shown[(shown["cut_layer"] == cuts[0]) & (shown["bits"] == max(BITS))].groupby("spent")["percent"].mean()
    for axes, cut in zip(panels, cuts, strict=True):
        if cut > cuts[0]:
            axes.plot(shallow, color="0.4", linewidth=2.5, label=f"{max(BITS)}, cut layer {cuts[0]}")
        draw_curves(axes, shown[shown["cut_layer"] == cut], "spent", "percent", "bits", labels)
        axes.axhline(100 * TARGET, color="0.4", linewidth=1, linestyle=":")
        axes.set(xscale="log", xlabel="energy of the clients (J)", title=f"cut layer {cut}", ylim=(0, 100))
        axes.xaxis.set_major_formatter("{x:g}")
    panels[0].set_ylabel("test accuracy (%)")
    figure.suptitle(f"{PRESET}, PSL from scratch: accuracy against joules (dotted: target)")
    legend_below(figure, "bits of the clients; mean, shaded: 95 % interval", len(BITS) + 1)


EXPERIMENT = Experiment(
    title="What do few bits at the clients save?",
    cases=Cases(),
    measure=measure,
    report=report,
    plots={"energy": plot},
    seeds=5,
)
