"""What the runs say: accuracy by bits, seconds to the target, and what changing the codec gains."""

from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from experiments.codecs.methods import CODECS, METHODS
from experiments.codecs.runs import FACTORS, PRESET
from experiments.curves import draw_curves, legend_below
from experiments.fixed_length import at_target, best
from experiments.tables import estimate, half_width, if_reached, markdown
from splitgym.evaluation.look import COLOURS
from splitgym.scenario import load

TARGETS = (load(PRESET).episode.target_accuracy, 0.93)
"""Test accuracies to which seconds are counted: that of the preset, and a higher one."""
HERE = FACTORS.index(1.0)
KHZ = load(PRESET).radio.subchannels * load(PRESET).radio.subchannel_hz / 1e3
"""Of the preset."""
TICKS = (1, 2, 4, 8, 16, 32, 64)
"""kbit."""
MARKERS: Mapping[str, str] = {
    "none": "*",
    "fp16": "P",
    "uniform": "o",
    "top-k": "s",
    "random-top-k": "D",
    "c3": "^",
}
"""By family."""


def summary(rows: pd.DataFrame) -> pd.DataFrame:
    """A row for each run: accuracy at the end, bits of a sample, and seconds to the first target by bandwidth."""
    runs = rows.sort_values("round", kind="stable").groupby(["cut_layer", "method", "seed"], sort=False)
    ends = runs.agg(percent=("accuracy", "last"), kbit=("bits_per_sample", "last"))
    ends = ends.assign(percent=100 * ends["percent"], kbit=ends["kbit"] / 1e3)
    for target in TARGETS:
        for place in range(len(FACTORS)):
            ends[seconds_to(target, place)] = at_target(rows, target, f"seconds_{place}", ends.index.names)
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
            **{f"to {100 * target:g} % (s)": if_reached(own[seconds_to(target)]) for target in TARGETS},
        }


def findings(ends: pd.DataFrame) -> Iterator[str]:
    """The best fixed codec against none, each at its best cut layer; and the best change against the best codec."""
    fixed = ends["method"].map(lambda name: METHODS[name].fixed)
    for target in TARGETS:
        column, goal = seconds_to(target), f"{100 * target:g} %"
        none = best(ends[ends["method"] == "none"], column)
        chosen = best(ends[fixed], column)
        if none is None or chosen is None:
            yield f"**To {goal}.** Without a codec, or with any, not all runs reach it."
            continue
        shorter = 100 * (1 - chosen[1] / none[1])
        yield (
            f"**To {goal}.** The best fixed choice is {chosen[0]}: {estimate(chosen[1])} s, against "
            f"{estimate(none[1])} s for {none[0]}, {estimate(shorter)} % less."
        )
        changing = best(ends[~fixed], column)
        beside = best(ends[fixed & ends["cut_layer"].isin(ends[~fixed]["cut_layer"])], column)
        if changing is not None and beside is not None:
            gain = 100 * (1 - changing[1] / beside[1])
            yield (
                f"Of the choices that change, the best is {changing[0]}: {estimate(changing[1])} s, a gain of "
                f"{estimate(gain)} % on the best fixed one there, {beside[0]} with {estimate(beside[1])} s."
            )


def lossless(rows: pd.DataFrame) -> Iterator[str]:
    """What could be left out of smashed data without any loss."""
    for cut, own in rows[rows["method"] == "none"].dropna(subset="zeros").groupby("cut_layer", sort=True):
        uplink, downlink = lossless_bits(own["zeros"])
        numbers, both = own["numbers"].iloc[0], uplink + downlink
        yield (
            f"**Without loss, cut layer {cut}.** {100 * own['zeros'].mean():.0f} % of the {numbers:.0f} numbers of a "
            f"sample are zero behind the ReLU. If these are left out and their places coded, a number needs "
            f"{uplink:.1f} bits on the way up, and {downlink:.1f} on the way down, where a gradient matters only at "
            f"the places that both sides know: {both * numbers / 1e3:.2f} kbit of a sample, 1/{64 / both:.1f} of all. "
            f"zlib packs smashed data to {100 * own['packed'].mean():.0f} %."
        )


def lossless_bits(zeros: pd.Series) -> tuple[float, float]:
    """Bits of a number up and down if zeros are left out, mean over their shares: the entropy of their places, once."""
    shares = zeros.clip(1e-12, 1 - 1e-12)
    places = -shares * np.log2(shares) - (1 - shares) * np.log2(1 - shares)
    down = 32 * (1 - zeros)
    return float((places + down).mean()), float(down.mean())


def plot_accuracy(rows: pd.DataFrame, figure: Figure) -> None:
    """Accuracy at the end over the bits of a sample, a panel for each cut layer."""
    ends = summary(rows)
    ends = ends[ends["method"].isin(CODECS)]
    cuts = sorted(ends["cut_layer"].unique())
    figure.set_size_inches(5.2 * len(cuts) + 0.4, 5.0)
    panels = figure.subplots(1, len(cuts), sharey=True, squeeze=False)[0]
    for axes, cut in zip(panels, cuts, strict=True):
        for method, own in ends[ends["cut_layer"] == cut].groupby("method", sort=False):
            family, parameter = _family(str(method))
            x, y, width = own["kbit"].mean(), own["percent"].mean(), half_width(own["percent"])
            look = {"color": COLOURS[list(MARKERS).index(family)], "marker": MARKERS[family], "markersize": 8}
            axes.errorbar(x, y, 0.0 if np.isnan(width) else width, label=family, linestyle="", **look)
            above = 5 if family != "top-k" else -14
            axes.annotate(parameter, (x, y), (7, above), textcoords="offset points", fontsize=9)
        without = rows[(rows["method"] == "none") & (rows["cut_layer"] == cut)].dropna(subset="zeros")
        kbit = sum(lossless_bits(without["zeros"])) * without["numbers"].iloc[0] / 1e3
        axes.axvline(kbit, color="0.4", linestyle=":", label="zeros left out, nothing lost")
        axes.set_xscale("log")
        axes.set_xticks(TICKS, [f"{tick}" for tick in TICKS])
        axes.minorticks_off()
        axes.set(title=f"cut layer {cut}", xlabel="kbit of a sample, up and down")
        axes.margins(x=0.12)
        axes.grid(alpha=0.3)
    panels[0].set_ylabel(f"test accuracy after {rows['round'].max()} rounds (%)")
    figure.suptitle(f"{PRESET}, PSL from scratch: accuracy against what is sent")
    legend_below(figure, f"mean over {rows['seed'].nunique()} seeds, 95 % interval", columns=7)


def _family(codec: str) -> tuple[str, str]:
    """Family and parameter of a codec's name."""
    family, _, parameter = codec.partition(":")
    if family.startswith("uniform-"):
        family, _, parameter = family.partition("-")
    return family, parameter


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
