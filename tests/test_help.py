"""Help comes at once: no command imports for it what it computes with."""

import json
import subprocess
import sys

import pytest
from code_blocks import ROOT

from splitgym.__main__ import COMMANDS

SLOW = (
    "torch",
    "scipy.stats",
    "scipy.optimize",
    "pandas",
    "matplotlib",
    "stable_baselines3",
    "optuna",
    "plotly",
    "ray",
)
COMPILED = ("numba", "scipy")
"""Of commands that name no schedulers, which are found beside the allocations that they use."""
NAMING_SCHEDULERS = [
    ["-m", "splitgym"],
    ["-m", "splitgym", "compare"],
    ["-m", "splitgym", "train"],
    ["train_agent.py"],
    ["-m", "splitgym.agents.compare"],
    ["-m", "splitgym.agents.train"],
    ["-m", "splitgym.agents.training.tune_rules"],
]
OTHERS = [
    *(["-m", "splitgym", name] for name in COMMANDS if name not in ("compare", "train")),
    *(["-m", "experiments", *named] for named in ([], ["latency"], ["headroom.factors"], ["calibrate"])),
    *(["-m", "experiments", name] for name in ("report", "redraw", "stale")),
]
RUN = """
import json, runpy, sys
kind, name = sys.argv.pop(1), sys.argv[1]
sys.argv[0:1] = []
try:
    runpy.run_module(name, run_name="__main__") if kind == "-m" else runpy.run_path(name, run_name="__main__")
except SystemExit as end:
    print(json.dumps([end.code or 0, [each for each in {modules!r} if each in sys.modules]]))
"""


@pytest.mark.parametrize("command", [*NAMING_SCHEDULERS, *OTHERS], ids=" ".join)
def test_help_imports_nothing_that_takes_long(command):
    unwanted = SLOW if command in NAMING_SCHEDULERS else (*SLOW, *COMPILED)
    kind, *words = command if command[0] == "-m" else ["file", *command]
    code = RUN.replace("{modules!r}", repr(unwanted))
    done = subprocess.run(
        [sys.executable, "-c", code, kind, *words, "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    shown, _, found = done.stdout.rstrip().rpartition("\n")
    assert "usage:" in shown
    assert json.loads(found) == [0, []]
