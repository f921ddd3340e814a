import re
from pathlib import Path

import pytest
from code_blocks import ROOT, run

README = ROOT / "README.md"
TEXT = README.read_text(encoding="utf-8")
RESULTS = re.findall(r"\]\((experiments/results/[^)]+\.md)\)", TEXT)
"""Saved results that the README links."""
NUMBERS = sorted(set(re.findall(r"-?\d+\.\d+ (?:± \d+\.\d+|\[[^]]*\d\])", TEXT)))
"""Those with an interval."""


def test_code_of_the_readme_runs_in_its_order(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(README, tmp_path, "python")
    printed = capsys.readouterr().out
    before, after = (float(accuracy) for accuracy in re.findall(r"accuracy (\S+)", printed))
    assert before < 0.3
    assert after >= 0.8
    assert "mean return" in printed


def test_readme_can_be_read_in_ten_minutes() -> None:
    assert len(TEXT.splitlines()) <= 150


@pytest.mark.parametrize("number", NUMBERS)
def test_numbers_with_intervals_are_those_of_the_results_that_are_linked(number: str) -> None:
    beside = [each.read_text(encoding="utf-8") for link in RESULTS for each in (ROOT / link).parent.glob("*.md")]
    assert any(number in text for text in beside)


def test_results_have_numbers_with_intervals() -> None:
    assert len(NUMBERS) >= 10


def test_links_of_the_readme_lead_to_files_and_sections() -> None:
    links = re.findall(r"\]\(([^)\s]+)\)", TEXT)
    sections = {
        "#" + re.sub(r"[^\w-]", "", title.lower().replace(" ", "-")) for title in re.findall(r"^#+ (.*)$", TEXT, re.M)
    }
    inside = [link for link in links if not link.startswith("http")]
    assert len(inside) > 20
    assert [link for link in inside if link not in sections and not (ROOT / link.split("#")[0]).exists()] == []
