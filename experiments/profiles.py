"""How wrong are FLOPs about the time of a round, and what does it cost to decide by them?

    python -m experiments profiles

VGG-19 on published measurements of devices (`device_layer_profiles.csv` in SPLITGYM_DATA), PSL with everybody, random
cells of the preset `boards`. A rule decides twice: on the FLOPs of each unit, at a speed for each device with which the
whole network takes as long as measured, and on the measured seconds; both rounds are then timed on the measured ones.
So FLOPs are wrong only about where in the network the time goes.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from experiments.cells import ENDLESS_S, random_states
from experiments.running import Case, Experiment, Row
from experiments.tables import estimate, markdown
from splitgym import data, models
from splitgym.allocation import descend, descend_cuts, paper_descend
from splitgym.envs.system import system_of
from splitgym.evaluation.look import COLOURS
from splitgym.frameworks import get
from splitgym.models import Profile
from splitgym.scenario import Scenario, build
from splitgym.scenario.devices import devices_of, read_profile
from splitgym.timing import round_cost
from splitgym.types import Decision, RoundState

D1, LAPTOP, VM, JETSON = (f"vgg19-cifar-{device}" for device in ("d1", "laptop", "VM", "jetson-gpu"))
"""d1: of the class of a Raspberry Pi."""
CLIENTS: Mapping[str, tuple[str, ...]] = {
    "boards (d1, laptop, Jetson)": (D1, LAPTOP, JETSON),
    "d1, laptop, VM": (D1, LAPTOP, VM),
    "laptops": (LAPTOP,),
    "d1": (D1,),
}
"""Devices of the six clients; the Jetson's backward passes are not those of the layers at which they stand."""
SUBCHANNELS_HZ = (1e6, 10e6, 100e6)
CELLS = 20
"""Of a seed."""
RULES: Mapping[str, Callable[[RoundState], Decision]] = {
    "descent": lambda state: descend(state, state.available, 0.0),
    "paper's descent": lambda state: paper_descend(state, state.available, 0.0),
    "own cuts": lambda state: descend_cuts(state, state.available, 0.0),
}
"""The last one decides a cut layer for each client."""


def cases(quick: bool) -> list[Case]:
    """Devices, and widths of the subchannels."""
    return [
        {"devices": devices, "subchannel_hz": hz, "cells": 2 if quick else CELLS}
        for devices in CLIENTS
        for hz in SUBCHANNELS_HZ
    ]


def measure(case: Case, seed: int) -> list[Row]:
    """A row for each cell and rule: cut layers and seconds of the round as decided on FLOPs and on measurements."""
    cells = range(seed * case["cells"], (seed + 1) * case["cells"])
    rows: list[Row] = []
    for plan in ("common", "by-client"):
        scenario = build(
            "boards",
            {
                "clients": {"profile": CLIENTS[case["devices"]]},
                "radio": {"subchannel_hz": case["subchannel_hz"]},
                "plan": {"cut_layer": plan},
                "episode": {"round_timeout_s": ENDLESS_S},
            },
        )
        counting = system_of(by_flops(scenario), get("psl"))
        for cell, state in zip(cells, random_states(scenario, get("psl"), cells), strict=True):
            believed = replace(state, system=counting)
            for rule, decide in RULES.items():
                if (rule == "own cuts") == (plan == "by-client"):
                    rows.append({"cell": cell, "rule": rule, **compared(decide, believed, state)})
    return rows


def by_flops(scenario: Scenario) -> Scenario:
    """The scenario that counts FLOPs, of which a device does as many a second as make its measured total."""
    clients, costs = scenario.clients, network()
    fastest = min(device.seconds for device in devices_of(clients).profiles)
    kappa = clients.compute_max_hz * fastest / float(costs.forward_flops.sum() + costs.backward_flops.sum())
    return build(scenario, {"clients": {"profile": (), "cycles_per_flop": kappa}})


