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
REPORTS = ROOT / "experiments/results/calibrate"


def test_citation_is_complete_and_of_this_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["cff-version"] == "1.2.0"
    assert citation["type"] == "software"
    assert {"message", "title", "abstract", "keywords"} <= set(citation)
    assert citation["version"] == splitgym.__version__ == PROJECT["version"]
    assert citation["license"] == PROJECT["license"]
    assert citation["authors"] == PROJECT["authors"]


def test_changelog_names_this_version_and_the_kinds_of_changes():
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert splitgym.__version__ in text
    assert re.findall(r"^## \[(.*?)\]", text, re.MULTILINE)[0] == "Unreleased"
    allowed = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    assert set(re.findall(r"^### (.*)$", text, re.MULTILINE)) <= allowed


def held_out(calibration, target):
    """Accuracy, rounds and rank of the row of held-out runs in a report."""
    text = (REPORTS / f"{calibration}-epsl.md").read_text(encoding="utf-8")
    row = re.search(rf"### target {target}\n.*?^\| held out \|(.*?)$", text, re.MULTILINE | re.DOTALL)[1]
    _, accuracy, _, rounds, _, _, rank, _ = (cell.strip() for cell in row.split("|"))
    return round(float(accuracy), 2), rounds, rank


def worst(calibration, by, value):
    """Accuracy of a row of the report's last table."""
    text = (REPORTS / f"{calibration}-epsl.md").read_text(encoding="utf-8")
    return round(float(re.search(rf"^\| {by} \| {re.escape(value)} \| \d+ \| ([\d.]+) \|", text, re.MULTILINE)[1]), 2)


@pytest.mark.parametrize(
    ("calibration", "target", "said"),
    [
        ("iot", 0.8, "| `iot`, `iot-family` | {0} | {1} | {2} |"),
        ("bandwidth-limited", 0.65, "| `bandwidth-limited` | {0} | {1} | {2} |"),
        ("toy", 0.6, "| `toy` | {0} | {1} (target 0.6) | {2} |"),
        ("epsl", 0.75, "| `epsl`, `edge6g` | {0} | target not reached in the logs | {2} |"),
    ],
)
def test_manual_states_the_errors_of_the_reports(calibration, target, said):
    assert said.format(*held_out(calibration, target)) in inspect.getdoc(SplitLearningEnv)


def test_manual_states_where_the_reports_are_worst():
    manual = " ".join(inspect.getdoc(SplitLearningEnv).split())
    phi, few = worst("iot", "mean phi", "(0.9, 1.0]"), worst("iot", "mean share of clients", "(0.0, 0.3]")
    moves = worst("iot", "cut layer", "moves")
    assert (
        f"worst with phi near 1 ({phi} in `iot`), with less than a third of the clients ({few}, too optimistic) "
        f"and with cuts that move ({moves})"
    ) in manual
