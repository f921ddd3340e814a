"""Accuracy against joules of clients that do less: PSL on the preset `iot`, at several cut layers."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from experiments.curves import draw_curves, legend_below
from experiments.fixed_length import at_target, best, scenario_of
from experiments.running import Case, Row
from experiments.tables import estimate, if_reached, markdown
from splitgym.allocation import descend
from splitgym.envs.world import World
from splitgym.frameworks import get
from splitgym.scenario import load

PRESET = "iot"
CUT_LAYERS = (1, 2)
TARGET = load(PRESET).episode.target_accuracy


def measure(case: Case, seed: int, precision: int | str) -> list[Row]:
    """Accuracy over the rounds, joules of the clients, and simulated time.

    Args:
        case: With a cut layer, and the settings of `Length`.
        seed: Of cell, data and weights.
        precision: Of all clients, as in `plan.precisions`.
    """
    scenario = scenario_of(PRESET, case, {"precisions": (precision,)})
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


@dataclass(frozen=True)
class Varied:
    """What is varied, with its tables and plots; the largest value is that of clients that do all."""

    column: str
    """Its name in cases."""
    names: Mapping[float, str]
    """Values, and how a text says them."""
    everything: str
    """How it says the largest one."""
    less: str
    """And those below."""

    @property
    def full(self) -> float:
        """The largest value."""
        return max(self.names)

    @property
    def run(self) -> list[str]:
        """Columns that make a run."""
        return ["cut_layer", self.column, "seed"]

    def summary(self, rows: pd.DataFrame) -> pd.DataFrame:
        """A row for each run: accuracy at the end and for equal joules, joules of a round, what the target took.

        Equal joules are those that clients that do all spend in all rounds at the shallowest cut layer, with the same
        seed.
        """
        rows = rows.sort_values("round", kind="stable")
        ends = rows.groupby(self.run, sort=False).agg(
            percent=("accuracy", "last"), joules=("joules", "last"), rounds=("round", "last")
        )
        budget = rows["seed"].map(ends["joules"].xs((rows["cut_layer"].min(), self.full), level=self.run[:2]))
        within = rows[rows["joules"] <= budget].groupby(self.run)["accuracy"].last()
        for name in ("joules", "seconds"):
            ends[f"{name}_to_target"] = at_target(rows, TARGET, name, self.run)
        return ends.assign(
            percent=100 * ends["percent"],
            percent_within=100 * within.reindex(ends.index),
            each=ends["joules"] / ends["rounds"],
            method=[self.names[value] for value in ends.index.get_level_values(self.column)],
        ).reset_index()

    def report(self, rows: pd.DataFrame) -> str:
        """Table and findings."""
        ends, last = self.summary(rows), rows["round"].max()
        return "\n\n".join(
            [
                f"PSL on `{PRESET}`: {load(PRESET).clients.count} clients, digits, {last} rounds from scratch; mean ± "
                f"half width of the 95 % interval over {rows['seed'].nunique()} seeds. Joules are those of all "
                "clients, for computing and sending; points and fractions are paired by seed. Accuracy for equal "
                f"joules: with no more than {self.names[self.full]} at cut layer {rows['cut_layer'].min()} spend in "
                "all rounds. With runs that do not reach the target, their number stands instead.",
                *self._findings(ends),
                markdown(list(self._lines(ends))),
            ]
        )

    def _lines(self, ends: pd.DataFrame) -> Iterator[dict[str, str]]:
        """A row for each cut layer and value."""
        for (cut, value), own in ends.groupby(["cut_layer", self.column], sort=False):
            full, by_seed = self._at(ends, cut, self.full), own.set_index("seed")
            # The first measurement may cost more than all rounds at another cut.
            within = "-" if own["percent_within"].isna().any() else estimate(own["percent_within"])
            yield {
                "cut layer": str(cut),
                self.column: f"{value:g}",
                "accuracy (%)": estimate(own["percent"]),
                "points": estimate(by_seed["percent"] - full["percent"]),
                "for equal joules (%)": within,
                "J of a round": estimate(own["each"], 3),
                f"of {self.names[self.full]} (%)": estimate(100 * by_seed["each"] / full["each"]),
                f"J to {100 * TARGET:g} %": if_reached(own["joules_to_target"], 2),
                f"s to {100 * TARGET:g} %": if_reached(own["seconds_to_target"], 1),
            }

    def _findings(self, ends: pd.DataFrame) -> Iterator[str]:
        """What less saves at the best cut, and what a shallower cut saves."""
        fewer = ends[self.column] < self.full
        fullest, fewest = (best(own, "joules_to_target") for own in (ends[~fewer], ends[fewer]))
        if fullest is None or fewest is None:
            yield f"**To {100 * TARGET:g} %.** Not all runs reach it with {self.everything}, or with {self.less}."
        else:
            saved = 100 * (1 - fewest[1] / fullest[1])
            yield (
                f"**To {100 * TARGET:g} %.** The fewest joules are those of {fewest[0]}: {estimate(fewest[1], 2)} J, "
                f"against {estimate(fullest[1], 2)} J of {fullest[0]}, {estimate(saved)} % less."
            )
        least, cuts = ends[self.column].min(), sorted(ends["cut_layer"].unique())
        shallow = self._at(ends, cuts[0], self.full)
        for cut in cuts[1:]:
            full = self._at(ends, cut, self.full)
            by_cut, by_less = (100 * (1 - own["each"] / full["each"]) for own in (shallow, self._at(ends, cut, least)))
            yield (
                f"**Less, or a shallower cut.** Of the joules of a round at cut layer {cut} with {self.everything}, "
                f"{self.names[least]} save {estimate(by_less)} %, and cut layer {cuts[0]} with {self.everything} saves "
                f"{estimate(by_cut)} %."
            )

    def _at(self, ends: pd.DataFrame, cut: int, value: float) -> pd.DataFrame:
        """Runs with a cut layer and a value, by seed."""
        return ends[(ends["cut_layer"] == cut) & (ends[self.column] == value)].set_index("seed")

    def plot(self, rows: pd.DataFrame, figure: Figure) -> None:
        """Accuracy over the joules that clients have spent, a panel for each cut layer, beside a shallower one."""
        cuts = sorted(rows["cut_layer"].unique())
        figure.set_size_inches(5.2 * len(cuts) + 0.4, 4.6)
        panels = figure.subplots(1, len(cuts), sharex=True, sharey=True, squeeze=False)[0]
        spent = rows.groupby(["cut_layer", self.column, "round"])["joules"].transform("mean")
        shown = rows.assign(percent=100 * rows["accuracy"], spent=spent)
        full = shown[(shown["cut_layer"] == cuts[0]) & (shown[self.column] == self.full)]
        labels = {value: f"{value:g}" for value in self.names}
        for axes, cut in zip(panels, cuts, strict=True):
            if cut > cuts[0]:
                shallow = full.groupby("spent")["percent"].mean()
                axes.plot(shallow, color="0.4", linewidth=2.5, label=f"{self.full:g}, cut layer {cuts[0]}")
            draw_curves(axes, shown[shown["cut_layer"] == cut], "spent", "percent", self.column, labels)
            axes.axhline(100 * TARGET, color="0.4", linewidth=1, linestyle=":")
            axes.set(xscale="log", xlabel="energy of the clients (J)", title=f"cut layer {cut}", ylim=(0, 100))
            axes.xaxis.set_major_formatter("{x:g}")
        panels[0].set_ylabel("test accuracy (%)")
        figure.suptitle(f"{PRESET}, PSL from scratch: accuracy against joules (dotted: target)")
        legend_below(figure, f"{self.column} of the clients; mean, shaded: 95 % interval", len(labels) + 1)
