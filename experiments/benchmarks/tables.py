"""From measured rounds to tables."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from experiments.benchmarks.flops import flop_ratio
from experiments.benchmarks.subjects import COPIES, LOOP, PLAIN, Setting, Subject
from splitgym.outputs import write_text

KEYS = ("model", "pixels", "clients", "batch", "cut")
COLUMNS: Mapping[str, tuple[str, str]] = {
    "framework": ("framework", ""),
    "seconds": ("CPU s, median", ".4g"),
    "seconds_min": ("min", ".4g"),
    "rows_per_s": ("rows/s", ".0f"),
    "over_plain": ("/ plain (a)", ".2f"),
    "over_centralised": ("/ centralised", ".2f"),
    "times_loop": ("x loop (b)", ".2f"),
    "times_copies": ("x copies (c)", ".2f"),
    "peak_mib": ("peak MiB", ".0f"),
    "over_phi_0": ("/ phi = 0", ".3f"),
    "flop_bound": ("FLOP bound", ".3f"),
    "over_bound": ("/ bound", ".2f"),
}
"""Heading and number format of each column."""
LEGEND = (
    "CPU seconds of a round (median and smallest); rows of all clients per CPU second; time relative to the plain "
    "centralised program (a) and to the framework `centralised`; how many times faster than the plain loop (b) and the "
    "deep-copy loop (c); peak of the process above what it had once its libraries were loaded, data set included. For "
    "EPSL: time relative to phi = 0, what the FLOPs of the round allow, and how far above that the measured ratio is."
)


def key_of(setting: Setting) -> dict[str, object]:
    """The columns that say which setting a row is of."""
    return {name: getattr(setting, name) for name in KEYS}


def summary(rounds: pd.DataFrame, settings: Sequence[Setting]) -> pd.DataFrame:
    """One row for each subject of each setting.

    Args:
        rounds: A row for each measured round: KEYS, label, seconds, peak_mib.
        settings: Those that may be in it.
    """
    groups = rounds.groupby([*KEYS, "label"], sort=False)
    table = groups.agg(
        seconds=("seconds", "median"),
        seconds_min=("seconds", "min"),
        peak_mib=("peak_mib", "max"),
        n=("seconds", "size"),
    ).reset_index()
    table = table.rename(columns={"label": "framework", "n": "measured_rounds"})
    table["rows_per_s"] = table["clients"] * table["batch"] / table["seconds"]
    table["over_plain"] = table["seconds"] / _of(table, PLAIN)
    table["over_centralised"] = table["seconds"] / _of(table, "centralised")
    table["times_loop"] = _of(table, LOOP) / table["seconds"]
    table["times_copies"] = _of(table, COPIES) / table["seconds"]
    bounds = _flop_bounds(settings)
    table["flop_bound"] = [bounds.get((*row[:5], row[5]), float("nan")) for row in table[[*KEYS, "framework"]].values]
    aggregates = table["flop_bound"].notna()
    table["over_phi_0"] = (table["seconds"] / _of(table, Subject("epsl", 0.0).label)).where(aggregates)
    table["over_bound"] = table["over_phi_0"] / table["flop_bound"]
    return table


def markdown(table: pd.DataFrame) -> str:
    """A Markdown table for each setting."""
    parts = []
    for key, own in table.groupby(list(KEYS), sort=False):
        model, pixels, clients, batch, cut = key
        columns = [name for name in COLUMNS if own[name].notna().any()]
        lines = [
            f"### {model}, {pixels} px, {clients} x {batch}, cut {cut}",
            "",
            "| " + " | ".join(COLUMNS[name][0] for name in columns) + " |",
            "|---|" + "---:|" * (len(columns) - 1),
        ]
        for row in own.to_dict("records"):
            cells = ["" if pd.isna(row[name]) else format(row[name], COLUMNS[name][1]) for name in columns]
            lines.append("| " + " | ".join(cells) + " |")
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def save(folder: Path, table: pd.DataFrame, text: str) -> None:
    """Writes rounds.csv and rounds.md."""
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / "rounds.csv", table.to_csv(index=False))
    write_text(folder / "rounds.md", text)


def _of(table: pd.DataFrame, label: str) -> pd.Series:
    """For each row, the seconds of that subject in the same setting; NaN where it was not measured."""
    seconds = table["seconds"].where(table["framework"] == label)
    return seconds.groupby([table[name] for name in KEYS]).transform("max")


def _flop_bounds(settings: Sequence[Setting]) -> dict[tuple[object, ...], float]:
    """By KEYS and label; of EPSL, and of EPSL-PT, which is measured in its phase with phi = 1."""
    bounds = {}
    for setting in settings:
        profile = None
        for subject in setting.subjects:
            if subject.name in ("epsl", "epsl-pt") and subject.precision == "fp32":
                profile = profile or setting.profile()
                phi = 1.0 if subject.phi is None else subject.phi
                ratio = flop_ratio(profile, setting.cut, setting.clients, setting.batch, phi)
                bounds[*key_of(setting).values(), subject.label] = ratio
    return bounds
