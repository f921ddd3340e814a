"""The table of a comparison: means with 95 % intervals."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy import stats

from splitgym.evaluation.episodes import Episode

MEASURES = {
    "time_to_target_s": "time to target (s)",
    "reached": "target reached",
    "final_accuracy": "accuracy at the budget",
    "round_latency_s": "round latency (s)",
    "energy_to_target_j": "energy to target (J)",
}
"""Columns of the tables, and how they are headed."""


def episode_table(episodes: Sequence[Episode]) -> pd.DataFrame:
    """One row per episode, sorted by agent and seed."""
    rows = [
        {
            "agent": e.agent,
            "seed": e.seed,
            "time_to_target_s": e.time_to_target_s,
            "reached": e.reached,
            "final_accuracy": e.final_accuracy,
            "round_latency_s": float(e.round_latency_s.mean()),
            "energy_to_target_j": e.energy_to_target_j,
            "rounds": len(e.accuracy),
        }
        for e in episodes
    ]
    return pd.DataFrame(rows).sort_values(["agent", "seed"], ignore_index=True)


def round_table(episodes: Sequence[Episode]) -> pd.DataFrame:
    """One row per round of every episode: what the plot is drawn from."""
    tables = [
        pd.DataFrame(
            {
                "agent": e.agent,
                "seed": e.seed,
                "round": np.arange(1, len(e.accuracy) + 1),
                "elapsed_s": e.elapsed_s,
                "accuracy": e.accuracy,
                "round_latency_s": e.round_latency_s,
                "energy_j": e.energy_j,
            }
        )
        for e in episodes
    ]
    return pd.concat(tables, ignore_index=True)


def summary_table(episodes: Sequence[Episode]) -> pd.DataFrame:
    """One row per agent, fastest first: mean and half width of the 95 % interval (Student's t) of every measure.

    An episode that missed the target counts with the whole time budget, so its agent's mean time is a lower bound.
    """
    table = episode_table(episodes)
    rows = []
    for agent, group in table.groupby("agent", sort=False):
        row: dict[str, object] = {"agent": agent, "episodes": len(group)}
        for measure in MEASURES:
            values = group[measure].to_numpy(np.float64)
            row[measure] = values.mean()
            row[f"{measure}_ci95"] = _half_width(values)
        rows.append(row)
    return pd.DataFrame(rows).sort_values("time_to_target_s", kind="stable", ignore_index=True)


def readable(summary: pd.DataFrame) -> pd.DataFrame:
    """The summary as text, mean ± half width; `≥` marks a mean time in which some episode missed the target."""
    rows = []
    for _, row in summary.iterrows():
        episodes, reached = int(row["episodes"]), round(row["reached"] * row["episodes"])
        rows.append(
            {
                "agent": str(row["agent"]),
                MEASURES["time_to_target_s"]: ("" if reached == episodes else "≥ ") + _cell(row, "time_to_target_s", 1),
                MEASURES["reached"]: f"{reached} of {episodes}",
                MEASURES["final_accuracy"]: _cell(row, "final_accuracy", 3),
                MEASURES["round_latency_s"]: _cell(row, "round_latency_s", 2),
                MEASURES["energy_to_target_j"]: _cell(row, "energy_to_target_j", 1),
            }
        )
    return pd.DataFrame(rows)


def markdown(summary: pd.DataFrame) -> str:
    """The readable summary as a Markdown table."""
    table = readable(summary)
    rule = ["---"] + ["---:"] * (len(table.columns) - 1)
    return "\n".join(f"| {' | '.join(line)} |" for line in [list(table.columns), rule, *table.to_numpy().tolist()])


def _cell(row: pd.Series, measure: str, digits: int) -> str:
    half_width = row[f"{measure}_ci95"]
    return f"{row[measure]:.{digits}f}" + ("" if np.isnan(half_width) else f" ± {half_width:.{digits}f}")


def _half_width(values: np.ndarray) -> float:
    """Half width of the 95 % interval of the mean; not a number for a single value."""
    if len(values) < 2:
        return float("nan")
    return float(stats.t.ppf(0.975, len(values) - 1) * stats.sem(values))
