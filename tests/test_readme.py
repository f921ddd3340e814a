import re
from pathlib import Path

import pytest

README = Path(__file__).parents[1] / "README.md"


def python_blocks() -> list[str]:
    return re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)


def test_code_of_the_readme_runs_in_its_order(capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, object] = {}
    for block in python_blocks():
        exec(compile(block, str(README), "exec"), names)
    printed = capsys.readouterr().out
    assert printed.count("accuracy") == 3
    assert "uplink" in printed


def test_table_of_the_readme_is_the_one_that_was_saved() -> None:
    table = (README.parent / "experiments/results/train/table.md").read_text(encoding="utf-8")
    assert table in README.read_text(encoding="utf-8")
