"""Environments in forked processes, which inherit that there are threads, but not the threads: nothing may hang."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import splitgym

ROOT = Path(splitgym.__file__).parents[1]
SETTINGS = {"scenario": "iot", "action": "schedule"}
EVERYBODY = [0, *[1] * 8, 0]
IN_PARENT = f"""
import multiprocessing, gymnasium as gym, numpy as np, torch
from stable_baselines3.common.vec_env import SubprocVecEnv
torch.set_num_threads(2)
settings, everybody = {SETTINGS!r}, np.array({EVERYBODY!r})

def stable_baselines(count):
    envs = SubprocVecEnv([lambda: gym.make("splitgym:SplitLearning-v0", **settings)] * count, start_method="fork")
    envs.seed(0)
    envs.reset()
    print(envs.step(np.stack([everybody] * count))[1].tolist())
    envs.close()
"""
COMPUTED = """
torch.mm(torch.ones(800, 800), torch.ones(800, 800))
torch.nn.Conv2d(3, 16, 3)(torch.ones(64, 3, 32, 32)).sum().backward()
stable_baselines(1)
"""
TRAINED = """
import splitgym
env = gym.make("SplitLearning-v0", **settings)
env.reset(seed=0)
env.step(everybody)
envs = gym.make_vec("SplitLearning-v0", num_envs=2, vectorization_mode="async", **settings)
envs.reset(seed=0)
print(envs.step(np.stack([everybody] * 2))[1].tolist())
envs.close()
stable_baselines(2)
"""
STEPPED = """
from splitgym.envs import SplitLearningVectorEnv
context = multiprocessing.get_context("fork")

def step(envs, forks):
    if forks:
        process = context.Process(target=step, args=(envs, forks - 1))
        process.start()
        process.join()
    print(envs.step(np.stack([everybody] * 4))[1].tolist(), flush=True)

for learner in ("train", "surrogate"):
    envs = SplitLearningVectorEnv(4, threads=2, learner=learner, **settings)
    envs.reset(seed=0)
    envs.step(np.stack([everybody] * 4))
    step(envs, 2)
"""


def finished(code):
    """What a program prints that must end; a hanging one is killed with all that it has forked."""
    process = subprocess.Popen(
        [sys.executable, "-c", IN_PARENT + code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
        | {"PYTHONPATH": str(ROOT)},
    )
    try:
        out, errors = process.communicate(timeout=300)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, 9)
        out, _ = process.communicate()
        pytest.fail(f"it hangs after {out!r}")
    assert process.returncode == 0, errors
    return out.splitlines()


pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")


def test_forks_of_a_parent_that_has_computed_and_never_imported_splitgym_train():
    (rewards,) = finished(COMPUTED)
    (reward,) = json.loads(rewards)
    assert reward != 0


def test_forks_of_a_parent_that_has_trained_train_and_go_on_as_it_does():
    """Those of Gymnasium and of Stable-Baselines3, and a vector environment of the parent, with both learners."""
    ours, theirs, *stepped = map(json.loads, finished(TRAINED + STEPPED))
    assert ours[0] != ours[1]
    assert theirs == pytest.approx(ours, rel=1e-5)  # rounded to single precision
    for here, there, deeper in (stepped[:3], stepped[3:]):
        assert here == there == deeper
    assert stepped[0] != stepped[3]
