"""How every command line ends: one line for what a user can mend, a trace for what only the program can."""

import os
import subprocess
import sys
import threading
from concurrent.futures.process import BrokenProcessPool
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

import splitgym
from agents import compare, train
from agents.training import tune_rules
from experiments import __main__ as experiments
from splitgym import __main__ as render
from splitgym.command_line import checking_input, run
from splitgym.inputs import InputError
from splitgym.scenario import build

ROOT = Path(splitgym.__file__).parents[1]
MAINS = {
    "splitgym train": (train, ["--scenario", "{}"]),
    "splitgym compare": (compare, ["--scenarios", "{}"]),
    "agents.training.tune_rules": (tune_rules, ["--scenario", "{}"]),
    "splitgym render": (render, ["render", "--learner", "surrogate", "--scenario", "{}"]),
    "experiments calibrate": (experiments, ["calibrate", "--scenario", "{}"]),
}
"""Module of every command, and its arguments for a scenario."""
CONSOLES = {
    "ascii": {"PYTHONIOENCODING": "ascii"},
    "C": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    "latin": {"PYTHONIOENCODING": "latin-1"},
}


def raises(error):
    def command(arguments):
        raise error

    return command


def process(*arguments, **options):
    return subprocess.run([sys.executable, *arguments], capture_output=True, check=False, timeout=300, **options)


@pytest.mark.parametrize("name", ["compare", "train"])
def test_one_line_says_how_to_install_what_a_command_imports(name, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "tyro", None)
    monkeypatch.delitem(sys.modules, f"splitgym.agents.{name}", raising=False)
    assert render.main([name]) == 2
    assert capsys.readouterr().err == "error: package tyro is not installed: pip install 'splitgym[train]'\n"


def test_a_package_that_ones_own_module_lacks_keeps_its_trace(monkeypatch, tmp_path):
    (tmp_path / "own_rule.py").write_text("import no_such_package\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="no_such_package"):
        run(lambda _: import_module("own_rule"), [])


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (InputError("x = 5, allowed: 1..3"), "x = 5, allowed: 1..3"),
        (InputError("two\n  lines"), "two lines"),
        (FileNotFoundError(2, "No such file or directory", "x"), "[Errno 2] No such file or directory: 'x'"),
        (MemoryError(), "not enough memory"),
        (MemoryError("Unable to allocate 9 TiB"), "not enough memory; Unable to allocate 9 TiB"),
        (EOFError(), "a worker process died (EOFError)"),
        (ConnectionResetError(), "a worker process died (ConnectionResetError)"),
        (BrokenProcessPool("ended"), "a worker process died (BrokenProcessPool)"),
    ],
)
def test_what_a_user_can_mend_is_one_line(capsys, error, line):
    assert run(raises(error), []) == 2
    assert capsys.readouterr() == ("", f"error: {line}\n")


@pytest.mark.parametrize("error", [KeyError("x"), TypeError(), ValueError("shapes"), AssertionError(), RuntimeError()])
def test_a_fault_of_the_program_is_raised(error):
    with pytest.raises(type(error)):
        run(raises(error), [])


def test_the_trace_is_shown_if_it_is_asked_for(capsys):
    seen = []

    def command(arguments):
        seen.append(arguments)
        raise InputError("x = 5")

    assert run(command, ["--traceback", "--seed", "3"]) == 2
    assert seen == [["--seed", "3"]]
    errors = capsys.readouterr().err
    assert "Traceback" in errors
    assert errors.endswith("error: x = 5\n")


def test_ctrl_c_may_say_how_to_go_on(capsys):
    assert run(raises(KeyboardInterrupt("Go on with x.")), []) == 130
    assert run(raises(KeyboardInterrupt()), []) == 130
    assert capsys.readouterr().out == "\nStopped. Go on with x.\n\nStopped.\n"


def test_ctrl_c_while_a_lock_is_given_back_says_stopped(capsys):
    lock = threading.Lock()

    def command(arguments):
        with lock:
            # As `Condition.wait`, when Ctrl-C comes after it has given the lock back.
            lock.release()
            raise KeyboardInterrupt

    assert run(command, []) == 130
    assert capsys.readouterr().out == "\nStopped.\n"


def test_a_status_is_handed_on():
    assert [run(lambda _: None, []), run(lambda _: 0, []), run(lambda _: 1, [])] == [0, 0, 1]


@pytest.mark.parametrize("error", [ValueError("x = 5"), OverflowError("x = 5"), InputError("x = 5")])
def test_what_fails_while_input_is_checked_is_a_failure_of_input(error):
    with pytest.raises(InputError, match="x = 5"), checking_input():
        raise error
    with pytest.raises(KeyError), checking_input():
        raise KeyError("x")


