from pathlib import Path

import pytest
from code_blocks import ROOT, run

README = ROOT / "README.md"


def test_code_of_the_readme_runs_in_its_order(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(README, tmp_path, "python")
    printed = capsys.readouterr().out
    assert printed.count("accuracy") == 3
    assert "uplink" in printed


def test_table_of_the_readme_is_the_one_that_was_saved() -> None:
    table = (ROOT / "experiments/results/train/table.md").read_text(encoding="utf-8")
    assert table in README.read_text(encoding="utf-8")
