"""How long do the passes behind the cut take over more hops and micro-batches, placed exactly, greedily, or evenly?

    python -m experiments multi_hop

Random meshes of six servers behind the clients of `three-tier`: ResNet-18, 320 rows in a round, cut behind the first
unit. Data arrive at the edge server; each rule places the other units on a path of at most so many nodes. The passes
behind the cut are counted alone, and in whole rounds of `multi-hop` with the descent's allocation in a random cell,
where the exact placement knows the slowest stage in front. With limits each server has the memory for some units.
"""

from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from experiments.cells import ENDLESS_S, random_states
from experiments.running import Case, Experiment, Row
from experiments.tables import markdown
from splitgym import data, models
from splitgym.allocation import allocate
from splitgym.allocation.placement import PLACEMENTS, PlacementTask
from splitgym.evaluation.look import COLOURS
from splitgym.frameworks import get
from splitgym.frameworks.placements import Placement
from splitgym.inputs import InputError
from splitgym.scenario import Scenario, build, load
from splitgym.timing import round_cost
from splitgym.types import Plan

PRESET = load("three-tier")
SERVERS = ("server", "cloud", "roof", "street", "cabinet", "exchange")
CUT_LAYER = 1
HOPS = tuple(range(1, len(SERVERS) + 1))
MICRO_BATCHES = (1, 2, 4, 8, 16)
MEMORY = ("enough", "limited")
COUNTED = ("behind the cut", "round")
SPEEDS_HZ, RATES_BITS_PER_S, DELAY_S = (1e9, 1e10), (3e8, 3e9), 1e-3
"""Slowest and fastest server and link, log-uniform; what each link takes beside its rate."""
NEIGHBOURS = 2
"""Each server has links to so many nearest ones at least."""
LIMITS = (0.2, 0.6)
"""Least and most memory of a server, as a fraction of what all units behind the cut need on one."""
LOOKS = dict(zip(PLACEMENTS, zip(COLOURS, "osD", ("-", "--", ":"), strict=False), strict=False))


def cases(quick: bool) -> list[Case]:
    """Numbers of micro-batches, with and without limits of memory."""
    return [
        {"memory": memory, "micro_batches": xi}
        for memory in MEMORY
        for xi in (MICRO_BATCHES[::4] if quick else MICRO_BATCHES)
    ]


def measure(case: Case, seed: int) -> list[Row]:
    """A row for each rule and number of hops, in the mesh of the seed, of the passes behind the cut and of rounds."""
    scenario = mesh(np.random.default_rng(seed), case["memory"] == "limited")
    scenario = build(scenario, {"training": {"micro_batches": case["micro_batches"]}})
    return [
        *_rows("behind the cut", scenario, seed, (0.0, 0.0)),
        *_rows("round", scenario, seed, in_front(scenario, seed)),
    ]


def _rows(counted: str, scenario: Scenario, seed: int, in_front_s: tuple[float, float]) -> list[Row]:
    """Infinite: the rule has no placement."""
    found: dict[tuple[int, str], Placement] = {}
    tasks = {hops: replace(task_of(scenario, hops), in_front_s=in_front_s) for hops in HOPS}
    for hops, task in tasks.items():
        for rule, place in PLACEMENTS.items():
            with suppress(InputError):
                found[hops, rule] = place(task)
    if counted == "round":
        of_placement = rounds_s(scenario, seed, list(dict.fromkeys(found.values())))
        seconds = {key: of_placement[placement] for key, placement in found.items()}
    else:
        seconds = {key: tasks[key[0]].seconds(placement) for key, placement in found.items()}
    return [
        {
            "counted": counted,
            "hops": hops,
            "rule": rule,
            "seconds": float(f"{seconds.get((hops, rule), np.inf):.6g}"),
            "nodes": len(found[hops, rule].nodes) if (hops, rule) in found else 0,
        }
        for hops in HOPS
        for rule in PLACEMENTS
    ]


def in_front(scenario: Scenario, seed: int) -> tuple[float, float]:
    """Seconds of the slowest stage of clients and radio for all rows, forward and backward."""
    # All units at the edge server, whose memory does not matter here.
    (state,) = random_states(build(scenario, {"server": {"memory_bytes": None}}), get("multi-hop"), [seed])
    cost = round_cost(state, allocate(state, Plan(CUT_LAYER), state.available))
    took = dict(zip(cost.stages, (cost.stop_s - cost.start_s).max(1), strict=True))
    xi = scenario.training.micro_batches
    return (
        xi * float(max(took["client_fp"], took["uplink"])),
        xi * float(max(took["unicast"], took["client_bp"])),
    )


