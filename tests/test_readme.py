import re
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


def test_links_of_the_readme_lead_to_files_and_sections() -> None:
    text = README.read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)\s]+)\)", text)
    sections = {
        "#" + re.sub(r"[^\w-]", "", title.lower().replace(" ", "-")) for title in re.findall(r"^#+ (.*)$", text, re.M)
    }
    inside = [link for link in links if not link.startswith("http")]
    assert len(inside) > 20
    assert [link for link in inside if link not in sections and not (ROOT / link.split("#")[0]).exists()] == []
