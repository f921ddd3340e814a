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
UNSEEN = ROOT / "experiments/results/calibrate/unseen"


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


def cells(name, table, *begins):
    """Cells of the row of a calibration whose next cells are these, in a table of the report, behind them."""
    report = UNSEEN / "epsl/unseen.md" if name == "epsl" else UNSEEN / "unseen.md"
    rows = report.read_text(encoding="utf-8").partition(f"## {table}\n")[2].partition("\n## ")[0].splitlines()
    beginning = " | ".join([f"| `{name}`", *begins, ""])
    (row,) = (row for row in rows if row.startswith(beginning))
    return row.removeprefix(beginning).strip(" |").split(" | ")


@pytest.mark.parametrize(
    ("calibration", "target", "runs", "said"),
    [
        ("iot", 0.8, 84, "| `iot`, `iot-family` | {} | {} | {} | {} |"),
        ("iot-async-psl", 0.8, 24, '| `iot`, `stragglers` with `"async-psl"` | {} | {} | {} | {} |'),
        ("iot-wide", 0.8, 84, "| `iot-wide`, 5 to 120 clients | {} | {} | {} | {} |"),
        ("bandwidth-limited", 0.65, 84, "| `bandwidth-limited` | {} | {} | {} | {} |"),
        ("toy", 0.6, 84, "| `toy` | {} | {} | {} (target 0.6) | {} |"),
        (
            "epsl",
            0.75,
            28,
            "| `epsl`, `edge6g`, `three-tier`, `hospitals` | {0} | {1} | not reached | {3} |",
        ),
    ],
)
def test_manual_states_the_errors_of_the_report(calibration, target, runs, said):
    error, second, _, rounds, _, _, rank, _ = cells(calibration, "Errors", f"{target:g}", f"{runs}, all")
    assert said.format(f"{float(error):.2f}", f"{float(second):.2f}", rounds, rank) in MANUAL


def test_manual_states_where_the_report_is_worst():
    def both(by, kind):
        """Error of that kind of run in `iot` and in `bandwidth-limited`."""
        return tuple(f"{float(cells(name, 'Where', by, kind)[1]):.2f}" for name in ("iot", "bandwidth-limited"))

    assert both("mean phi", "(0.6, 0.9]") == ("0.10", "0.10")
    assert "It is worst with phi above 0.6 (0.10 in `iot` and in `bandwidth-limited`), with less than" in MANUAL
    few, moves = both("mean share of clients", "(-1.0, 0.3]"), both("cut layer", "moves")
    assert f"clients ({few[0]} and {few[1]}) and with cuts that move ({moves[0]} and {moves[1]})" in MANUAL


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
