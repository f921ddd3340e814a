"""Training a policy, on the surrogate or on environments that train for real."""

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, wait
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv, VecEnv, VecMonitor

from splitgym.envs import SB3VecEnv
from splitgym.evaluation.processes import START_METHOD, TORCH_THREADS, interrupts_ignored, worker_pool
from splitgym.inputs import InputError

from ..policy_file import Card, described, fill_in, largest_change, save_weights
from ..provenance import versions
from .checkpoints import Checkpoints, KeepFastest, KeepHighestReturn, LogRounds
from .hyperparameters import Hyperparameters
from .imitation import imitate, rounds_of
from .learner_file import load_learner, steps_done
from .run_folder import PolicyFolder, Progress
from .validation import Score, Validation

TRAINING_SEEDS = 900_000
"""Episodes of the training have seeds from below; environment i adds i."""
VALIDATIONS = 12
"""How often a policy is validated while it learns on the surrogate."""
EXACT: Mapping[str, Any] = {"task": {"evaluation_samples": None}}
"""The surrogate knows the accuracy on the whole test set at no cost, as in comparisons."""
POLL_S = 0.5


@dataclass(frozen=True)
class Job:
    """A policy to be trained."""

    folder: Path
    """Where it goes, and from where it goes on."""
    hyperparameters: Hyperparameters
    environment: Mapping[str, Any]
    """Keyword arguments of the environment."""
    seed: int
    """Of policy and episodes."""
    command: str
    """That makes it, for its card."""
    start: Path | None = None
    """Files of the policy whose weights it begins with, without their endings; None: they are drawn."""
    imitated: str | None = None
    """Rule that it learns to act like before it learns by itself, as `splitgym.agents.factory` reads it."""

    @property
    def on_surrogate(self) -> bool:
        """Whether it learns on the surrogate."""
        return bool(self.environment["learner"] == "surrogate")

    @property
    def learning_environment(self) -> Mapping[str, Any]:
        """Keyword arguments of the environment in which it learns."""
        return {**EXACT, **self.environment} if self.on_surrogate else self.environment


def train_all(jobs: Sequence[Job], workers: int) -> Iterator[list[int]]:
    """Trains policies, each in a process of its own; yields the steps that each has done, now and then.

    A policy does not depend on what is trained beside it, to the bit.

    Args:
        jobs: What to train.
        workers: How many at a time.

    Raises:
        CheckpointError: a learner cannot go on from what was saved.
        BrokenProcessPool: a process died.
        KeyboardInterrupt: interrupted; what was saved last stays.
    """
    with worker_pool(min(workers, len(jobs))) as pool:
        with interrupts_ignored():
            running = [pool.submit(_work, job) for job in jobs]
        pending: set[Any] = set(running)
        while pending:
            ended, pending = wait(pending, POLL_S, FIRST_EXCEPTION)
            for job in ended:
                job.result()
            yield [PolicyFolder(job.folder).progress().steps for job in jobs]


def _work(job: Job) -> None:
    """`train` in a process of its own: ended from outside, it ends those of its environments too."""

    def end(*_: object) -> None:
        for process in multiprocessing.active_children():
            process.terminate()
        os._exit(1)

    signal.signal(signal.SIGTERM, end)
    train(job)


def train(job: Job) -> None:
    """Trains a policy until it has seen its steps; goes on from what was saved last.

    Raises:
        CheckpointError: the learner cannot go on from what was saved.
        InputError: weights have become infinite or not a number.
        EOFError, ConnectionError: a process of an environment died.
    """
    torch.set_num_threads(TORCH_THREADS)
    folder, steps = PolicyFolder(job.folder), job.hyperparameters.steps
    if (done := steps_done(folder.last)) >= steps:
        folder.save_progress(Progress(done))
        return
    with _environments(job) as envs:
        model = _started_or_continued(job, folder, envs)
        model.tensorboard_log = str(folder.path / "tensorboard")
        with _naming_divergence(model):
            model.learn(
                steps - model.num_timesteps,
                callback=[LogRounds(), _checkpoints(job, folder, envs)],
                reset_num_timesteps=False,
                tb_log_name=job.hyperparameters.algorithm.name,
            )


