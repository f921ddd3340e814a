"""The tutorial, followed by copy and paste in an empty folder."""

import json
import sys

import pytest
from code_blocks import ROOT, run

TUTORIAL = ROOT / "docs/tutorial"
PRINTED = {
    "first-environment": ("8 clients", "the round took", "uplink", "owner of each subchannel", "the policy would play"),
    "own-scheduler": ("| hungry |", "| greedy |", "| unified |"),
    "own-parts": ("thrift -", "uplink", "backup", "speed_rank[7]", "rewards of two environments"),
    "own-network": ("cut 3:", "accuracy"),
    "own-scenario": ("took part", "did you mean 'count'?", "kHz a subchannel"),
}
"""What pages print, among other things."""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Where the reader is, from where Python also imports."""
    known = set(sys.modules)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for name in set(sys.modules) - known:
        if str(getattr(sys.modules[name], "__file__", None)).startswith(str(tmp_path)):
            del sys.modules[name]


@pytest.mark.parametrize("page", PRINTED)
def test_page_runs_from_top_to_bottom(page, folder, capsys):
    run(TUTORIAL / f"{page}.md", folder, "python", "bash")
    printed = capsys.readouterr().out
    assert [words for words in PRINTED[page] if words not in printed] == []


def test_own_framework_sends_a_quarter_of_the_bits_up_and_learns(folder, capsys):
    run(TUTORIAL / "own-framework.md", folder, "python", "bash")
    lines = [line.split() for line in capsys.readouterr().out.splitlines() if line.startswith("psl")]
    (traffic, accuracy), (own_traffic, own_accuracy) = (
        (float(words[1]), float(words[words.index("accuracy") + 1].strip(","))) for words in lines
    )
    assert own_traffic / traffic == pytest.approx((1 + 4) / 8, rel=0.02)
    assert own_accuracy == pytest.approx(accuracy, abs=0.1)
    assert own_accuracy > 0.3


def test_own_data_set_is_learnt(folder, capsys):
    run(TUTORIAL / "own-data-set.md", folder, "python", "bash")
    printed = capsys.readouterr().out
    before, after = (float(line.split()[1]) for line in printed.splitlines() if line.startswith("accuracy"))
    assert before < 0.6
    assert after > before + 0.2
    assert "('row', 'column', 'both')" in printed


def test_tables_of_episodes_have_the_columns_that_their_page_names(folder, capsys):
    run(ROOT / "docs/episodes.md", folder, "python")
    printed = capsys.readouterr().out
    assert "stages.uplink" in printed
    assert "[40 rows x 8 columns]" in printed


@pytest.mark.parametrize("page", ["vector", "channel-traces"])
def test_code_of_a_page_runs(page, folder):
    run(ROOT / f"docs/{page}.md", folder, "python")


@pytest.mark.parametrize("notebook", sorted((ROOT / "examples/notebooks").glob("*.ipynb")), ids=lambda path: path.stem)
def test_notebook_runs_from_top_to_bottom(notebook, folder, capsys):
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    names: dict[str, object] = {}
    for cell in cells:
        if cell["cell_type"] == "code":
            exec(compile("".join(cell["source"]), str(notebook), "exec"), names)
            assert cell["outputs"] == []
    assert "greedy" in capsys.readouterr().out


def test_no_page_is_forgotten():
    assert {page.stem for page in TUTORIAL.glob("*.md")} == {*PRINTED, "own-framework", "own-data-set"}