def rounds_s(scenario: Scenario, seed: int, placements: list[Placement]) -> dict[Placement, float]:
    """Latency of a round with everybody under each of some placements, in the cell of the seed."""
    rows = [{"nodes": list(nodes), "bounds": list(bounds)} for nodes, bounds in placements]
    fields = {"placement": {"candidates": rows}, "plan": {"placement": "decided"}}
    (state,) = random_states(build(scenario, fields), get("multi-hop"), [seed])
    found = {}
    for number, placement in enumerate(placements):
        cost = round_cost(state, allocate(state, Plan(CUT_LAYER, placement=number), state.available))
        found[placement] = float(cost.latency_s)
    return found


def task_of(scenario: Scenario, hops: int) -> PlacementTask:
    """What is to be placed in a scenario."""
    costs = models.measure(scenario.task.model, *data.dimensions(scenario.task.dataset), scenario.task.stem)
    return PlacementTask.of(scenario, costs, CUT_LAYER, hops, micro_batches=scenario.training.micro_batches)


def mesh(rng: np.random.Generator, limited: bool) -> Scenario:
    """Six servers at random places; each has links to its nearest ones, and the edge server has one to the cloud."""
    places = rng.uniform(size=(len(SERVERS), 2))
    distance = np.linalg.norm(places[:, None] - places, axis=-1)
    near = np.argsort(distance, axis=1)[:, 1 : NEIGHBOURS + 1]
    pairs = sorted(
        {(0, 1)} | {(min(one, other), max(one, other)) for one, row in enumerate(near.tolist()) for other in row}
    )
    speeds = np.exp(rng.uniform(*np.log(SPEEDS_HZ), len(SERVERS))).tolist()
    rates = np.exp(rng.uniform(*np.log(RATES_BITS_PER_S), len(pairs))).tolist()
    parts = rng.uniform(*LIMITS, len(SERVERS))
    names = [f"{SERVERS[one]}-{SERVERS[other]}" for one, other in pairs]
    fields = {
        **_servers([{"compute_hz": speed} for speed in speeds]),
        "links": [
            {"name": name, "ends": [SERVERS[end] for end in ends], "bits_per_s": rate, "delay_s": DELAY_S}
            for name, ends, rate in zip(names, pairs, rates, strict=True)
            if ends != (0, 1)
        ],
    }
    fields["episode"] = {"round_timeout_s": ENDLESS_S}
    fields["cloud"] |= {"link_bits_per_s": rates[0]}
    scenario = build("three-tier", fields)
    if limited:
        most = task_of(scenario, 1).need_bytes[0, -1] * parts
        settings = [{"compute_hz": s, "memory_bytes": m} for s, m in zip(speeds, most.tolist(), strict=True)]
        scenario = build(scenario, _servers(settings))
    return scenario


def _servers(settings: list[dict[str, float]]) -> dict[str, Any]:
    """Fields of a scenario: the edge server, the cloud, and rows of nodes like it."""
    server, cloud, *others = settings
    kappa = PRESET.server.cycles_per_flop
    rows = [
        {"name": name, "cycles_per_flop": kappa, "switched_capacitance": PRESET.cloud.switched_capacitance, **each}
        for name, each in zip(SERVERS[2:], others, strict=True)
    ]
    return {"server": server, "cloud": cloud, "nodes": rows}


def report(rows: pd.DataFrame) -> str:
    """Seconds of the exact placement, and what the others lose, with what it says."""
    sections = [
        "Forward and backward pass behind the cut, and whole rounds with them; micro-batches follow each other through "
        f"all stages. Median of {rows['seed'].nunique()} random meshes of {len(SERVERS)} servers; a mesh in which a "
        "rule has no placement counts as endless."
    ]
    for counted in COUNTED:
        for memory in MEMORY:
            own = rows[(rows["memory"] == memory) & (rows["counted"] == counted)]
            sections += [f"## Counted: {counted}; memory: {memory}", *_tables(own), _sentences(own)]
    return "\n\n".join(sections)


def _tables(own: pd.DataFrame) -> list[str]:
    exact = _medians(own, "exact")
    found = ["The exact placement, seconds:", markdown(_lines(exact, "{:.3f}"))]
    for rule in PLACEMENTS:
        if rule != "exact":
            found += [
                f"`{rule}`, seconds over those of the exact one in the same mesh, median of all meshes in which there "
                "is an exact one; in parentheses in how many of these the rule has a placement, if not in all:",
                markdown(_ratio_lines(own, rule)),
            ]
    return found


def _medians(own: pd.DataFrame, rule: str) -> pd.DataFrame:
    """Median seconds by hops and micro-batches."""
    return own[own["rule"] == rule].pivot_table(
        index="hops", columns="micro_batches", values="seconds", aggfunc="median"
    )


