"""What the runs say: accuracy by bits, seconds to the target, and what changing the codec gains."""

from collections.abc import Iterator, Mapping
from math import inf, isinf, log2

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from experiments.codecs.methods import CODECS, METHODS
from experiments.codecs.runs import FACTORS, PRESET
from experiments.curves import draw_curves, legend_below
from experiments.tables import estimate, half_width, markdown
from splitgym.evaluation.plots import COLOURS
from splitgym.scenario import load

TARGETS = (load(PRESET).episode.target_accuracy, 0.93)
"""Test accuracies to which seconds are counted: that of the preset, and a higher one."""
HERE = FACTORS.index(1.0)
KHZ = load(PRESET).radio.subchannels * load(PRESET).radio.subchannel_hz / 1e3
"""Of the preset."""
MARKERS: Mapping[str, str] = {"none": "*", "fp16": "P", "uniform": "o", "top": "s", "random": "D", "c3": "^"}
"""By the first part of a codec's name."""


def summary(rows: pd.DataFrame) -> pd.DataFrame:
    """A row for each run: accuracy at the end, bits of a sample, and seconds to the first target by bandwidth."""
    runs = rows.sort_values("round", kind="stable").groupby(["cut_layer", "method", "seed"], sort=False)
    ends = runs.agg(percent=("accuracy", "last"), kbit=("bits_per_sample", "last"))
    ends = ends.assign(percent=100 * ends["percent"], kbit=ends["kbit"] / 1e3)
    for target in TARGETS:
        reached = rows[rows["accuracy"] >= target].sort_values("round", kind="stable")
        first = reached.groupby(["cut_layer", "method", "seed"], sort=False).first()
        for place in range(len(FACTORS)):
            ends[f"to_{100 * target:g}_{place}"] = first[f"seconds_{place}"].reindex(ends.index).fillna(inf)
    return ends.reset_index()


def seconds_to(target: float, place: int = HERE) -> str:
    """Column of `summary` with the seconds to a target; infinite where it is not reached."""
    return f"to_{100 * target:g}_{place}"


def report(rows: pd.DataFrame) -> str:
    """Findings and tables."""
    ends, last = summary(rows), rows["round"].max()
    return "\n\n".join(
        [
            f"PSL on `{PRESET}`: {load(PRESET).clients.count} clients, digits, {last} rounds from scratch; mean ± half "
            f"width of the 95 % interval over {rows['seed'].nunique()} seeds. Bits of a sample are those of its "
            "smashed data and of their gradient together. Seconds are simulated, to the first measurement at the "
            "target; with runs that do not reach it, their number stands instead.",
            *findings(ends),
            *lossless(rows),
            *(
                f"### Cut layer {cut}\n\n{markdown(list(lines(own)))}"
                for cut, own in ends.groupby("cut_layer", sort=True)
            ),
        ]
    )


def lines(ends: pd.DataFrame) -> Iterator[dict[str, str]]:
    """A row for each method at a cut layer."""
    none = ends[ends["method"] == "none"].set_index("seed")
    for method, own in ends.groupby("method", sort=False):
        by_seed = own.set_index("seed")
        yield {
            "method": str(method),
            "kbit of a sample": f"{own['kbit'].mean():.2f}",
            "fraction": f"1/{none['kbit'].mean() / own['kbit'].mean():.1f}",
            "accuracy (%)": estimate(own["percent"]),
            "points": estimate(by_seed["percent"] - none["percent"]),
            **{f"to {100 * target:g} % (s)": _seconds(own[seconds_to(target)]) for target in TARGETS},
        }


def findings(ends: pd.DataFrame) -> Iterator[str]:
    """The best fixed codec against none, each at its best cut layer; and the best change against the best codec."""
    fixed = ends["method"].map(lambda name: METHODS[name].fixed)
    for target in TARGETS:
        column, goal = seconds_to(target), f"{100 * target:g} %"
        none = _best(ends[ends["method"] == "none"], column)
        best = _best(ends[fixed], column)
        if none is None or best is None:
            yield f"**To {goal}.** Without a codec, or with any, not all runs reach it."
            continue
        shorter = 100 * (1 - best[1] / none[1])
        yield (
            f"**To {goal}.** The best fixed choice is {best[0]}: {estimate(best[1])} s, against {estimate(none[1])} s "
            f"for {none[0]}, {estimate(shorter)} % less."
        )
        changing = _best(ends[~fixed], column)
        if changing is not None:
            gain = 100 * (1 - changing[1] / best[1])
            yield (
                f"Of those that change it, the best is {changing[0]}: {estimate(changing[1])} s, {estimate(gain)} % "
                "less than the best fixed choice."
            )


