"""The map of where three tiers pay: tables, sentences that follow from them, and the picture."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import TwoSlopeNorm
from matplotlib.figure import Figure
from matplotlib.ticker import FormatStrFormatter
from scipy import stats

from experiments.tables import estimate, markdown
from experiments.three_tier.architectures import ARCHITECTURES, THREE_TIERS, USER_CLOUD, USER_EDGE
from experiments.three_tier.behind import CYCLES_OF_CLIENTS, PRESET, USER_EDGE_BITS_PER_S, Rounds, best_rounds, fronts
from splitgym.arrays import Floats

SPEEDS = np.geomspace(1, 100, 41)
"""Speed of the cloud over that of the edge server."""
LINKS = np.geomspace(0.01, 10, 61)
"""Rate of the edge-cloud link over that of the user-edge link."""
SHOWN = (1 / 32, 1 / 8, 1 / 2, 2.0)
"""Cycles per FLOP of the panels."""
ARTICLE_SPEED = PRESET.cloud.compute_hz / PRESET.server.compute_hz
ARTICLE_LINK = PRESET.cloud.link_bits_per_s / USER_EDGE_BITS_PER_S


BOX = {"facecolor": "white", "alpha": 0.7, "edgecolor": "none", "pad": 1.5}
"""Behind text on the map."""


class Saved(NamedTuple):
    """What three tiers save against the better of the others, as a fraction of its round."""

    mean: Floats
    lowest: Floats
    """Lower end of the 95 % interval of the mean over cells."""


def rounds_at(fronts_s: Mapping[float, Floats], kappa: float, speed: Any, link: Any) -> dict[str, Rounds]:
    """Rounds at some ratios, [...], where a FLOP takes so many cycles."""
    speed, link = np.asarray(speed), np.asarray(link)
    return best_rounds(fronts_s[kappa], kappa, speed * PRESET.server.compute_hz, link * USER_EDGE_BITS_PER_S)


def saved(rounds: dict[str, Rounds]) -> Saved:
    """Negative: they lose. Cell by cell, as all have the same cells."""
    values = 1 - rounds[THREE_TIERS].seconds / _better(rounds)
    cells = values.shape[-1]
    width = stats.t.ppf(0.975, cells - 1) * values.std(-1, ddof=1) / np.sqrt(cells)
    return Saved(values.mean(-1), values.mean(-1) - width)


def report(rows: pd.DataFrame) -> str:
    """Tables in Markdown, each with what it says."""
    fronts_s = fronts(rows)
    return "\n\n".join([*_at_the_article(fronts_s), *_whole_map(fronts_s)]) + "\n"


def _at_the_article(fronts_s: Mapping[float, Floats]) -> list[str]:
    lines, inside, gains = [], [], {}
    for kappa in fronts_s:
        rounds = rounds_at(fronts_s, kappa, ARTICLE_SPEED, ARTICLE_LINK)
        gain = saved(rounds)
        gains[kappa] = 100 * float(gain.mean)
        inside += [kappa] if gain.lowest > 0 else []
        lines.append(
            {
                "cycles per FLOP": _kappa(kappa),
                **{f"{name} (s)": estimate(pd.Series(rounds[name].seconds), 2) for name in ARCHITECTURES},
                "three tiers save (%)": f"{100 * gain.mean:.1f} ± {100 * (gain.mean - gain.lowest):.1f}",
                "cut layers": _cuts(rounds[THREE_TIERS]),
            }
        )
    cells = len(next(iter(fronts_s.values())))
    preset = gains[PRESET.server.cycles_per_flop]
    best = max(gains, key=lambda kappa: gains[kappa])
    return [
        "## At the article's point",
        f"ArXiv 2306.12194, Fig. 6: edge server {PRESET.server.compute_hz:.3g} and cloud {PRESET.cloud.compute_hz:.3g} "
        f"cycles/s ({ARTICLE_SPEED:.2f} times), edge-cloud link {ARTICLE_LINK:.3g} of the user-edge link. Rounds of "
        f"{cells} random cells with the best cuts of each, mean and 95 % interval; three tiers save against the better "
        "of the other two, cell by cell (negative: they lose). The article does not say how many cycles a FLOP takes: "
        f"{_kappa(PRESET.server.cycles_per_flop)} at edge server and cloud is the preset's, and clients need "
        f"{CYCLES_OF_CLIENTS:g} times as many throughout. Cut layers are the most frequent ones.",
        markdown(lines),
        f"The article's point is {'inside' if preset > 0 else '**not** inside'} the region where three tiers are the "
        f"fastest with the preset's cycles per FLOP: they {'save' if preset > 0 else 'lose'} {abs(preset):.1f} %. With "
        f"others it is inside (beyond the interval) at {', '.join(map(_kappa, inside)) or 'none of these'}; the most "
        f"that three tiers save there is {gains[best]:.1f} %, at {_kappa(best)}.{_limits(fronts_s, inside)}",
    ]


def _limits(fronts_s: Mapping[float, Floats], inside: list[float]) -> str:
    """From where to where the article's point is inside; links and cycles per FLOP count by their product alone."""
    if not inside:
        return ""
    ends = [kappa * links / ARTICLE_LINK for kappa in inside for links in _band(saved(_grid(fronts_s, kappa)))[[0, -1]]]
    return (
        f" Behind the same cut layer only the product of link and cycles per FLOP counts: the point is inside from "
        f"{min(ends):.2g} to {max(ends):.2g} cycles per FLOP."
    )