def network() -> Profile:
    """What the preset's network costs."""
    task = build("boards").task
    return models.measure(task.model, *data.dimensions(task.dataset), task.stem).profile


def compared(decide: Callable[[RoundState], Decision], believed: RoundState, state: RoundState) -> Row:
    """A rule on FLOPs and on measurements, both timed on measurements, with what FLOPs made it expect."""
    on_flops, on_seconds = decide(believed), decide(state)
    return {
        "cut_flops": float(np.mean(on_flops.cut_layer)),
        "cut_measured": float(np.mean(on_seconds.cut_layer)),
        "expected_s": float(round_cost(believed, on_flops).latency_s),
        "flops_s": float(round_cost(state, on_flops).latency_s),
        "measured_s": float(round_cost(state, on_seconds).latency_s),
    }


def units() -> pd.DataFrame:
    """Milliseconds of each unit and device for a sample, forward and backward: as measured, and as FLOPs say."""
    costs = network()
    flops = costs.forward_flops + costs.backward_flops
    tables = []
    for name in (D1, LAPTOP, VM, JETSON):
        device = read_profile(name)
        seconds = device.forward_s + device.backward_s
        share = flops / flops.sum()
        tables.append(
            pd.DataFrame(
                {
                    "device": device.device,
                    "unit": np.arange(1, len(flops) + 1),
                    "measured_ms": 1e3 * seconds,
                    "flops_ms": 1e3 * share * device.seconds,
                }
            )
        )
    return pd.concat(tables, ignore_index=True)


def report(rows: pd.DataFrame) -> str:
    """Tables and findings."""
    rows = rows.assign(
        loss=100 * (rows["flops_s"] / rows["measured_s"] - 1), hope=100 * (rows["expected_s"] / rows["flops_s"] - 1)
    )
    keys = ["devices", "subchannel_hz", "rule"]
    # Cells of a seed are averaged first: seeds repeat the experiment.
    by_seed = rows.groupby([*keys, "seed"], sort=False).mean(numeric_only=True).reset_index()
    lines = [
        {
            "devices": devices,
            "subchannel (MHz)": f"{hz / 1e6:g}",
            "rule": rule,
            "cut on FLOPs": f"{own['cut_flops'].mean():.1f}",
            "cut on seconds": f"{own['cut_measured'].mean():.1f}",
            "round on FLOPs (s)": estimate(own["flops_s"], 2),
            "round on seconds (s)": estimate(own["measured_s"], 2),
            "longer (%)": estimate(own["loss"]),
            "expected on FLOPs, error (%)": estimate(own["hope"]),
        }
        for (devices, hz, rule), own in by_seed.groupby(keys, sort=False)
    ]
    descent = rows[rows["rule"] == "descent"]
    moved = 100 * (descent["cut_flops"] != descent["cut_measured"]).mean()
    worst = max(lines, key=lambda line: float(line["longer (%)"].split()[0]))
    findings = (
        f"**What it costs.** Of {len(descent)} rounds that the descent decides, FLOPs cut {moved:.0f} % elsewhere than "
        f"measurements do; on average rounds are {descent['loss'].mean():.1f} % longer, in the median "
        f"{descent['loss'].median():.1f} %, in a tenth of them {descent['loss'].quantile(0.9):.1f} % or more. Rounds "
        "may get shorter: rules are no optima, and a wrong belief now and then leads them to a better decision. The "
        f"worst row is {worst['devices']}, {worst['subchannel (MHz)']} MHz, {worst['rule']}: {worst['longer (%)']} %."
    )
    return "\n\n".join(
        [
            "PSL on `boards`, six clients, VGG-19, everybody in every round; mean ± half width of the 95 % interval "
            f"over {rows['seed'].nunique()} seeds of {rows.groupby('seed')['cell'].nunique().iloc[0]} cells. Both "
            "rounds are timed on the measured seconds; own cuts: their mean.",
            findings,
            markdown(lines),
            "**How wrong FLOPs are.** With the total of each device right, the part of its time that FLOPs see in the "
            "wrong units, and what they say of the seconds of the first units over what was measured.",
            markdown(_errors(units())),
        ]
    )


