"""Stale results: what makes numbers counts, nothing else does, and what cannot be known is said to be stale."""

import json
import subprocess
from pathlib import Path

import pytest

from agents.provenance import digest_of, sources
from experiments.__main__ import main
from experiments.running import history, stale
from experiments.running.code import GoneError, made_by

FILES = {
    "experiments/sums.py": '''
"""Sums."""
from experiments.running import Experiment
from experiments.shared import drawn, total
from splitgym.plots import line

PRESET = "small"

def cases(quick):
    return [{"scenario": PRESET, "rule": "greedy"}]

def measure(case, seed):
    """What is measured."""
    if seed < 0:
        raise ValueError(f"seed = {seed}")
    return [{"sum": total(seed)}]

def report(table):
    return line("words")

EXPERIMENT = Experiment(title="Sums", cases=cases, measure=measure, report=report, plots={"sums": drawn})
''',
    "experiments/shared.py": """
import splitgym.adding as adding
from splitgym.rules import RULES

def total(seed: int) -> int:
    return adding.Adder().plus(seed, RULES["greedy"])

def drawn(table, figure):
    figure.plot(table)
""",
    "agents/__init__.py": "",
    "agents/compare.py": "from .playing import play\n\ndef main():\n    return play()\n",
    "agents/playing.py": "from splitgym.rules import RULES\n\ndef play():\n    return RULES\n",
    "splitgym/__init__.py": "",
    "splitgym/adding.py": """
LIMIT = 5

class Adder:
    def plus(self, one, other):
        return min(one + _of(other), LIMIT)

def _of(rule):
    return len(rule)

def unused():
    return 1
""",
    "splitgym/plots.py": "def line(text):\n    return text\n",
    "splitgym/rules.py": 'RULES = {"greedy": "splitgym.greedy:Greedy", "rare": "splitgym.rare:Rare"}\n',
    "splitgym/greedy.py": "class Greedy:\n    steps = 3\n",
    "splitgym/rare.py": "class Rare:\n    steps = 4\n",
    "splitgym/scenario/presets/small.toml": "size = 1\n",
    "splitgym/scenario/presets/large.toml": "size = 2\n",
    "splitgym/scenario/presets/epsl.toml": "size = 3\n",
    "agents/trained/ppo/small.toml": "steps = 1\n",
    "agents/trained/ppo/iot-family.toml": "steps = 2\n",
}
TREE = {path: text.encode() for path, text in FILES.items()}


def digest(path: str = "", old: str = "", new: str = "", experiment: str = "sums") -> str:
    """Of the tree in which some text stands in the place of another."""
    tree = dict(TREE)
    if path:
        assert old in FILES[path]
        tree[path] = FILES[path].replace(old, new).encode()
    return made_by(tree, f"experiments.{experiment}", {"quick": False}).digest


@pytest.mark.parametrize(
    ("path", "old", "new"),
    [
        ("experiments/sums.py", "total(seed)", "total(seed + 1)"),
        ("experiments/sums.py", '"small"', '"large"'),
        ("experiments/shared.py", "plus(seed,", "plus(2 * seed,"),
        ("splitgym/adding.py", "LIMIT = 5", "LIMIT = 6"),
        ("splitgym/adding.py", "len(rule)", "2 * len(rule)"),
        ("splitgym/greedy.py", "3", "4"),
        ("splitgym/scenario/presets/small.toml", "1", "2"),
    ],
)
def test_what_makes_numbers_counts(path: str, old: str, new: str) -> None:
    assert digest(path, old, new) != digest()


@pytest.mark.parametrize(
    ("path", "old", "new"),
    [
        ("experiments/sums.py", "What is measured", "What has been measured"),
        ("experiments/sums.py", "def measure", "# A comment.\ndef measure"),
        ("experiments/sums.py", "seed = {seed}", "seed = {seed}, allowed: others"),
        ("experiments/sums.py", "words", "other words"),
        ("experiments/sums.py", 'title="Sums"', 'title="Totals"'),
        ("experiments/shared.py", "seed: int", "seed: float"),
        ("experiments/shared.py", "figure.plot(table)", "figure.plot(table, color='red')"),
        ("splitgym/adding.py", "return 1", "return 2"),
        ("splitgym/plots.py", "return text", "return 2 * text"),
        ("splitgym/rare.py", "4", "5"),
        ("splitgym/rules.py", ', "rare"', ', "new": "splitgym.new:New", "rare"'),
        ("splitgym/scenario/presets/large.toml", "2", "3"),
    ],
)
def test_what_makes_no_numbers_does_not(path: str, old: str, new: str) -> None:
    assert digest(path, old, new) == digest()


def test_settings_name_parts_and_data() -> None:
    usual = made_by(TREE, "experiments.sums", {})
    more = made_by(TREE, "experiments.sums", {"agents": ["rare:k=3"], "presets": ["large"]})
    others = ["splitgym/rare.py", "splitgym/rules.py", "splitgym/scenario/presets/large.toml"]
    assert more.differs_in(usual) == others


