"""How far the surrogate errs, read off the reports of `calibrate.unseen` (experiments/results/calibrate/unseen)."""

from itertools import groupby
from pathlib import Path

REPORTS = sorted((Path(__file__).parents[1] / "experiments/results/calibrate/unseen").rglob("*.md"))


def errors() -> str:
    """Markdown table: errors on runs that nothing was fitted to, by calibration, target and kind of run."""
    return _joined("Errors")


def worst() -> str:
    """Markdown table: of each quantity the value at which the accuracy errs most, by calibration."""
    head, rule, *rows = _joined("Where").splitlines()
    largest = [
        max(own, key=lambda row: float(_cells(row)[4])) for _, own in groupby(rows, key=lambda row: _cells(row)[:2])
    ]
    return "\n".join([head.replace("| is |", "| worst at |"), rule, *largest])


def _joined(title: str) -> str:
    """The table below a heading, of all reports."""
    tables = [_table(report.read_text(encoding="utf-8"), title) for report in REPORTS]
    return "\n".join([*tables[0], *(row for table in tables[1:] for row in table[2:])])


def _table(text: str, title: str) -> list[str]:
    """The lines of the table below a heading, head and rule first."""
    section = text.partition(f"## {title}\n")[2].partition("\n## ")[0]
    return [line for line in section.splitlines() if line.startswith("|")]


def _cells(row: str) -> list[str]:
    return [cell.strip() for cell in row.strip("|").split("|")]
