"""How experiments are run: every job once, whatever is killed; the same files as without mishaps; refusals."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import squares
from squares import files, ran

from experiments.__main__ import main
from experiments.running import run as running
from experiments.running.experiment import Job
from experiments.running.finished import Finished
from experiments.running.options import Options, command, parsed
from experiments.running.run import JobsFailedError, run
from experiments.running.workers import in_processes, workers
from splitgym.evaluation.processes import TORCH_THREADS
from splitgym.inputs import InputError


def begun(out: Path) -> subprocess.Popen[bytes]:
    """The experiment in a process of its own, with two workers."""
    code = (
        "import sys; from pathlib import Path; import squares; from experiments.running.options import Options; "
        "from experiments.running.run import run; run('squares', squares.EXPERIMENT, Options(out=Path(sys.argv[1])))"
    )
    paths = os.pathsep.join([str(Path(squares.__file__).parent), str(Path(__file__).parents[2])])
    return subprocess.Popen([sys.executable, "-c", code, str(out)], env={**os.environ, "PYTHONPATH": paths})


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    while not condition():
        assert process.poll() is None, "it ended"
        time.sleep(0.01)


def children(process: int) -> list[int]:
    """Ids of processes with that parent."""
    found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(process)], capture_output=True, text=True, check=False)
    return [int(line) for line in found.stdout.split()]


@pytest.mark.usefixtures("in_this_process")
def test_a_killed_run_goes_on_and_leaves_what_an_undisturbed_one_leaves(traces: Path, tmp_path: Path) -> None:
    run("squares", squares.EXPERIMENT, Options(out=tmp_path / "undisturbed"))
    for trace in traces.iterdir():
        trace.unlink()
    for held in ("5-0", "2-1"):
        (traces / f"{held}.mishap").write_text("hold")
    out = tmp_path / "killed"
    first = begun(out)
    wait_for(lambda: {"5-0", "2-1"} <= ran(traces).keys(), first)
    workers_of_it = children(first.pid)
    first.kill()
    first.wait()
    assert not (out / "squares.csv").exists()
    # Nobody is left behind to work for nobody.
    while any(Path(f"/proc/{process}").exists() for process in workers_of_it):
        time.sleep(0.01)
    with (out / "jobs.jsonl").open("a") as file:
        file.write('{"job": "torn')
    for mishap in traces.glob("*.mishap"):
        mishap.unlink()
    assert begun(out).wait() == 0
    assert files(out) == files(tmp_path / "undisturbed")
    assert ran(traces) == {"2-0": 1, "3-0": 1, "5-0": 2, "2-1": 2, "3-1": 1, "5-1": 1}


def test_a_job_whose_process_dies_is_begun_again(traces: Path) -> None:
    (traces / "3-0.mishap").write_text("die once")
    (traces / "5-0.mishap").write_text("die")
    jobs = squares.EXPERIMENT.jobs(quick=False, seeds=1)
    outcomes = {job.case["number"]: outcome for job, outcome in in_processes(squares.measure, jobs, 2)}
    assert ran(traces) == {"2-0": 1, "3-0": 2, "5-0": 3}
    assert outcomes[2] == squares.measure({"number": 2, "power": 2.0}, 0)
    assert outcomes[3] == squares.measure({"number": 3, "power": 2.0}, 0)
    assert isinstance(outcomes[5], BaseException)


def test_whatever_part_of_the_file_is_left_whole_lines_count(tmp_path: Path) -> None:
    path = tmp_path / "jobs.jsonl"
    jobs = [Job({"name": name}, 7) for name in ("first", "second ✓", "third")]
    rows = {job.key: [{"value": 1 / 3, "text": f"{job.case}"}] for job in jobs}
    for job in jobs:
        Finished(path).add(job, rows[job.key])
    whole = path.read_bytes()
    for length in range(len(whole) + 1):
        path.write_bytes(whole[:length])
        finished = Finished(path)
        assert len(finished.rows) == whole[:length].count(b"\n")
        for job in jobs:
            if job.key not in finished.rows:
                finished.add(job, rows[job.key])
        assert path.read_bytes() == whole
        assert finished.rows == rows


@pytest.mark.parametrize(
    "line",
    ["{}", "3", "[]", "{", "\0", '{"job": "x"}', '{"job": "x", "rows": 3}', '{"job": "x", "rows": [3]}', "[" * 10_000],
)
def test_a_broken_line_is_named(tmp_path: Path, line: str) -> None:
    (tmp_path / "jobs.jsonl").write_text(f'{{"job": "x", "rows": []}}\n{line}\n')
    with pytest.raises(InputError, match=r"line 2 of .*jobs\.jsonl is broken \(.*\): delete it to run its job again"):
        Finished(tmp_path / "jobs.jsonl")


@pytest.mark.usefixtures("in_this_process")
def test_a_job_that_fails_is_named_and_alone_retried(traces: Path, tmp_path: Path) -> None:
    (traces / "3-1.mishap").write_text("raise")
    options = Options(out=tmp_path / "out")
    with pytest.raises(JobsFailedError, match=r'1 of 6 jobs failed.*"number": 3.*"seed": 1.*3 has no square'):
        run("squares", squares.EXPERIMENT, options)
    assert not (tmp_path / "out" / "squares.csv").exists()
    (traces / "3-1.mishap").unlink()
    run("squares", squares.EXPERIMENT, options)
    assert ran(traces) == {"2-0": 1, "3-0": 1, "5-0": 1, "2-1": 1, "3-1": 2, "5-1": 1}
    rows = pd.read_csv(tmp_path / "out" / "squares.csv")
    assert list(rows["number"]) == [2, 2, 3, 3, 5, 5] * 2
    assert list(rows["seed"]) == [0] * 6 + [1] * 6
    assert rows["value"].to_list() == pytest.approx([(n + s) ** 2 / 3 for s in (0, 1) for n in (2, 2, 3, 3, 5, 5)])


@pytest.mark.usefixtures("in_this_process", "traces")
def test_a_folder_of_another_run_is_refused(tmp_path: Path) -> None:
    out = tmp_path / "out"
    run("squares", squares.EXPERIMENT, Options(out=out))
    before = files(out)
    other = replace(squares.EXPERIMENT, cases=replace(squares.EXPERIMENT.cases, power=3.0))
    for experiment, options, differs in (
        (squares.EXPERIMENT, Options(out=out, seeds=3), "seeds is 3, was 2"),
        (squares.EXPERIMENT, Options(out=out, quick=True), "quick is True, was False; seeds is 1, was 2"),
        (other, Options(out=out), r"power is 3\.0, was 2\.0"),
    ):
        with pytest.raises(ValueError, match=differs):
            run("squares", experiment, options)
    assert files(out) == before


@pytest.mark.usefixtures("in_this_process")
def test_jobs_that_fail_for_their_input_are_one_line_without_traces(
    traces: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = Options(out=tmp_path / "out")
    for job in ("3-1", "5-0"):
        (traces / f"{job}.mishap").write_text("refuse")
    with pytest.raises(InputError, match=r"^2 of 6 jobs failed: SQUARES names no squares$"):
        run("squares", squares.EXPERIMENT, options)
    assert "Traceback" not in capsys.readouterr().err
    (traces / "5-0.mishap").write_text("raise")
    with pytest.raises(JobsFailedError, match=r"2 of 6 jobs failed.*5 has no square.*SQUARES names no squares"):
        run("squares", squares.EXPERIMENT, options)
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.usefixtures("in_this_process")
def test_what_is_left_is_not_measured_by_another_version(
    traces: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, now = Options(out=tmp_path / "out"), running.provenance.versions(squares.measure)
    (traces / "3-1.mishap").write_text("raise")
    with pytest.raises(JobsFailedError):
        run("squares", squares.EXPERIMENT, out)
    (traces / "3-1.mishap").unlink()
    newer = {**now, "torch": "9.9"}
    monkeypatch.setattr(running.provenance, "versions", lambda measure: newer)
    with pytest.raises(ValueError, match=r"torch is '9\.9', was '"):
        run("squares", squares.EXPERIMENT, out)
    monkeypatch.setattr(running.provenance, "versions", lambda measure: now)
    run("squares", squares.EXPERIMENT, out)
    # Nothing is left to be measured: tables and plots are made again, and their provenance stays.
    (tmp_path / "out" / "squares.md").unlink()
    monkeypatch.setattr(running.provenance, "versions", lambda measure: newer)
    run("squares", squares.EXPERIMENT, out)
    assert json.loads((tmp_path / "out" / "provenance.json").read_text())["versions"] == now
    assert json.loads((tmp_path / "out" / "provenance.json").read_text())["torch_threads"] == TORCH_THREADS
    assert (tmp_path / "out" / "squares.md").exists()


def test_the_saved_command_repeats_the_run() -> None:
    for words in (["--power", "3.0"], ["--numbers", "7", "8", "--quick"], ["--negative", "--seeds", "4"]):
        experiment, options = parsed("squares", squares.EXPERIMENT, [*words, "--workers", "local:1", "--out", "x"])
        saved = command("squares", experiment, options).split()
        assert saved[:4] == ["python", "-m", "experiments", "squares"]
        assert sorted(saved[4:]) == sorted(words)
        assert parsed("squares", squares.EXPERIMENT, saved[4:])[0] == experiment
    assert command("squares", squares.EXPERIMENT, Options()) == "python -m experiments squares"


def test_the_saved_command_names_a_folder_among_the_results_that_holds_another_run_than_the_experiments_own() -> None:
    def saved(*words: str) -> list[str]:
        return command("squares", *parsed("squares", squares.EXPERIMENT, words)).split()[4:]

    beside = ["--power", "3.0", "--out", "experiments/results/squares/cubes"]
    assert saved(*beside) == beside
    assert saved("--out", "experiments/results/squares") == []
    assert saved("--out", "/elsewhere/squares") == []


def test_cases_that_are_the_same_are_refused() -> None:
    twice = replace(squares.EXPERIMENT, cases=lambda quick: [{"number": 2}] * 2)
    with pytest.raises(ValueError, match="is there 2 times"):
        twice.jobs(quick=False, seeds=1)


@pytest.mark.parametrize("text", ["local", "local:0", "local:-1", f"local:{'9' * 500}", "ray:", "cloud:7", "2"])
def test_workers_that_cannot_be_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=f"--workers '{text}', allowed: local:NUMBER, ray:auto, ray:ADDRESS"):
        workers(text)


def test_command_lists_and_names_what_is_unknown(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list"]) == 0
    listed = capsys.readouterr().out
    assert "aggregation" in listed
    assert "calibrate" in listed
    assert "benchmarks.rounds " in listed
    assert "benchmarks.baselines" not in listed
    assert "\nrunning" not in listed
    assert main(["agregation"]) == 2
    assert "experiment 'agregation' is unknown, did you mean 'aggregation'?" in capsys.readouterr().err
    assert main(["aggregation", "--seeds", "0"]) == 2
    assert "--seeds 0, allowed: 1 or more" in capsys.readouterr().err
    assert main(["aggregation", "--seeds", "10000000000000"]) == 2
    assert "--seeds 10000000000000, allowed: up to 1000000" in capsys.readouterr().err
    assert main(["aggregation", "--workers", "local:1001"]) == 2
    assert "--workers 1001, allowed: 1..1000" in capsys.readouterr().err
