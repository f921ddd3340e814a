"""How far measured times of rounds on real processes are from the simulator's, with bytes and weights checked.

    python -m experiments execution

A process for each client, one for the server, and one for the cloud if there is one, play 20 rounds of `iot` and of
`bandwidth-limited` with decisions of the greedy rule; `iot` also with a band that is shared on demand, and in three
tiers. Bits are paced by token buckets, computation is padded to its cycles. Published for another model against a
testbed (arXiv:2505.04368): 3.14 and 3.86 %.
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

PLAYED: Mapping[str, Case] = {
    "iot": {"scenario": "iot", "framework": "epsl", "sharing": "static", "scale": 1.5},
    "bandwidth-limited": {"scenario": "bandwidth-limited", "framework": "epsl", "sharing": "static", "scale": 60.0},
    "iot, on demand": {"scenario": "iot", "framework": "epsl", "sharing": "on-demand", "scale": 3.0},
    "iot, three tiers": {"scenario": "iot", "framework": "hierarchical", "sharing": "static", "scale": 1.5},
}
"""What is played, with real seconds for a simulated one: a round takes a few real seconds."""
CLOUD = {"cut_layer": 2, "compute_hz": 1e9, "cycles_per_flop": 1.0, "link_bits_per_s": 2e6}
"""Behind the edge server of `iot`, as far away as its clients: its phases last long enough to be measured."""
ROUNDS, QUICK_ROUNDS = 20, 2


def cases(quick: bool) -> list[Case]:
    """What is played."""
    rounds = QUICK_ROUNDS if quick else ROUNDS
    return [{"played": name, **case, "rounds": rounds} for name, case in PLAYED.items()]


def measure(case: Case, seed: int) -> list[Row]:
    """A row for each phase of each client, and for each round."""
    torch.set_num_threads(1)
    env = gym.make(
        "splitgym:SplitLearning-v0",
        scenario=case["scenario"],
        framework=case["framework"],
        action="schedule",
        radio={"sharing": case["sharing"]},
        cloud=CLOUD,
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
    """Errors by what is played and phase."""
    own = _with_errors(rows)
    lines = [
        _line(played, stage, some)
        for played, of_case in own.groupby("played", sort=False)
        for stage, some in _parts(of_case)
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
    """Measured against simulated, a panel for each case."""
    groups = list(rows.groupby("played", sort=False))
    columns = min(len(groups), 2)
    lines = -(-len(groups) // columns)
    figure.set_size_inches(5.5 * columns, 5 * lines)
    for axes, (played, own) in zip(np.ravel(figure.subplots(lines, columns)), groups, strict=True):
        spans = [Span(**values) for values in own[list(FIELDS)].to_dict("records")]
        draw(axes, spans, float(own["scale"].iloc[0]))
        axes.set_title(played)


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


def _line(played: str, stage: str, some: pd.DataFrame) -> Row:
    return {
        "played": played,
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