def _errors(table: pd.DataFrame) -> list[dict[str, str]]:
    """A row for each device."""
    lines = []
    for device, own in table.groupby("device", sort=False):
        measured, flops = own["measured_ms"].to_numpy(), own["flops_ms"].to_numpy()
        ratio = flops.cumsum() / measured.cumsum()
        lines.append(
            {
                "device": str(device),
                "ms for a sample": f"{measured.sum():.1f}",
                "in the wrong units (%)": f"{50 * np.abs(measured - flops).sum() / measured.sum():.0f}",
                **{f"first {cut}": f"{ratio[cut - 1]:.2f}" for cut in (1, 2, 3, 6, 11, 16, 21, 22)},
                "units without FLOPs (%)": f"{100 * measured[flops == 0].sum() / measured.sum():.1f}",
            }
        )
    return lines


def plot_units(rows: pd.DataFrame, figure: Figure) -> None:
    """Seconds of each unit, measured and as FLOPs say, a panel for each device."""
    table = units()
    devices = table["device"].unique()
    figure.set_size_inches(11, 6)
    panels = figure.subplots(2, (len(devices) + 1) // 2, sharex=True).flat
    for axes, device in zip(panels, devices, strict=False):
        own = table[table["device"] == device]
        axes.bar(own["unit"] - 0.2, own["measured_ms"], 0.4, color=COLOURS[0], label="measured")
        axes.bar(own["unit"] + 0.2, own["flops_ms"], 0.4, color=COLOURS[1], label="FLOPs, same total")
        axes.set(title=device, ylabel="ms for a sample")
        axes.grid(alpha=0.3, axis="y")
    for axes in figure.axes[-2:]:
        axes.set_xlabel("unit of VGG-19")
    figure.axes[0].legend()
    figure.suptitle("Where the time goes: forward and backward pass of each unit")


def plot_loss(rows: pd.DataFrame, figure: Figure) -> None:
    """How much longer rounds are that are decided on FLOPs: every cell, by devices and width of the subchannels."""
    figure.set_size_inches(11, 4.6)
    panels = figure.subplots(1, len(RULES), sharey=True)
    names = list(CLIENTS)
    for axes, rule in zip(panels, RULES, strict=True):
        for number, hz in enumerate(SUBCHANNELS_HZ):
            own = rows[(rows["rule"] == rule) & (rows["subchannel_hz"] == hz)]
            loss = [
                100 * (each["flops_s"] / each["measured_s"] - 1) for each in (own[own["devices"] == n] for n in names)
            ]
            look = {"color": COLOURS[number]}
            axes.boxplot(
                [values for values in loss if len(values)],
                positions=[place + 0.25 * (number - 1) for place, values in enumerate(loss) if len(values)],
                widths=0.2,
                whis=(5, 95),
                showfliers=False,
                medianprops=look,
                boxprops=look,
                whiskerprops=look,
                capprops=look,
            )
            axes.plot([], [], **look, label=f"{hz / 1e6:g} MHz")
        axes.set_xticks(range(len(names)), [name.split(" (")[0] for name in names], rotation=20)
        axes.set_title(rule)
        axes.grid(alpha=0.3, axis="y")
    panels[0].set_ylabel("round decided on FLOPs: longer by (%)")
    panels[0].legend(title="subchannel")
    figure.suptitle("What it costs to decide on FLOPs: quartiles, whiskers 5 to 95 % of the cells")


EXPERIMENT = Experiment(
    title="How wrong are FLOPs about the time of a round, and what does it cost to decide by them?",
    cases=cases,
    measure=measure,
    report=report,
    plots={"units": plot_units, "loss": plot_loss},
    seeds=5,
)
