"""How far measured times of rounds on real processes are from the simulator's, with bytes and weights checked.

    python -m experiments execution

A process for each client and one for the server play 20 rounds of `iot` and of `bandwidth-limited` with decisions of
the greedy rule. Bits are paced by token buckets, computation is padded to its cycles. Published for another model
against a testbed (arXiv:2505.04368): 3.14 and 3.86 %.
"""

import os
from collections.abc import Mapping

import gymnasium as gym
import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure

from experiments.running import Case, Experiment, Row
from experiments.tables import markdown
from splitgym import schedulers
from splitgym.evaluation import HELD_OUT
from splitgym.execution.figure import draw
from splitgym.execution.gathering import clients, parties, welcome
from splitgym.execution.run import Execution, simulated
from splitgym.execution.timeline import FIELDS, MEASURABLE_S, ROUND, Span

SCALES: Mapping[str, float] = {"iot": 1.5, "bandwidth-limited": 60.0}
"""Scenarios, with real seconds for a simulated one: a round takes a few real seconds."""
ROUNDS, QUICK_ROUNDS = 20, 2


def cases(quick: bool) -> list[Case]:
    """The scenarios."""
    rounds = QUICK_ROUNDS if quick else ROUNDS
    return [{"scenario": name, "framework": "epsl", "rounds": rounds, "scale": s} for name, s in SCALES.items()]


def measure(case: Case, seed: int) -> list[Row]:
    """A row for each phase of each client, and for each round."""
    torch.set_num_threads(1)
    env = gym.make(
        "splitgym:SplitLearning-v0", scenario=case["scenario"], framework=case["framework"], action="schedule"
    ).unwrapped
    rule = schedulers.make("greedy", env)
    env.reset(seed=HELD_OUT + seed)
    learner, rows = simulated(env), list[Row]()
    count = len(parties(learner.scenario, learner.framework.name))
    with clients(count, None, None, print) as links:
        told = learner.scenario, learner.framework.name, learner.seed
        execution = Execution(env, rule.decide, *welcome(links, *told, print), case["scale"])
        try:
            for _ in range(case["rounds"]):
                played = execution.play()
                equal = {"weights_equal": int(played.weights_equal), "bytes_equal": int(played.bytes_equal)}
                said = {"load": os.getloadavg()[0], **equal}
                rows += [{name: getattr(span, name) for name in FIELDS} | said for span in played.spans]
        finally:
            execution.end()
    return rows


def report(rows: pd.DataFrame) -> str:
    """Errors by scenario and phase."""
    own = _with_errors(rows)
    lines = [
        _line(scenario, stage, some)
        for scenario, of_scenario in own.groupby("scenario", sort=False)
        for stage, some in _parts(of_scenario)
    ]
    rounds = own[own["stage"] == ROUND]
    equal = f"{rounds['weights_equal'].mean():.0%} of rounds, bytes those that are charged in "
    load = f"{rounds['load'].min():.1f} to {rounds['load'].max():.1f} on {os.cpu_count()} cores"
    return "\n\n".join(
        [
            "Errors of how long phases and rounds last: measured against simulated. Phases that last less than "
            f"{1e3 * MEASURABLE_S:.0f} ms in reality are in the rows of their own and in no sum: a process is woken "
            f"some milliseconds late. Load of the machine: {load}. Weights are the simulator's to the bit in {equal}"
            f"{rounds['bytes_equal'].mean():.0%}.",
            markdown(lines),
        ]
    )


def plot(rows: pd.DataFrame, figure: Figure) -> None:
    """Measured against simulated, a panel for each scenario."""
    figure.set_size_inches(11, 5)
    groups = list(rows.groupby("scenario", sort=False))
    for axes, (scenario, own) in zip(np.ravel(figure.subplots(1, len(groups))), groups, strict=True):
        spans = [Span(**values) for values in own[list(FIELDS)].to_dict("records")]
        draw(axes, spans)
        axes.set_title(scenario)


def _with_errors(rows: pd.DataFrame) -> pd.DataFrame:
    """Complete rounds, with errors and real seconds."""
    own = rows[rows["complete"].astype(bool)]
    simulated_s = own["simulated_stop_s"] - own["simulated_start_s"]
    measured_s = own["measured_stop_s"] - own["measured_start_s"]
    return own.assign(
        simulated_s=simulated_s, real_s=own["scale"] * simulated_s, error=(measured_s - simulated_s).abs() / simulated_s
    )


def _parts(own: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """Phases one by one, all that can be measured, and rounds."""
    phases, rounds = own[own["stage"] != ROUND], own[own["stage"] == ROUND]
    measurable = phases[phases["real_s"] >= MEASURABLE_S]
    return [*phases.groupby("stage", sort=False), ("all of 50 ms or more", measurable), (ROUND, rounds)]


def _line(scenario: str, stage: str, some: pd.DataFrame) -> Row:
    return {
        "scenario": scenario,
        "phase": stage,
        "count": len(some),
        "simulated (s)": f"{some['simulated_s'].median():.4f}",
        "real (s)": f"{some['real_s'].median():.3f}",
        "median error (%)": f"{100 * some['error'].median():.2f}",
        "95 % of errors below (%)": f"{100 * some['error'].quantile(0.95):.1f}",
        "largest error (%)": f"{100 * some['error'].max():.1f}",
    }


EXPERIMENT = Experiment(
    title="Are rounds on real processes as long, as large and as taught as simulated ones?",
    cases=cases,
    measure=measure,
    report=report,
    plots={"execution": plot},
    seeds=1,
)
