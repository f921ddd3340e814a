"""Tables and figure of what reuse brings."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from experiments.reuse.two_cells import CHOSEN, CIRCLE_M, COORDINATED, EVERYWHERE, break_even_m
from experiments.tables import markdown, percent, with_interval
from splitgym.evaluation.look import COLOURS
from splitgym.evaluation.statistics import Bootstrap, Estimate

WAYS = (COORDINATED, EVERYWHERE, CHOSEN)


def report(rows: pd.DataFrame) -> str:
    """Rounds of two cells over their distance, then episodes at each place."""
    cells, episodes = rows[rows["distance_m"].notna()], rows[rows["distance_m"].isna()]
    up, down = break_even_m()
    parts = [
        "## Two cells at growing distance",
        f"Seconds of a round with all eight clients, each {CIRCLE_M:g} m from its station, mean over "
        f"{cells['episode'].nunique()} pairs of cells and 95 % interval. `coordinated`: each subchannel at one of the "
        "stations. `everywhere`: each at both, two for every client. `universal`: what the descent finds where every "
        "station may use all. By the closed form reuse carries more from stations "
        f"{up:.0f} m apart on in the uplink, {down:.0f} m in the downlink.",
        markdown(_by_distance(cells)),
    ]
    if episodes.empty:
        return "\n\n".join(parts)
    for place, own in episodes.groupby("place", sort=False):
        count = own["episode"].nunique()
        parts += [
            f"## {place}",
            f"Mean over {count} held-out episodes on the surrogate and 95 % interval; who misses the target counts "
            "with the time budget. Left coordinated, right universal. `uses`: stations at which a subchannel is used.",
            markdown(_of_rules(own)),
            "Less than with coordinated stations:",
            markdown(_gains(own)),
        ]
    return "\n\n".join(parts)


def _by_distance(cells: pd.DataFrame) -> list[dict[str, str]]:
    return [
        {"distance": f"{distance:g} m"}
        | {way: with_interval(_mean(own[own["reuse"] == way], "round_s"), 2) for way in WAYS}
        | {f"{way} saves": percent(_less(own, "round_s", way)) for way in WAYS[1:]}
        for distance, own in cells.groupby("distance_m")
    ]


def _of_rules(own: pd.DataFrame) -> list[dict[str, str]]:
    lines = []
    for rule, of in own.groupby("rule", sort=False):
        line = {"rule": f"`{rule}`"}
        for name, column in (("round (s)", "round_s"), ("80 % (s)", "target_s"), ("energy (J)", "energy_j")):
            for way in (COORDINATED, CHOSEN):
                line[f"{name}, {way}"] = with_interval(_mean(of[of["reuse"] == way], column), 2)
        line["uses"] = " / ".join(f"{of[of['reuse'] == way]['uses'].mean():.2f}" for way in (COORDINATED, CHOSEN))
        lines.append(line)
    return lines


def _gains(own: pd.DataFrame) -> list[dict[str, str]]:
    return [
        {
            "rule": f"`{rule}`",
            "round": percent(_less(of, "round_s")),
            "time to 80 %": percent(_less(of, "target_s")),
            "energy": percent(_less(of, "energy_j")),
        }
        for rule, of in own.groupby("rule", sort=False)
    ]


def _mean(own: pd.DataFrame, column: str) -> Estimate:
    values = own.sort_values("episode")[column].to_numpy()
    return Bootstrap([len(values)], seed=0).estimate(lambda each: each[0].mean(-1), [values])


def _less(own: pd.DataFrame, column: str, way: str = CHOSEN) -> Estimate:
    """How much less a way takes than coordinated stations, as a fraction, on the same episodes or cells."""
    one, other = (own[own["reuse"] == each].sort_values("episode")[column].to_numpy() for each in (way, COORDINATED))
    return Bootstrap([len(one)], seed=0).estimate(lambda a, b: 1 - a[0].mean(-1) / b[0].mean(-1), [one], [other])


def plot(rows: pd.DataFrame, figure: Figure) -> None:
    """Mean seconds of a round over the distance with its interval, and where closed forms break even."""
    cells = rows[rows["distance_m"].notna()]
    figure.set_size_inches(6.4, 4.2)
    axes = figure.subplots()
    for colour, way in zip(COLOURS, WAYS, strict=False):
        found = {d: _mean(of, "round_s") for d, of in cells[cells["reuse"] == way].groupby("distance_m")}
        means = [each.value for each in found.values()]
        ends = np.array([[e.value - e.low for e in found.values()], [e.high - e.value for e in found.values()]])
        axes.errorbar([*found], means, ends, marker="o", markersize=4, capsize=2, color=colour, label=way)
    for line, distance_m, name in zip(("--", ":"), break_even_m(), ("uplink", "downlink"), strict=True):
        axes.axvline(distance_m, color="grey", linestyle=line, label=f"closed form, {name}")
    axes.set(xscale="log", xlabel="distance between stations (m)", ylabel="round latency (s)", ylim=(0, None))
    ticks = sorted(cells["distance_m"].unique())
    axes.set_xticks(ticks, [f"{each:g}" for each in ticks])
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    axes.legend()
