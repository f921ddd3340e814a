"""The report of a comparison: one HTML file that needs nothing else."""

from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path

import pandas as pd

from splitgym.evaluation.comparison import ALL, TIME, Comparison
from splitgym.evaluation.html import embedded, render
from splitgym.evaluation.oracle import ORACLE
from splitgym.evaluation.statistics import RESAMPLES
from splitgym.evaluation.tables import readable
from splitgym.outputs import write_text


def write_report(
    path: Path,
    title: str,
    facts: Mapping[str, str],
    comparison: Comparison,
    summary: pd.DataFrame,
    paired: pd.DataFrame,
    images: Sequence[tuple[Path, str]],
) -> None:
    """Writes tables, plots and how they were made to one HTML file.

    Args:
        path: Of the file.
        title: Of the page.
        facts: How the comparison was made, by name: command, settings, versions.
        comparison: Of the agents.
        summary: Its summary.
        paired: Its paired table.
        images: PNG files, and what each of them shows.
    """
    template = files("splitgym.evaluation").joinpath("report.html.jinja").read_text(encoding="utf-8")
    page = render(
        template,
        title=title,
        findings=findings(comparison, summary),
        notes=notes(comparison),
        facts=facts,
        summary=readable(summary),
        paired=readable(paired),
        baseline=comparison.baseline,
        images=[(embedded(image), text) for image, text in images],
    )
    write_text(path, page)


def findings(comparison: Comparison, summary: pd.DataFrame) -> list[str]:
    """For each scenario, and for all of them if several: who is fastest, and whether that may be chance."""
    return [_finding(comparison.baseline, name, rows) for name, rows in summary.groupby("scenario", sort=False)]


def _finding(baseline: str, scenario: str, rows: pd.DataFrame) -> str:
    """One sentence: which agent is fastest, by how much, and whether that may be chance."""
    where = "Over all scenarios" if scenario == ALL else f"In {scenario}"
    # Nobody can be the oracle.
    best = rows[rows["agent"] != ORACLE].iloc[0]
    if best["agent"] == baseline:
        return f"{where} nobody is faster than {baseline}."
    needs = f", {best[TIME]:.1f} s to the target" if scenario != ALL else ""
    low, high = 100 * best["saving_low"], 100 * best["saving_high"]
    chance = "" if low > 0 else "; it may be chance, as the interval holds zero or there is none"
    caution = "" if len(rows) < 3 else f" The best of {len(rows)} is flattered; other seeds would confirm it."
    return (
        f"{where} {best['agent']} is fastest{needs}: {100 * best['saving']:.0f} % less than {baseline} "
        f"(95 % interval {low:.0f} to {high:.0f} %){chance}.{caution}"
    )


def _oracle(comparison: Comparison) -> str:
    """What the oracle is, where it is the reference."""
    if comparison.reference != ORACLE:
        return ""
    return " The oracle is in each episode the best of rules and look-aheads, which try rules on a copy of the world."


def notes(comparison: Comparison) -> list[str]:
    """How the numbers of the tables are to be read."""
    lines = []
    for scenario in comparison.scenarios:
        own = comparison.episodes[comparison.episodes["scenario"] == scenario]
        lines.append(
            f"{scenario}: {own['seed'].nunique()} held-out seeds, the same for every agent; target "
            f"{100 * own['target_accuracy'].iloc[0]:g} % test accuracy, time budget {own['time_budget_s'].iloc[0]:g} s."
        )
    lines.append(
        "Numbers are interquartile means (mean of the middle half of the episodes) with 95 % intervals in brackets, "
        f"from {RESAMPLES:,} bootstrap resamples of the seeds within each scenario. Of three episodes such an interval "
        "holds the truth in 75 of 100 cases, of five in 91, of twenty in 95."
    )
    lines.append(
        "Times are simulated. An episode that misses the target counts with the whole time budget; ≥ and ≤ mark "
        "numbers that this makes bounds, because more than the slowest quarter missed it (? if the baseline's too)."
    )
    lines.append(
        f"Time saved: 1 - IQM / IQM of {comparison.baseline}, on the same resampled seeds. P(faster): probability that "
        f"an episode takes less time than one of {comparison.baseline}, over all pairs, ties half."
    )
    if len(comparison.scenarios) > 1:
        lines.append(
            f"All scenarios: times in units of the interquartile mean of {comparison.baseline} in the scenario, pooled."
        )
    if comparison.reference is not None:
        lines.append(f"Head-room closed: time saved over what {comparison.reference} saves.{_oracle(comparison)}")
    return lines
