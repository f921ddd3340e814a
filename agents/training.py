"""PPO on environments that train for real, in processes of their own."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import gymnasium as gym
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import ProgressBarCallback
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv, VecEnv, VecMonitor

from agents import ppo
from agents.callbacks import Checkpoints, LogRounds
from agents.run_folder import RunFolder
from splitgym.evaluation.processes import START_METHOD, interrupts_ignored


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
        KeyboardInterrupt: interrupted; the last checkpoint is that of the last finished rollout.
    """
    torch.set_num_threads(1)
    vec_env = _vec_env(environment, environments)
    try:
        if folder.last.exists():
            model = ppo.load(folder.last, vec_env)
            model.set_env(vec_env)
            # Episodes begin anew, with seeds of their own.
            model.set_random_seed(seed + model.num_timesteps)
        else:
            model = PPO(env=vec_env, seed=seed, device="cpu", **ppo.SETTINGS)
        model.tensorboard_log = str(folder.path / "tensorboard")
        if model.num_timesteps < steps:
            _learn(model, steps - model.num_timesteps, folder)
        return int(model.num_timesteps)
    finally:
        vec_env.close()


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
        progress.pbar.close()
        raise


def _vec_env(environment: Mapping[str, Any], count: int) -> VecEnv:
    makers: list[Callable[[], gym.Env[Any, Any]]] = [partial(_make, dict(environment))] * count
    if count == 1:
        return VecMonitor(DummyVecEnv(makers))
    with interrupts_ignored():
        return VecMonitor(SubprocVecEnv(makers, start_method=START_METHOD))


def _make(environment: dict[str, Any]) -> gym.Env[Any, Any]:
    torch.set_num_threads(1)
    return gym.make("splitgym:SplitLearning-v0", **environment)
