"""Environments in forked processes, which inherit that there are threads, but not the threads: nothing may hang."""

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
torch.set_num_threads(2)
settings, everybody = {SETTINGS!r}, np.array({EVERYBODY!r})
"""
TRAINED = """
import splitgym
env = gym.make("SplitLearning-v0", **settings)
env.reset(seed=0)
env.step(everybody)
"""
COMPUTED = """
torch.mm(torch.ones(800, 800), torch.ones(800, 800))
torch.nn.Conv2d(3, 16, 3)(torch.ones(64, 3, 32, 32)).sum().backward()
"""
SUBPROCESSES = """
from stable_baselines3.common.vec_env import SubprocVecEnv
envs = SubprocVecEnv([lambda: gym.make("splitgym:SplitLearning-v0", **settings)] * 2, start_method="fork")
envs.seed(0)
envs.reset()
print(envs.step(np.stack([everybody] * 2))[1].tolist())
envs.close()
"""
CASES = {
    "Gymnasium's, after a round in the parent": f"""
{TRAINED}
envs = gym.make_vec("SplitLearning-v0", num_envs=2, vectorization_mode="async", **settings)
envs.reset(seed=0)
print(envs.step(np.stack([everybody] * 2))[1].tolist())
envs.close()
""",
    "Stable-Baselines3's, after a round in the parent": TRAINED + SUBPROCESSES,
    "Stable-Baselines3's, where the parent has computed and never imported splitgym": COMPUTED + SUBPROCESSES,
}


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
        out, errors = process.communicate(timeout=120)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, 9)
        process.communicate()
        pytest.fail("it hangs")
    assert process.returncode == 0, errors
    return out.splitlines()


pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")


@pytest.mark.parametrize("code", CASES.values(), ids=CASES)
def test_forked_environments_train(code):
    (rewards,) = finished(code)
    first, second = eval(rewards)
    assert first != second


@pytest.mark.parametrize("learner", ["train", "surrogate"])
def test_a_vector_environment_of_the_parent_is_stepped_in_a_fork_as_in_the_parent(learner):
    here, there, deeper = finished(f"""
from splitgym.envs import SplitLearningVectorEnv
envs = SplitLearningVectorEnv(4, threads=2, learner={learner!r}, **settings)
envs.reset(seed=0)
envs.step(np.stack([everybody] * 4))
context = multiprocessing.get_context("fork")
def step(forks):
    if forks:
        process = context.Process(target=step, args=(forks - 1,))
        process.start()
        process.join()
    print(envs.step(np.stack([everybody] * 4))[1].tolist(), flush=True)
step(2)
""")
    assert here == there == deeper