def _band(gain: Saved) -> Floats:
    """Links with which three tiers are the fastest at the article's cloud."""
    nearest = int(np.abs(np.log(SPEEDS / ARTICLE_SPEED)).argmin())
    return LINKS[gain.lowest[:, nearest] > 0]


def _whole_map(fronts_s: Mapping[float, Floats]) -> list[str]:
    lines = []
    for kappa in fronts_s:
        rounds = _grid(fronts_s, kappa)
        gain = saved(rounds)
        place = np.unravel_index(gain.mean.argmax(), gain.mean.shape)
        links = _band(gain)
        lines.append(
            {
                "cycles per FLOP": _kappa(kappa),
                "inside (% of the map)": f"{100 * (gain.lowest > 0).mean():.1f}",
                "links at the article's cloud": f"{links[0]:.2g} to {links[-1]:.2g}" if len(links) else "none",
                "save at most (%)": f"{100 * gain.mean[place]:.1f}",
                "at cloud / edge server": f"{SPEEDS[place[1]]:.3g}",
                "and edge-cloud / user-edge": f"{LINKS[place[0]]:.2g}",
                "cut layers there": _cuts(Rounds(*(values[place] for values in rounds[THREE_TIERS]))),
            }
        )
    return [
        "## The map",
        f"Cloud / edge server from {SPEEDS[0]:g} to {SPEEDS[-1]:g}, edge-cloud / user-edge link from {LINKS[0]:g} to "
        f"{LINKS[-1]:g}, both logarithmic. Edge server and cloud train at least a unit each; without that condition "
        "three tiers are never slower, as they are then one of the others. Inside: three tiers are the fastest, beyond "
        "the 95 % interval over cells.",
        markdown(lines),
        "With a narrower link user-edge is faster, as the activations at the second cut take longer over the link than "
        "the cloud saves. With a wider link or a faster cloud user-cloud is, as nothing is left that the edge server "
        "does better. In between three tiers send narrower activations than user-cloud, and compute faster than "
        "user-edge. Twice the cycles per FLOP move the band to half the rate of the link.",
        "At the same cut layer all three train the same weights and take the same number of rounds to a target, "
        "whatever the size of the training set: it moves no border of this map.",
    ]


def plot(rows: pd.DataFrame, figure: Figure) -> None:
    """What three tiers save over both ratios, a panel for each number of cycles per FLOP."""
    figure.set_size_inches(12.5, 4.4)
    panels, fronts_s = figure.subplots(1, len(SHOWN), sharey=True), fronts(rows)
    inside = []
    for axes, kappa in zip(panels, SHOWN, strict=True):
        rounds = _grid(fronts_s, kappa)
        gain = saved(rounds)
        image = axes.pcolormesh(
            SPEEDS, LINKS, 100 * gain.mean, cmap="RdBu", norm=TwoSlopeNorm(0, -30, 8), shading="gouraud"
        )
        axes.contour(SPEEDS, LINKS, gain.mean, [0.0], colors="black", linewidths=1.5)
        cloud_first = (rounds[USER_CLOUD].seconds - rounds[USER_EDGE].seconds).mean(-1)
        axes.contour(SPEEDS, LINKS, cloud_first, [0.0], colors="0.3", linewidths=1, linestyles="dotted")
        axes.plot(
            ARTICLE_SPEED, ARTICLE_LINK, "*", color="#E69F00", markeredgecolor="black", markersize=16, clip_on=False
        )
        axes.set_title(
            f"{_kappa(kappa)} cycles per FLOP{' (preset)' if kappa == PRESET.server.cycles_per_flop else ''}",
            fontsize=10,
        )
        axes.set(xscale="log", yscale="log", xlabel="cloud / edge server (cycles/s)")
        axes.xaxis.set_major_formatter(FormatStrFormatter("%g"))
        axes.yaxis.set_major_formatter(FormatStrFormatter("%g"))
        _name(axes, 0.94, "user-cloud is faster")
        if cloud_first[0, -1] > 0:
            _name(axes, 0.06, "user-edge is faster")
        inside.append(float(saved(rounds_at(fronts_s, kappa, ARTICLE_SPEED, ARTICLE_LINK)).mean) > 0)
    panels[0].set_ylabel("edge-cloud link / user-edge link (bits/s)")
    figure.colorbar(image, ax=panels, label="three tiers save (%)", extend="both", ticks=[-30, -20, -10, 0, 2, 4, 6, 8])
    which = ", ".join(_kappa(kappa) for kappa, there in zip(SHOWN, inside, strict=True) if there)
    figure.suptitle(
        "User-edge-cloud is the fastest in the blue band (dotted: the others are equal); the article's point (star) is "
        f"inside at {f'{which} cycles per FLOP' if which else 'none of these'}"
    )


def _name(axes: Axes, height: float, text: str) -> None:
    axes.text(0.5, height, text, fontsize=9, ha="center", va="center", transform=axes.transAxes, bbox=BOX)


def _grid(fronts_s: Mapping[float, Floats], kappa: float) -> dict[str, Rounds]:
    return rounds_at(fronts_s, kappa, *np.meshgrid(SPEEDS, LINKS))


def _better(rounds: dict[str, Rounds]) -> Floats:
    return np.minimum(rounds[USER_EDGE].seconds, rounds[USER_CLOUD].seconds)


def _cuts(rounds: Rounds) -> str:
    """The most frequent pair of cuts."""
    pairs, counts = np.unique(np.stack([rounds.cut_layer, rounds.second_cut]), axis=1, return_counts=True)
    return "{} and {}".format(*pairs[:, counts.argmax()])


def _kappa(kappa: float) -> str:
    return f"1/{1 / kappa:g}" if kappa < 1 else f"{kappa:g}"