def _lines(table: pd.DataFrame, shown: str) -> list[dict[str, str]]:
    return [
        {
            "hops": str(hops),
            **{f"xi = {xi}": shown.format(each) if np.isfinite(each) else "-" for xi, each in row.items()},
        }
        for hops, row in table.iterrows()
    ]


def _ratio_lines(own: pd.DataFrame, rule: str) -> list[dict[str, str]]:
    seconds = own.pivot_table(
        index=["hops", "micro_batches", "seed"], columns="rule", values="seconds", aggfunc="first"
    )
    ratio = (seconds[rule] / seconds["exact"])[np.isfinite(seconds["exact"])]
    lines = []
    for hops, of_hops in ratio.groupby("hops"):
        cells = {}
        for xi, each in of_hops.groupby("micro_batches"):
            there = int(np.isfinite(each).sum())
            median = f"{each.median():.2f}" if np.isfinite(each.median()) else "-"
            cells[f"xi = {xi}"] = median + ("" if there == len(each) else f" ({there} of {len(each)})")
        lines.append({"hops": str(hops), **cells})
    return lines


def _sentences(own: pd.DataFrame) -> str:
    """What hops and micro-batches gain with the exact placement."""
    exact = _medians(own, "exact")
    least, most = exact.columns.min(), exact.columns.max()
    one = exact.index[np.isfinite(exact[least])].min()
    last = exact.index.max()
    enough = min(hops for hops in exact.index if exact.loc[hops, most] <= 1.02 * exact.loc[last, most])
    nodes = (
        own[(own["rule"] == "exact") & (own["hops"] == last) & (own["nodes"] > 0)]
        .groupby("micro_batches")["nodes"]
        .mean()
    )
    hops, batches = exact.loc[last] / exact.loc[one], exact.loc[last, most] / exact.loc[last, least]
    return (
        f"With the exact placement {last} hops take {hops[least]:.2f} of the time of {one} without micro-batches, and "
        f"{hops[most]:.2f} with {most} of them; more than {enough} hops gain less than 2 %. {most} micro-batches "
        f"instead of {least} cut the time at {last} hops to {batches:.2f}, on {nodes[most]:.1f} servers instead of "
        f"{nodes[least]:.1f} in the mean."
    )


def plot(counted: str, rows: pd.DataFrame, figure: Figure) -> None:
    """Median seconds over hops, a panel for each number of micro-batches, a row for each kind of memory."""
    rows = rows[rows["counted"] == counted]
    counts = sorted(rows["micro_batches"].unique())
    figure.set_size_inches(12.5, 5.8)
    panels = figure.subplots(len(MEMORY), len(counts), sharex=True, sharey="row", squeeze=False)
    for line, memory in zip(panels, MEMORY, strict=True):
        for axes, xi in zip(line, counts, strict=True):
            own = rows[(rows["memory"] == memory) & (rows["micro_batches"] == xi)]
            for rule, (colour, marker, style) in LOOKS.items():
                by_hops = own[own["rule"] == rule].groupby("hops")["seconds"]
                axes.plot(by_hops.median(), linestyle=style, marker=marker, markersize=4, color=colour, label=rule)
                if rule == "exact":
                    ends = by_hops.quantile([0.25, 0.75], interpolation="nearest").unstack().replace(np.inf, np.nan)
                    axes.fill_between(ends.index, ends[0.25], ends[0.75], color=colour, alpha=0.15, linewidth=0)
            axes.set(ylim=(0, None), xticks=HOPS)
            axes.grid(alpha=0.3)
            if memory == MEMORY[0]:
                axes.set_title(f"{xi} micro-batch{'es' if xi > 1 else ''}", fontsize=10)
        line[0].set_ylabel(f"memory {memory}\n{'round' if counted == 'round' else 'passes behind the cut'} (s)")
    for axes in panels[-1]:
        axes.set_xlabel("most servers of a path")
    figure.suptitle(_title(counted, rows))
    figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=3)


def _title(counted: str, rows: pd.DataFrame) -> str:
    exact = _medians(rows[rows["memory"] == MEMORY[0]], "exact")
    shorter = 100 * (1 - exact.iloc[-1, -1] / exact.iloc[0, -1])
    return (
        f"{counted.capitalize()}: with {exact.columns[-1]} micro-batches up to {exact.index[-1]} servers take "
        f"{shorter:.0f} % less than one (median of {rows['seed'].nunique()} meshes, band: quartiles)"
    )


EXPERIMENT = Experiment(
    title="How long do the passes behind the cut take over more hops and micro-batches?",
    cases=cases,
    measure=measure,
    report=report,
    plots={"multi_hop": partial(plot, COUNTED[0]), "rounds": partial(plot, COUNTED[1])},
    seeds=40,
    quick_seeds=3,
)
