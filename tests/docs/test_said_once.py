"""What is said in several places agrees: version, licence, errors of the surrogate."""

import inspect
import re
import tomllib

import pytest
import yaml
from code_blocks import ROOT

import splitgym
from splitgym.envs import SplitLearningEnv

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
MANUAL = " ".join(inspect.getdoc(SplitLearningEnv).split())
REPORTS = ROOT / "experiments/results/calibrate"
REACHED = ("iot", "bandwidth-limited", "toy")
"""Calibrations whose logs are long enough for the target."""


def test_citation_is_complete_and_of_this_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["cff-version"] == "1.2.0"
    assert citation["type"] == "software"
    assert {"message", "title", "abstract", "keywords"} <= set(citation)
    assert citation["version"] == splitgym.__version__ == PROJECT["version"]
    assert citation["license"] == PROJECT["license"]
    assert citation["authors"] == PROJECT["authors"]
    bibtex = (ROOT / "README.md").read_text(encoding="utf-8").split("```bibtex")[1]
    assert f"version = {{{citation['version']}}}" in bibtex
    assert f"title = {{{citation['title']}}}" in bibtex


def test_changelog_names_this_version_and_the_kinds_of_changes():
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert splitgym.__version__ in text
    assert re.findall(r"^## \[(.*?)\]", text, re.MULTILINE)[0] == "Unreleased"
    allowed = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    assert set(re.findall(r"^### (.*)$", text, re.MULTILINE)) <= allowed


def cells(calibration, row, target=None):
    """Cells of the first row that begins so (after the heading of the target), behind the number of runs."""
    text = (REPORTS / f"{calibration}-epsl" / f"{calibration}-epsl.md").read_text(encoding="utf-8")
    after = text.split(f"### target {target}\n")[1] if target else text
    line = next(line for line in after.splitlines() if line.startswith(row))
    return line.removeprefix(row).strip("| ").split(" | ")[1:]


def accuracy(calibration, row):
    """Mean absolute error of the accuracy in a row, as the manual writes it."""
    return f"{float(cells(calibration, row)[0]):.2f}"


@pytest.mark.parametrize(
    ("calibration", "target", "said"),
    [
        ("iot", 0.8, "| `iot`, `iot-family` | {} | {} | {} |"),
        ("bandwidth-limited", 0.65, "| `bandwidth-limited` | {} | {} | {} |"),
        ("toy", 0.6, "| `toy` | {} | {} (target 0.6) | {} |"),
        ("epsl", 0.75, "| `epsl`, `edge6g`, `three-tier`, `hospitals` | {0} | target not reached in the logs | {2} |"),
    ],
)
def test_manual_states_the_errors_of_the_reports(calibration, target, said):
    error, _, rounds, _, _, rank = cells(calibration, "| held out |", target)
    assert said.format(f"{float(error):.2f}", rounds, rank) in MANUAL


def test_manual_states_what_no_forecast_can_know():
    *others, epsl = (accuracy(each, "| second twins for first |") for each in (*REACHED, "epsl"))
    assert f"other initial weights is itself {min(others)} to {max(others)} off (`epsl`: {epsl})" in MANUAL


def test_manual_states_where_the_reports_are_worst():
    phi, phi_elsewhere = (accuracy(each, "| mean phi | (0.9, 1.0] |") for each in ("iot", "bandwidth-limited"))
    moves, moves_elsewhere = (accuracy(each, "| cut layer | moves |") for each in ("iot", "bandwidth-limited"))
    few = accuracy("iot", "| mean share of clients | (0.0, 0.3] |")
    assert moves == moves_elsewhere
    assert f"worst with phi near 1 ({phi} in `iot`, {phi_elsewhere} in `bandwidth-limited`), with less than" in MANUAL
    assert f"clients ({few} in `iot`, too optimistic) and with cuts that move ({moves})" in MANUAL


@pytest.mark.parametrize(
    ("page", "names"),
    [
        ("frameworks", splitgym.frameworks.names()),
        ("scenario", splitgym.scenario.presets()),
        ("schedulers", splitgym.agents.names()),
    ],
)
def test_page_names_all_that_there_are(page, names):
    text = (ROOT / f"docs/{page}.md").read_text(encoding="utf-8")
    assert [name for name in names if f"`{name}`" not in text] == []