def lossless(rows: pd.DataFrame) -> Iterator[str]:
    """What could be left out of smashed data without any loss."""
    for cut, own in rows[rows["method"] == "none"].dropna(subset="zeros").groupby("cut_layer", sort=True):
        zeros = own["zeros"]
        shares = (zeros + (zeros == 0)).clip(upper=1 - 1e-12)
        places = np.array([-share * log2(share) - (1 - share) * log2(1 - share) for share in shares])
        uplink, downlink = places + 32 * (1 - zeros), 32 * (1 - zeros)
        numbers, both = own["numbers"].iloc[0], (uplink + downlink).mean()
        yield (
            f"**Without loss, cut layer {cut}.** {100 * zeros.mean():.0f} % of the {numbers:.0f} numbers of a sample "
            f"are zero behind the ReLU. If these are left out and their places coded, a number needs "
            f"{uplink.mean():.1f} bits on the way up, and {downlink.mean():.1f} on the way down, where a gradient "
            f"matters only at the places that both sides know: {both * numbers / 1e3:.2f} kbit of a sample, "
            f"1/{64 / both:.1f} of all. zlib packs smashed data to {100 * own['packed'].mean():.0f} %."
        )


def _best(ends: pd.DataFrame, column: str) -> tuple[str, pd.Series] | None:
    """Method and cut layer with the lowest mean of a column, and its values by seed; None: of all some are infinite."""
    found = {
        f"{method} at cut layer {cut}": own.set_index("seed")[column]
        for (method, cut), own in ends.groupby(["method", "cut_layer"], sort=False)
    }
    name = min(found, key=lambda each: found[each].mean(), default=None)
    return None if name is None or isinf(found[name].mean()) else (name, found[name])


def _seconds(values: pd.Series) -> str:
    reached = int(np.isfinite(values).sum())
    return estimate(values) if reached == len(values) else f"{reached} of {len(values)}"


def plot_accuracy(rows: pd.DataFrame, figure: Figure) -> None:
    """Accuracy at the end over the bits of a sample, a panel for each cut layer."""
    ends = summary(rows)
    ends = ends[ends["method"].isin(CODECS)]
    cuts = sorted(ends["cut_layer"].unique())
    figure.set_size_inches(5.2 * len(cuts) + 0.4, 4.6)
    panels = figure.subplots(1, len(cuts), sharey=True, squeeze=False)[0]
    for axes, cut in zip(panels, cuts, strict=True):
        for number, (method, own) in enumerate(ends[ends["cut_layer"] == cut].groupby("method", sort=False)):
            kind = str(method).replace("-", ":").partition(":")[0]
            x, y, width = own["kbit"].mean(), own["percent"].mean(), half_width(own["percent"])
            colour = COLOURS[list(MARKERS).index(kind) % len(COLOURS)]
            axes.errorbar(x, y, 0.0 if np.isnan(width) else width, marker=MARKERS[kind], markersize=8, color=colour)
            below = number % 2 == 1
            axes.annotate(
                str(method), (x, y), (0, -16 if below else 12), textcoords="offset points", ha="center", fontsize=8
            )
        axes.set_xscale("log")
        axes.set(title=f"cut layer {cut}", xlabel="kbit of a sample, up and down")
        axes.margins(x=0.15, y=0.2)
        axes.grid(alpha=0.3)
    panels[0].set_ylabel(f"test accuracy after {rows['round'].max()} rounds (%)")
    figure.suptitle(f"{PRESET}, PSL from scratch: accuracy against what is sent")


def plot_bandwidth(rows: pd.DataFrame, figure: Figure) -> None:
    """Seconds to the target over the bandwidth, a panel for each cut layer; no curve where a run misses the target."""
    ends = summary(rows)
    cuts = sorted(ends["cut_layer"].unique())
    figure.set_size_inches(5.2 * len(cuts) + 0.4, 5.2)
    panels = figure.subplots(1, len(cuts), sharey=True, squeeze=False)[0]
    shown = {name: name for name in ("none", "uniform-8", "uniform-4", "uniform-2", "top-k:0.1", "c3:4")}
    for axes, cut in zip(panels, cuts, strict=True):
        long = pd.concat(
            [
                own[["method", "seed"]].assign(kHz=KHZ * factor, seconds=own[seconds_to(TARGETS[0], place)])
                for place, factor in enumerate(FACTORS)
                for own in [ends[ends["cut_layer"] == cut]]
            ]
        )
        always = long.groupby(["method", "kHz"])["seconds"].transform(lambda values: np.isfinite(values).all())
        draw_curves(axes, long[always], "kHz", "seconds", "method", shown)
        axes.axvline(KHZ, color="0.4", linewidth=1, linestyle=":")
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set(title=f"cut layer {cut}", xlabel="bandwidth of the cell (kHz)")
    panels[0].set_ylabel(f"simulated time to {100 * TARGETS[0]:g} % (s)")
    figure.suptitle(f"{PRESET}, PSL: time to target against bandwidth (dotted: that of the preset)")
    legend_below(figure, f"mean over {rows['seed'].nunique()} seeds, shaded: 95 % interval", columns=6)