@contextmanager
def _naming_divergence(model: BaseAlgorithm) -> Iterator[None]:
    """Weights that are not finite fail anywhere: in a distribution, in an action."""
    try:
        yield
    except (ValueError, RuntimeError) as error:
        if all(bool(torch.isfinite(weights).all()) for weights in model.policy.parameters()):
            raise
        said = f"the training has diverged after {model.num_timesteps:,} steps: weights are not finite"
        raise InputError(f"{said}, allowed: settings with smaller changes, such as a lower learning_rate") from error


def _started_or_continued(job: Job, folder: PolicyFolder, envs: VecEnv) -> BaseAlgorithm:
    """The learner as it was saved last, or one that has learnt nothing."""
    # Its schedules are those of the whole training, whose steps may not be what they were.
    model = job.hyperparameters.model(envs, derived_seed(job.seed, 0))
    if folder.last.exists():
        load_learner(folder.last, model)
        # Episodes start again, with seeds of their own.
        model.set_random_seed(derived_seed(job.seed, model.num_timesteps))
    else:
        if job.start is not None:
            fill_in(job.start, model.policy)
        if job.imitated is not None:
            rounds = rounds_of(job.hyperparameters.steps)
            imitate(model.policy, job.imitated, job.learning_environment, rounds, derived_seed(job.seed, 0))
        save_weights(folder.initial, model.policy)
    return model


def derived_seed(seed: int, steps: int) -> int:
    """The seed of a training that starts, or goes on, after so many steps; environment i adds i.

    Drawn, so that trainings with neighbouring seeds have no environments in common.
    """
    return int(np.random.SeedSequence([seed, steps]).generate_state(1)[0]) % TRAINING_SEEDS


def _checkpoints(job: Job, folder: PolicyFolder, envs: VecEnv) -> Checkpoints:
    """What keeps the best policy: by validation on the surrogate, by training episodes of real rounds."""
    card = partial(_card, job, envs, folder)
    if not job.on_surrogate:
        return KeepHighestReturn(folder, 1, card)
    every = max(1, job.hyperparameters.steps // VALIDATIONS)
    validation = Validation(job.hyperparameters.algorithm, job.learning_environment)
    return KeepFastest(folder, every, card, validation, job.start is not None or job.imitated is not None)


def _card(job: Job, envs: VecEnv, folder: PolicyFolder, model: BaseAlgorithm, score: Score) -> Card:
    """What stands beside the weights of a policy."""
    environment, algorithm = job.environment, job.hyperparameters.algorithm
    return Card(
        algorithm=algorithm.name,
        scenario=_scenario_name(envs),
        framework=environment["framework"],
        action=environment["action"],
        spaces=described(envs.observation_space, envs.action_space),
        policy=job.hyperparameters.policy_arguments,
        command=job.command,
        learner=environment["learner"],
        seed=job.seed,
        steps=model.num_timesteps,
        score=score.facts,
        versions=versions(),
        training_steps=job.hyperparameters.steps,
        torch_threads=torch.get_num_threads(),
        largest_change=largest_change(folder.initial, model.policy),
    )


def _scenario_name(envs: VecEnv) -> str:
    return str(envs.get_attr("scenario", 0)[0].name)


@contextmanager
def _environments(job: Job) -> Iterator[VecEnv]:
    """Environments in parallel; an exception ends their processes at once, Ctrl-C too."""
    count = job.hyperparameters.environments
    if job.on_surrogate:
        envs = SB3VecEnv(count, threads=1, **job.learning_environment)
        yield envs
        envs.close()
        return
    makers: list[Callable[[], gym.Env[Any, Any]]] = [partial(_make, dict(job.learning_environment))] * count
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
    torch.set_num_threads(TORCH_THREADS)
    return gym.make("splitgym:SplitLearning-v0", **environment)
