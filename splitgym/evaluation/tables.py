"""Tables of a comparison: a row per episode, per round, per agent, and how they are written for readers."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from rich import box
from rich.table import Table
from rich.text import Text

from splitgym.evaluation.comparison import TIME
from splitgym.evaluation.episodes import Episode

HEADINGS = {
    TIME: "time to target (s)",
    "reached": "target reached",
    "saving": "time saved (%)",
    "improvement": "P(faster)",
    "headroom": "head-room closed (%)",
    "energy_to_target_j": "energy to target (J)",
    "round_latency_s": "round latency (s)",
    "final_accuracy": "accuracy at the budget",
    "difference_s": "saved in the same episode (s)",
    "ratio": "time ratio in the same episode",
    "share_faster": "faster in the same episode (%)",
}
"""How columns are headed, in their order."""

_FORMS = {
    TIME: (1, 1),
    "saving": (100, 0),
    "improvement": (1, 2),
    "headroom": (100, 0),
    "energy_to_target_j": (1, 1),
    "round_latency_s": (1, 2),
    "final_accuracy": (1, 3),
    "difference_s": (1, 1),
    "ratio": (1, 2),
    "share_faster": (100, 0),
}
"""Unit in which an estimate is written, and its digits."""


NAMES = frozenset({"scenario", "agent"})
"""Columns of what users have named."""
MARKUP = r"[\\`*\[\]<>|~$&]|\b_|_\b"
"""What Markdown would not show as it is: in the middle of a word an underscore is one."""


def episode_table(episodes: Sequence[Episode]) -> pd.DataFrame:
    """One row per episode, sorted by scenario, agent and seed."""
    rows = [
        {
            "scenario": e.scenario,
            "agent": e.agent,
            "seed": e.seed,
            TIME: e.time_to_target_s,
            "reached": e.reached,
            "final_accuracy": e.final_accuracy,
            "round_latency_s": float(e.round_latency_s.mean()),
            "energy_to_target_j": e.energy_to_target_j,
            "rounds": len(e.accuracy),
            "target_accuracy": e.target_accuracy,
            "time_budget_s": e.time_budget_s,
        }
        for e in episodes
    ]
    return pd.DataFrame(rows).sort_values(["scenario", "agent", "seed"], ignore_index=True)


def round_table(episodes: Sequence[Episode]) -> pd.DataFrame:
    """One row per round of every episode: what the plot is drawn from."""
    tables = [
        pd.DataFrame(
            {
                "scenario": e.scenario,
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


def readable(table: pd.DataFrame) -> pd.DataFrame:
    """A summary or a paired table as text: estimates with their intervals, the scenario only if there are several.

    `≥`, `≤` mark bounds: too many episodes of the agent, or of the baseline, missed the target; `?` if of both.
    """
    several = table["scenario"].nunique() > 1
    return pd.DataFrame([_readable_row(row, several) for _, row in table.iterrows()])


def markdown(table: pd.DataFrame) -> str:
    """A summary or a paired table, readable, in Markdown; names are shown as they are."""
    text = readable(table)
    rule = ["---" if name in NAMES else "---:" for name in text.columns]
    for name in NAMES & set(text.columns):
        text[name] = text[name].str.replace(MARKUP, r"\\\g<0>", regex=True)
    return "\n".join(f"| {' | '.join(line)} |" for line in [list(text.columns), rule, *text.to_numpy().tolist()])


def on_screen(text: pd.DataFrame, columns: int) -> Table:
    """A readable table for a terminal; columns keep their width, and those that do not fit are named below.

    Args:
        text: The table.
        columns: Characters in a line of the terminal.
    """
    widths = [max([*map(len, str(name).split()), *text[name].str.len()]) for name in text]
    # Between columns there are two spaces and a line of one; the names and two numbers are always shown.
    shown = max(int(np.sum(np.cumsum(widths) + 3 * np.arange(1, len(widths) + 1) <= columns)), 3)
    left = ", ".join(map(str, text.columns[shown:]))
    caption = Text(f"in table.md, too: {left}", justify="left") if left else None
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, caption=caption)
    for name, width in zip(text.columns[:shown], widths, strict=False):
        table.add_column(str(name), justify="left" if name in NAMES else "right", min_width=width)
    for row in text.iloc[:, :shown].itertuples(index=False):
        # A plain text would be read as markup.
        table.add_row(*map(Text, row))
    return table


def _readable_row(row: pd.Series, with_scenario: bool) -> dict[str, str]:
    """The cells of a row as text, by their headings."""
    cells = {"scenario": str(row["scenario"])} if with_scenario else {}
    cells["agent"] = str(row["agent"])
    for name, heading in HEADINGS.items():
        if name == "reached" and name in row:
            cells[heading] = f"{row['reached']} of {row['episodes']}"
        elif name in row:
            cells[heading] = _estimate(row, name)
    if "faster" in row:
        cells["faster, tied, slower"] = f"{row['faster']}, {row['tied']}, {row['slower']}"
    return cells


def _mark(row: pd.Series, name: str) -> str:
    """Whether the number is a bound, as episodes of the agent or of the baseline missed the target."""
    of_agent, of_baseline = {
        TIME: ("≥ ", ""),
        "saving": ("≤ ", "≥ "),
        "headroom": ("≤ ", "≥ "),
        "difference_s": ("≤ ", "≥ "),
        "ratio": ("≥ ", "≤ "),
    }.get(name, ("", ""))
    if of_baseline and row["agent"] == row["baseline"]:
        return ""
    if of_baseline and row["bound"] and row["baseline_bound"]:
        return "? "
    return of_agent if row["bound"] else of_baseline if row["baseline_bound"] else ""


def _estimate(row: pd.Series, name: str) -> str:
    """With its interval, which says nothing beside the value if it has no width."""
    unit, digits = _FORMS[name]
    value, low, high = (unit * row[column] for column in (name, f"{name}_low", f"{name}_high"))
    if np.isnan(value):
        return "-"
    interval = "" if np.isnan(low) or low == high else f" [{_number(low, digits)}, {_number(high, digits)}]"
    return f"{_mark(row, name)}{_number(value, digits)}{interval}"


def _number(value: float, digits: int) -> str:
    """Without a minus sign before zero."""
    return f"{round(value, digits) + 0.0:.{digits}f}"
