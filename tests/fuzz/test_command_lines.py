"""Command lines drawn from right and wrong words: what they ask for is allowed, or one line says what is not.

Where a command would begin its work, the test stops it: nothing is trained, played or rendered.
"""

import sys
from dataclasses import fields
from importlib import import_module

import pytest
from watched import drawn, is_one_line, watched

from agents import compare, comparing, train
from agents.training import run as training
from agents.training import tune_rules
from experiments import __main__ as experiments
from experiments import calibrate
from splitgym import __main__ as package
from splitgym.commands import agents, execute, profile, render, replay, warm_up

WORDS = (
    *("", " ", "x", "-", "--", "---", "-1", "0", "1", "2", "3", "1.5", "1e3", "nan", "inf", "-inf", "1e400", "9" * 30),
    *("9" * 5000, "x" * 20_000, "True", "none", "null", "[1]", "{", "{}", "%s", "@x", "~", "/", "..", "../x", "a/b"),
    *("a\nb\n" * 50, "\x1b[31m", "\udcff", "ü", "[/]", "[bold", "$x$", "*", "?", "a b", "-h x", "=", "a=b", "--x=y"),
    *("toy", "iot", "tou", "good.toml", "bad.toml", "folder", "results", "run", "missing.toml", "empty.npz"),
    *("greedy", "greedy:", "greedy:x=1", "fastest-k", "fastest-k:k=0", "fastest-k:k=1", "fastest-k:k=[1]", "tuned"),
    *("best-fixed", "unified", "deadline:deadline_s=nan", "ppo", "ppo:policy=nowhere", "look-ahead", "random:k", ":"),
    *(
        "epsl",
        "fl",
        "psl-drop",
        "os:path",
        "os:abort",
        "no_such:NAME",
        "surrogate",
        "train",
        "schedule",
        "cpu",
        "cuda:9",
    ),
    *("local:1", "local:0", "ray:auto", "list", "report", "render", "calibrate", "benchmarks", "running", "..", "a.b"),
)


class BeganError(BaseException):
    """A command would begin its work: its options are allowed."""


def begins(*_, **__):
    raise BeganError


def options_of(kind):
    return [f"--{field.name.replace('_', '-')}" for field in fields(kind)]


COMMANDS = {
    "splitgym train": (train.main, [], options_of(train.Settings)),
    "splitgym compare": (compare.main, ["--scenarios", "toy", "--agents", "greedy"], options_of(compare.Settings)),
    "agents.training.tune_rules": (tune_rules.main, [], options_of(tune_rules.Tuning)),
    "splitgym render": (package.main, ["render"], options_of(render.Render)),
    "splitgym replay": (package.main, ["replay"], options_of(replay.Replay)),
    "splitgym execute": (package.main, ["execute"], options_of(execute.Execute)),
    "splitgym profile": (package.main, ["profile"], options_of(profile.Profile)),
    "splitgym warm-up": (package.main, ["warm-up"], options_of(warm_up.WarmUp)),
    "splitgym": (package.main, [], ["--help"]),
    "experiments calibrate": (experiments.main, ["calibrate"], options_of(calibrate.Options)),
    "experiments report": (experiments.main, ["report"], ["--out"]),
    "experiments convergence": (experiments.main, ["convergence"], ["--quick", "--seeds", "--workers", "--out"]),
    "experiments schedulers": (
        experiments.main,
        ["schedulers"],
        ["--quick", "--seeds", "--workers", "--out", "--cells", "--scenario", "--learner"],
    ),
    "experiments latency": (experiments.main, ["latency"], ["--quick", "--seeds", "--workers", "--only"]),
    "experiments frameworks": (experiments.main, ["frameworks"], ["--quick", "--seeds", "--methods", "--scenario"]),
    "experiments": (experiments.main, [], ["--help"]),
}
"""What runs, the arguments that it begins with, and its options."""
FEW = {"--environments": ("0", "1", "2", "-1", "x", "nan", "9" * 30), "--seeds": ("0", "1", "-1", "x", "9" * 30)}
"""Of options whose large values are allowed and take their time."""


@pytest.fixture(scope="module", autouse=True)
def stopped(tmp_path_factory):
    """Nothing begins, in a folder with files that are right and wrong."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("here"))
        from splitgym.scenario import build  # noqa: PLC0415 - as the others, in the folder of the test

        for name in ("folder", "results", "run"):
            (tmp_path_factory.getbasetemp() / name).mkdir(exist_ok=True)
        for name, text in (("good.toml", build("toy").to_toml()), ("bad.toml", "[cell"), ("empty.npz", "")):
            with open(name, "w", encoding="utf-8") as file:  # noqa: PTH123
                file.write(text)
        patch.setattr(training, "_run", begins)
        patch.setattr(comparing, "_play", begins)
        patch.setattr(tune_rules.Tuning, "_best", begins)
        for command in (execute, render, replay):
            patch.setattr(command, "named", lambda name, env: begins(agents.named(name, env)))
        for command in (warm_up.WarmUp, profile.Profile):
            patch.setattr(command, "run", begins)
        patch.setattr(calibrate, "finish", begins)
        patch.setattr(import_module("experiments.running.run"), "run", begins)
        patch.setattr(sys, "argv", sys.argv)
        yield


def words(rng, options):
    """One to four options, mostly with one value, and sometimes something else."""
    found = []
    for _ in range(rng.randrange(1, 5)):
        option = rng.choice(options)
        if rng.random() < 0.1:
            option = rng.choice((option[:-1], f"{option}x", option.replace("--", "-"), option.upper(), "--nothing"))
        values = [rng.choice(FEW.get(option, WORDS)) for _ in range(rng.choice((0, 1, 1, 1, 1, 2)))]
        found += [f"{option}={values[0]}"] if values and rng.random() < 0.1 else [option, *values]
    if rng.random() < 0.2:
        found.insert(rng.randrange(len(found) + 1), rng.choice(WORDS))
    return found


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_line_is_allowed_or_refused_in_one_line(name, capsys):
    main, first, options = COMMANDS[name]
    for case, rng in drawn(name):
        arguments = [*first, *words(rng, options)]
        with watched(case):
            status = ended(main, arguments)
        said = capsys.readouterr().err
        assert status in (0, 2), (case, arguments, said)
        if status == 2:
            assert said.startswith("error: "), (case, arguments, said)
            assert is_one_line(said[:-1]), (case, arguments, said)


def ended(main, arguments):
    """The exit status of a command line; 0 also where it would begin its work."""
    try:
        return main(arguments)
    except BeganError:
        return 0
    except SystemExit as end:
        return end.code or 0