def test_an_experiment_that_is_gone_is_named() -> None:
    with pytest.raises(GoneError, match="no experiment 'products'"):
        digest(experiment="products")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The tree as a repository with one commit."""
    for path, content in TREE.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(content)
    monkeypatch.setattr(stale.provenance, "FOLDER", tmp_path / "experiments")
    for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "All"]):
        who = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
        subprocess.run(["git", "-C", str(tmp_path), *who, *command], check=True)
    return tmp_path


def save(project: Path, **facts: object) -> None:
    folder = project / "results" / "sums"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "sums.csv").write_text("sum\n1\n")
    saved = {"experiment": "sums", "command": "", "settings": {"quick": False}, "versions": {}, **facts}
    (folder / "provenance.json").write_text(json.dumps(saved))


def test_results_are_judged_by_their_digest_or_else_by_their_commit(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def said() -> str:
        assert main(["stale", str(project / "results")]) == 0
        return capsys.readouterr().out

    asked = ["git", "-C", str(project), "rev-parse", "HEAD"]
    commit = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
    save(project, code=digest())
    assert said() == "0 of 1 results are stale: other code or data has made them.\n"
    save(project, commit=commit)
    assert said().startswith("0 of 1")
    save(project, commit=f"{commit}-dirty")
    assert "not committed" in said()
    save(project, commit="0" * 12)
    assert "not known here" in said()
    save(project, code=digest(), commit=commit)
    changed = project / "splitgym" / "adding.py"
    changed.write_text(changed.read_text().replace("LIMIT = 5", "LIMIT = 6"))
    assert f"since {commit} changed: splitgym/adding.py\n1 of 1" in said()
    (project / "results" / "sums" / "provenance.json").unlink()
    assert "no provenance.json" in said()


def test_results_that_change_do_not_make_the_code_another(project: Path) -> None:
    asked = ["git", "-C", str(project), "rev-parse", "--short=12", "HEAD"]
    head = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
    assert history.commit() == head
    (project / "experiments" / "results").mkdir()
    (project / "experiments" / "results" / "sums.csv").write_text("sum\n1\n")
    assert history.commit() == head
    with (project / "splitgym" / "adding.py").open("a") as module:
        module.write("MORE = 1\n")
    assert history.commit() == f"{head}-dirty"


def test_relative_imports_are_followed() -> None:
    assert "agents/playing.py: play" in made_by(TREE, "agents.compare", {}).parts


def test_the_general_policy_counts_only_where_it_may_be_taken() -> None:
    def policies(**settings: object) -> list[str]:
        parts = made_by(TREE, "agents.compare", {"agents": ["ppo"], "framework": "epsl", **settings}).parts
        return sorted(Path(part).stem for part in parts if part.startswith("agents/trained"))

    assert policies(scenarios=["small"]) == ["small"]
    assert policies(scenarios=["small", "large"]) == ["iot-family", "small"]
    assert policies(scenarios=["small"], agents=["ppo:policy=iot-family"]) == ["iot-family", "small"]
    assert policies(scenarios=["large"], agents=["greedy"]) == []


def test_what_commands_left_is_judged_by_all_sources_or_by_those_of_a_commit(project: Path) -> None:
    def reasons() -> list[str]:
        return [result.reason for result in stale.results(project / "results", history.tree_of_project())]

    of_commit = [(path, TREE[path]) for root in ("splitgym", "agents") for path in _files(project, root)]
    place = project / "results" / "made"
    place.mkdir(parents=True)
    (place / "table.md").write_text("| 1 |\n")
    run = {"command": "splitgym compare --agents greedy", "settings": {"agents": ["greedy"]}, "versions": {}}
    (place / "run.json").write_text(json.dumps({**run, "versions": {"sources": sources()}}))
    assert reasons() == [""]
    (place / "run.json").write_text(json.dumps({**run, "versions": {"sources": "0" * 16}}))
    assert reasons() == ["made by other code"]
    (place / "run.json").write_text(json.dumps({**run, "versions": {"sources": digest_of(of_commit)}}))
    assert reasons() == [""]
    (project / "splitgym" / "rare.py").write_text("class Rare:\n    steps = 5\n")
    assert reasons() == [""]
    (project / "splitgym" / "greedy.py").write_text("class Greedy:\n    steps = 4\n")
    assert [reason.partition(" changed: ")[2] for reason in reasons()] == ["splitgym/greedy.py"]


def _files(project: Path, root: str) -> list[str]:
    found = sorted(path for path in (project / root).rglob("*") if path.is_file())
    return [path.relative_to(project).as_posix() for path in found]


def test_a_main_makes_all_that_it_reaches() -> None:
    timed = "from splitgym.rules import RULES\n\ndef main():\n    return RULES\n\nUNUSED = 1\n"
    found = made_by({**TREE, "experiments/timed.py": timed.encode()}, "experiments.timed", {}).parts
    assert {"experiments/timed.py: main", "splitgym/rules.py: RULES"} <= set(found)
    assert "experiments/timed.py: UNUSED" not in found
