"""PPO on environments that train for real, in processes of their own."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import ProgressBarCallback
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv, VecEnv, VecMonitor

from agents import ppo
from agents.callbacks import Checkpoints, LogRounds
from agents.run_folder import RunFolder
from splitgym.evaluation.processes import START_METHOD, interrupts_ignored

RESUMED_SEEDS = 900_000
"""A resumed training takes its seed from below; environment i adds i."""


def train(folder: RunFolder, environment: Mapping[str, Any], environments: int, steps: int, seed: int) -> int:
    """Trains the run's policy until it has seen `steps` environment steps, from the last checkpoint if there is one.

    Args:
        folder: Where checkpoints and the TensorBoard log go.
        environment: Keyword arguments of the environment.
        environments: Number of processes.
        steps: Environment steps in all.
        seed: Of policy and episodes.

    Returns:
        Environment steps done, rounded up to whole rollouts.

    Raises:
        CheckpointError: the last checkpoint does not fit.
        EOFError, ConnectionError: a process died.
        KeyboardInterrupt: interrupted; the last checkpoint is that of the last finished rollout.
    """
    torch.set_num_threads(1)
    with _environments(environment, environments) as vec_env:
        if folder.last.exists():
            model = ppo.load(folder.last, vec_env)
            model.set_env(vec_env)
            # Episodes begin anew, with seeds of their own.
            model.set_random_seed(_resumed_seed(seed, model.num_timesteps))
        else:
            model = PPO(env=vec_env, seed=seed, device="cpu", **ppo.SETTINGS)
        model.tensorboard_log = str(folder.path / "tensorboard")
        if model.num_timesteps < steps:
            _learn(model, steps - model.num_timesteps, folder)
        return int(model.num_timesteps)


def _resumed_seed(seed: int, steps: int) -> int:
    return int(np.random.SeedSequence([seed, steps]).generate_state(1)[0]) % RESUMED_SEEDS


def _learn(model: PPO, steps: int, folder: RunFolder) -> None:
    progress = ProgressBarCallback()
    try:
        model.learn(
            steps,
            callback=[LogRounds(), Checkpoints(folder), progress],
            reset_num_timesteps=False,
            tb_log_name="ppo",
        )
    except BaseException:
        # Otherwise an interrupted bar is drawn once more, below whatever is printed next.
        # There is none yet if learning had hardly begun.
        if bar := getattr(progress, "pbar", None):
            bar.close()
        raise


@contextmanager
def _environments(environment: Mapping[str, Any], count: int) -> Iterator[VecEnv]:
    """Environments side by side; an exception ends their processes at once, Ctrl-C too."""
    makers: list[Callable[[], gym.Env[Any, Any]]] = [partial(_make, dict(environment))] * count
    with interrupts_ignored():
        vec_env = DummyVecEnv(makers) if count == 1 else SubprocVecEnv(makers, start_method=START_METHOD)
    try:
        yield VecMonitor(vec_env)
    except BaseException:
        # close() would wait for answers, for ever if the interrupted step has taken them.
        for process in getattr(vec_env, "processes", ()):
            process.terminate()
        raise
    vec_env.close()


def _make(environment: dict[str, Any]) -> gym.Env[Any, Any]:
    torch.set_num_threads(1)
    return gym.make("splitgym:SplitLearning-v0", **environment)
