"""Finished runs are drawn from their tables: their numbers stay, whatever the code of reports says now."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import squares
from squares import files, ran

from experiments.__main__ import main
from experiments.running.options import Options
from experiments.running.redraw import redraw
from experiments.running.run import run


@pytest.fixture
def results(traces: Path, tmp_path: Path, in_this_process: None) -> Path:
    folder = tmp_path / "results" / "squares"
    run("squares", squares.EXPERIMENT, Options(out=folder))
    return folder


def redrawn(folder: Path, experiment: object = squares.EXPERIMENT) -> list[str]:
    return list(redraw(folder, {"squares": experiment}.get))


def test_what_is_drawn_from_a_table_is_what_the_run_drew(results: Path, traces: Path) -> None:
    before, jobs = files(results), ran(traces)
    (results / "values.png").write_bytes(b"old")
    (results / "values.pdf").unlink()
    (results / "squares.md").write_text(before["squares.md"].decode().replace("The mean of", "Mean over"))
    assert redrawn(results.parent) == [f"{results}: plots and text drawn"]
    assert files(results) == before
    assert (results / "values.pdf").read_bytes().startswith(b"%PDF")
    assert ran(traces) == jobs


def test_a_text_whose_numbers_would_change_stays(results: Path) -> None:
    before = files(results)
    (results / "values.png").write_bytes(b"old")
    of_one = replace(squares.EXPERIMENT, report=lambda rows: squares.report(rows[:1]))
    assert redrawn(results, of_one)[0].startswith(f"{results}: plots drawn, text kept")
    assert files(results) == before


def test_what_cannot_be_drawn_is_left(results: Path) -> None:
    before = files(results)
    of_others = replace(squares.EXPERIMENT, report=lambda rows: str(rows["colour"].mean()))
    assert redrawn(results, of_others)[0].endswith("of an earlier form and has no column 'colour'")
    assert files(results) == before
    (results / "squares.csv").unlink()
    assert redrawn(results) == [f"{results}: left as it is, for it is not finished"]
    made_by = json.loads((results / "provenance.json").read_text())
    (results / "provenance.json").write_text(json.dumps({**made_by, "experiment": "circles"}))
    assert redrawn(results) == [f"{results}: left as it is, for no experiment 'circles' draws a table again"]


def test_a_folder_without_results_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["redraw", str(tmp_path)]) == 2
    assert "holds no provenance.json, expected: results as experiments write them" in capsys.readouterr().err
