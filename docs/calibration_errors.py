"""How far the surrogate errs, read off the reports of its calibrations (experiments/results/calibrate)."""

from collections.abc import Iterator
from pathlib import Path

REPORTS = Path(__file__).parents[1] / "experiments/results/calibrate"


def reports() -> list[Path]:
    """Those of calibrations; what they cover beside is in reports of its own."""
    return sorted(path for path in REPORTS.glob("*/*.md") if not path.stem.endswith("-variants"))


def errors() -> str:
    """Markdown table: errors on held-out runs, by calibration and target."""
    head = (
        "| calibration | target | held-out runs | accuracy MAE | of a second real run | rounds to the target | "
        "agree on reaching | rank correlation |"
    )
    rows = [
        f"| `{report.stem.removesuffix('-epsl')}` | {title.removeprefix('target ')} "
        f"| {ours[0]} | {ours[1]} | {twin[1]} | {ours[3]} | {ours[5]} | {ours[6]} |"
        for report in reports()
        for title, table in tables(report)
        if title.startswith("target")
        for ours, twin in [(table["held out"], table["second twins for first"])]
    ]
    return "\n".join([head, "|---|" + "---:|" * 7, *rows])


def worst() -> str:
    """Markdown table: of each quantity the value at which the accuracy errs most, by calibration."""
    head = "| calibration | by | worst at | held-out runs | accuracy MAE | bias |"
    rows = []
    for report in reports():
        (where,) = (table for title, table in tables(report) if title.startswith("Where"))
        for by in dict.fromkeys(key.split("|")[0] for key in where):
            key = max((key for key in where if key.split("|")[0] == by), key=lambda key: float(where[key][1]))
            runs, error, bias = where[key]
            rows.append(
                f"| `{report.stem.removesuffix('-epsl')}` | {by} | {key.split('|')[1]} | {runs} | {error} | {bias} |"
            )
    return "\n".join([head, "|---|---|---|" + "---:|" * 3, *rows])


def tables(report: Path) -> Iterator[tuple[str, dict[str, list[str]]]]:
    """Heading and rows of each table: cells by what its first column says; of the last table by the first two."""
    for part in report.read_text(encoding="utf-8").split("\n### ")[1:]:
        title, *lines = part.splitlines()
        cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")][2:]
        keys = 2 if title.startswith("Where") else 1
        yield title, {"|".join(row[:keys]): row[keys:] for row in cells}
