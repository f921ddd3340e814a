"""What a learned scheduler decides: who takes part, when phi and cut layer change, beside the rules that it beats.

    python -m experiments decisions

Whole episodes of `iot` with real training until the target. Clients are ranked in every round, by the seconds that each
would need by itself with an even share of the band, and by their last training loss, both as the scheduler believes.
"""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import gymnasium as gym
import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure

import agents
from experiments.running import Experiment
from experiments.tables import markdown
from splitgym.allocation.workload import own_seconds
from splitgym.evaluation import HELD_OUT
from splitgym.evaluation.look import looks
from splitgym.types import Decision, RoundState

SCENARIO = "iot"
AGENTS = ("greedy", "tuned:rule=fastest-k", "tuned:rule=unified", "ppo-equivariant")
STEPS_OF_PROGRESS = 5
"""Into how many parts the way to the target is cut."""


def cases(quick: bool) -> list[dict[str, Any]]:
    """The agents; in a quick run three rounds of each."""
    return [{"agent": agent, "rounds": 3 if quick else 400} for agent in AGENTS]


def measure(case: Mapping[str, Any], seed: int) -> list[dict[str, Any]]:
    """Plays an episode; a row for each round, with `fast_r` and `loss_r`: whether the client of rank r took part."""
    torch.set_num_threads(1)
    task = {"evaluation_samples": None, "evaluate_every": 1}
    env: Any = gym.make("splitgym:SplitLearning-v0", scenario=SCENARIO, action="priority", task=task).unwrapped
    agent = agents.factory(case["agent"])(env)
    env.action_space.seed(seed)
    env.reset(seed=HELD_OUT + seed)
    rows: list[dict[str, Any]] = []
    done = False
    while not done and len(rows) < case["rounds"]:
        state = env.state
        decision = agent.decide(state)
        _, _, terminated, truncated, info = env.play(decision)
        done = terminated or truncated
        rows.append(
            {
                "round": len(rows),
                "progress": min(float(state.accuracy) / env.scenario.episode.target_accuracy, 1.0),
                "latency_s": info["round_latency_s"],
                "clients": int(decision.selected.sum()),
                "cut_layer": decision.cut_layer,
                "phi": decision.aggregation_ratio,
                **_by_rank("fast", _own_seconds(state, decision), decision),
                **_by_rank("loss", -state.client_loss, decision),
            }
        )
    return rows


def _own_seconds(state: RoundState, decision: Decision) -> np.ndarray:
    clients = len(state.available)
    return own_seconds(state, decision.plan, clients)


def _by_rank(name: str, value: np.ndarray, decision: Decision) -> dict[str, int]:
    """Whether the client of the least value, the next one and so on were selected."""
    order = np.argsort(value, kind="stable")
    return {f"{name}_{rank + 1}": int(decision.selected[client]) for rank, client in enumerate(order)}


def report(rows: pd.DataFrame) -> str:
    """How often the client of each rank is in, and how a round changes on the way to the target."""
    sections = ["Share of the rounds in which a client takes part (%), by its rank; all episodes together."]
    for name, title in (("fast", "fewest seconds first"), ("loss", "highest loss first")):
        shares = _shares(rows, name)
        lines = [
            {title: agent, **{f"{rank}": f"{own[rank]:.0f}" for rank in shares}} for agent, own in shares.iterrows()
        ]
        sections.append(markdown(lines))
    sections.append("Means over the rounds that began with so much of the target accuracy:")
    lines = [
        "| agent | accuracy over target (%) | clients | round (s) | cut layer | phi |",
        "|---|---|---:|---:|---:|---:|",
    ]
    for (agent, part), own in rows.groupby(["agent", _parts(rows)], sort=False, observed=True):
        means = own[["clients", "latency_s", "cut_layer", "phi"]].mean()
        lines.append(f"| {agent} | {part} | {' | '.join(f'{mean:.2f}' for mean in means)} |")
    return "\n\n".join([*sections, "\n".join(lines)])


def plot(rows: pd.DataFrame, figure: Figure) -> None:
    """Who is in by rank, and how many as the accuracy grows."""
    figure.set_size_inches(11, 3.8)
    panels = figure.subplots(1, 3)
    styles = {agent: {"color": look.colour, "linestyle": look.style} for agent, look in looks(rows["agent"]).items()}
    xlabels = {"fast": "rank by own seconds (1: fastest)", "loss": "rank by loss (1: highest)"}
    for axes, (name, xlabel) in zip(panels, xlabels.items(), strict=False):
        shares = _shares(rows, name)
        for agent, own in shares.iterrows():
            axes.plot(range(1, len(own) + 1), own, marker="o", label=agent, **styles[agent])
        axes.set(xlabel=xlabel, ylabel="rounds with this client (%)", ylim=(0, 104))
    for agent, own in rows.groupby("agent", sort=False):
        clients = own.groupby(_parts(own), observed=True)["clients"].mean()
        panels[2].plot(range(len(clients)), clients, marker="o", **styles[agent])
        panels[2].set_xticks(range(len(clients)), clients.index)
    panels[2].set(xlabel="accuracy / target (%)", ylabel="clients in a round, mean", ylim=(0, None))
    for axes in panels:
        axes.grid(alpha=0.3)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=len(AGENTS))
    figure.suptitle(f"{SCENARIO}, real training: who takes part")


def _shares(rows: pd.DataFrame, name: str) -> pd.DataFrame:
    """Percentages, by agent (rows) and rank (columns)."""
    ranks = [column for column in rows if column.startswith(f"{name}_")]
    shares = 100 * rows.groupby("agent", sort=False)[ranks].mean()
    return shares.rename(columns={column: int(column.removeprefix(f"{name}_")) for column in ranks})


def _parts(rows: pd.DataFrame) -> pd.Series:
    """In which part of the way to the target a round began."""
    edges = np.linspace(0, 1, STEPS_OF_PROGRESS + 1)
    names = [f"{100 * low:.0f}-{100 * high:.0f}" for low, high in pairwise(edges)]
    return pd.cut(rows["progress"], edges, labels=names, include_lowest=True)


EXPERIMENT = Experiment(
    title="What a learned scheduler decides",
    cases=cases,
    measure=measure,
    report=report,
    plots={"decisions": plot},
    seeds=10,
    quick_seeds=1,
)