@pytest.fixture
def scenario_with(tmp_path):
    """The path of a scenario that differs from the toy in some lines."""

    def written(old="", new="", encoding="utf-8"):
        text = build("toy").to_toml()
        assert old in text
        path = tmp_path / "mine.toml"
        path.write_text(text.replace(old, new), encoding=encoding)
        return str(path)

    return written


@pytest.mark.parametrize("name", MAINS)
@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("max_rounds = 150", f"max_rounds = {10**19}", "episode.max_rounds = 10000000000000000000"),
        ("batch_size = 8", f"batch_size = {10**13}", "training.batch_size = 10000000000000"),
        ("subchannels = 2", f"subchannels = {10**9}", "radio.subchannels = 1000000000"),
        ("[cell]", "[cell", "is broken"),
        ('dataset = "digits"', 'dataset = "four.npz"', "four.npz: classes have shape ()"),
    ],
)
def test_wrong_input_is_one_line_everywhere(scenario_with, tmp_path, monkeypatch, capsys, name, old, new, words):
    module, arguments = MAINS[name]
    path = scenario_with(old, new)
    monkeypatch.chdir(tmp_path)
    np.savez("four.npz", images=np.zeros((9, 8, 8), np.uint8), labels=np.zeros(9, int), classes=4)
    # Experiments that hold their own options read those of the process.
    monkeypatch.setattr(sys, "argv", sys.argv)
    assert module.main([argument.format(path) for argument in arguments]) == 2
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 1, errors
    assert errors[0].startswith("error: ")
    assert words in errors[0]


@pytest.mark.parametrize("name", MAINS)
def test_a_fault_of_the_program_keeps_its_trace_everywhere(monkeypatch, name):
    module, arguments = MAINS[name]

    def fails(*_, **__):
        raise ZeroDivisionError("ours")

    monkeypatch.setattr("tomllib.loads", lambda _: {})
    for place in ("splitgym.scenario.loading._validate", "splitgym.envs.simulation.Simulation.__init__"):
        monkeypatch.setattr(place, fails)
    monkeypatch.setattr(sys, "argv", sys.argv)
    with pytest.raises(ZeroDivisionError, match="ours"):
        module.main([argument.format("toy") for argument in arguments])


@pytest.mark.parametrize(
    ("console", "plus_minus"), [("ascii", b"+-"), ("C", b"+-"), ("latin", "\xb1".encode("latin-1"))]
)
def test_a_console_without_a_sign_gets_its_spelling(console, plus_minus, tmp_path):
    code = (
        "import sys; from splitgym.command_line import run; from splitgym.inputs import InputError\n"
        "def command(arguments):\n"
        "    print('\\u2265 300.0, \\u2264 -103, 1 \\xb1 2 \\u2192')\n"
        "    raise InputError('x \\u2265 3')\n"
        "sys.exit(run(command))"
    )
    done = process("-c", code, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT), **CONSOLES[console]})
    assert (done.returncode, done.stderr) == (2, b"error: x >= 3\n")
    assert done.stdout == b">= 300.0, <= -103, 1 " + plus_minus + b" 2 \\u2192\n"


def test_a_comparison_is_finished_on_a_console_without_its_signs(tmp_path):
    """Nobody reaches the target, so the table says more than the budget of 1 s."""
    endless = build("toy", {"episode": {"target_accuracy": 1.0, "time_budget_s": 1.0}})
    (tmp_path / "endless.toml").write_text(endless.to_toml(), encoding="utf-8")
    options = ["--agents", "random", "--episodes", "2", "--workers", "1", "--out", "run"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **CONSOLES["C"]}
    done = process("-m", "agents.compare", "--scenarios", "endless.toml", *options, cwd=tmp_path, env=environment)
    assert done.returncode == 0, done.stderr
    assert b">= 1.0" in done.stdout
    assert "\u2265 1.0" in (tmp_path / "run" / "table.md").read_text(encoding="utf-8")


def test_a_reader_who_has_enough_is_no_error(tmp_path):
    code = "import sys; from splitgym.command_line import run; sys.exit(run(lambda _: print('line\\n' * 10**6)))"
    with subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    ) as writer:
        assert writer.stdout.readline() == b"line\n"
        writer.stdout.close()
        assert writer.stderr.read() == b""
        assert writer.wait(60) == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no disk that is always full")
def test_a_full_disk_is_one_line(tmp_path):
    code = "import sys; from splitgym.command_line import run; sys.exit(run(lambda _: print('x')))"
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-c", code],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
    assert (done.returncode, done.stderr) == (2, "error: [Errno 28] No space left on device\n")
