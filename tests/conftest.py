"""What all tests share: one torch thread, so that results repeat and cores are not fought over; no deadlines.

Tests in several processes begin when the kernels are compiled, so that no process does what another has done.
"""

import subprocess
import sys

import pytest
from hypothesis import settings

# The first example of a test may have to compile; how long an example takes is nobody's promise.
settings.register_profile("the same cases in every run", deadline=None, derandomize=True, max_examples=50)
settings.load_profile("the same cases in every run")


DECODE = """
import gymnasium, splitgym
for action in ("schedule", "priority"):
    env = gymnasium.make("SplitLearning-v0", learner="surrogate", action=action)
    env.reset(seed=0)
    env.unwrapped.decode(env.action_space.sample())
"""
WARM_UPS = (["-m", "splitgym", "warm-up", "--actions", "discrete", "continuous"], ["-c", DECODE])
"""Rounds without allocation, and allocation without rounds: about as long as each other."""


SLOW = ("package", "train_agent", "tutorial", "running", "documentation", "forks", "compare", "kernel_cache", "warm_up")
"""Files whose tests start many processes, or compile: first, so that no process works on when the others are done."""


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: item.path.stem.removeprefix("test_") not in SLOW)


def pytest_configure(config):
    if config.getoption("numprocesses", None) and not hasattr(config, "workerinput"):
        commands = [[sys.executable, *options] for options in WARM_UPS]
        for process in [subprocess.Popen(command, stdout=subprocess.DEVNULL) for command in commands]:
            process.wait()


@pytest.fixture(autouse=True)
def one_torch_thread():
    """Also after a test of something that sets another number: small networks train ten times slower with two."""
    import torch  # noqa: PLC0415 - slow to import, and collecting tests does not need it

    torch.set_num_threads(1)
