"""Search for settings: which of them reach the target earliest in validation after a short training."""

import sqlite3
from collections.abc import Iterator, Mapping
from concurrent.futures import FIRST_EXCEPTION, wait
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import optuna
import torch
from stable_baselines3.common.callbacks import BaseCallback

from splitgym.envs import SB3VecEnv
from splitgym.evaluation.processes import TORCH_THREADS, interrupts_ignored, worker_pool

from .hyperparameters import LINEAR, Hyperparameters
from .jobs import EXACT, POLL_S, VALIDATIONS, derived_seed
from .validation import Validation

STUDY = "study.db"
LOCKED_S = 100
"""So long a worker waits for the others to write to the study."""
DONE = (optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.PRUNED)


@dataclass(frozen=True)
class Search:
    """A search for settings.

    Trials are chosen by TPE, and given up if they are worse than the median of the others at the same step.
    """

    folder: Path
    """Where the study is kept, so that it goes on where it was stopped."""
    start: Hyperparameters
    """What a trial does not choose, its steps among it."""
    environment: Mapping[str, Any]
    """Keyword arguments of the environment, on the surrogate."""
    trials: int
    """Their number in all."""
    seed: int
    """Of every trial's policy and episodes, and of the choice of trials, which several workers do not repeat."""

    def run(self, workers: int) -> Iterator[int]:
        """Runs what trials are missing, in processes; yields how many are done, now and then."""
        study = self._study(self.seed)
        with worker_pool(workers) as pool:
            with interrupts_ignored():
                pending: set[Any] = {pool.submit(self.work, self.seed + worker) for worker in range(workers)}
            while pending:
                ended, pending = wait(pending, POLL_S, FIRST_EXCEPTION)
                for job in ended:
                    job.result()
                yield _done(study)

    def work(self, seed: int) -> None:
        """Runs trials until enough are done."""
        torch.set_num_threads(TORCH_THREADS)
        study = self._study(seed)
        if _done(study) < self.trials:
            enough = optuna.study.MaxTrialsCallback(self.trials, states=DONE)
            study.optimize(self._cost, callbacks=[enough])

    def best(self) -> tuple[Hyperparameters, float]:
        """The settings of the best trial, and its mean time to target in s.

        Raises:
            ValueError: no trial was completed.
        """
        trial = self._study(self.seed).best_trial
        assert trial.value is not None
        return self._tried(trial), trial.value

    def _study(self, seed: int) -> optuna.Study:
        """The study in the folder; it is made if there is none."""
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        # In a URL some paths would mean something else, such as those with a question mark.
        connect = partial(sqlite3.connect, self.folder / STUDY, timeout=LOCKED_S)
        storage = optuna.storages.RDBStorage("sqlite://", {"creator": connect})
        return optuna.create_study(
            storage=storage,
            study_name=self.start.algorithm.name,
            sampler=optuna.samplers.TPESampler(seed=seed),
            pruner=optuna.pruners.MedianPruner(n_startup_trials=4, n_warmup_steps=self.start.steps // 3),
            load_if_exists=True,
        )

    def _cost(self, trial: optuna.Trial) -> float:
        """Mean time to target of a trial's best policy, s."""
        settings = self._tried(trial)
        environment = {**EXACT, **self.environment}
        validation = Validation(settings.algorithm, environment)
        envs = SB3VecEnv(settings.environments, threads=1, **environment)
        report = Report(trial, validation, settings.steps // VALIDATIONS)
        settings.model(envs, derived_seed(self.seed, 0)).learn(settings.steps, callback=report)
        envs.close()
        return report.best

    def _tried(self, trial: optuna.Trial | optuna.trial.FrozenTrial) -> Hyperparameters:
        """The settings of a trial."""
        chosen = {
            "learning_rate": f"{LINEAR}{trial.suggest_float('learning_rate', 1e-4, 5e-3, log=True):.2e}",
            "gamma": trial.suggest_categorical("gamma", [0.98, 0.99, 0.995, 0.998]),
        }
        if self.start.on_policy:
            chosen |= {
                "gae_lambda": trial.suggest_categorical("gae_lambda", [0.9, 0.95, 0.98]),
                "ent_coef": float(f"{trial.suggest_float('ent_coef', 1e-4, 3e-2, log=True):.2e}"),
                "n_steps": trial.suggest_categorical("n_steps", [32, 64, 128]),
                "batch_size": trial.suggest_categorical("batch_size", [256, 512, 1024, 2048]),
                "n_epochs": trial.suggest_categorical("n_epochs", [3, 5, 8]),
            }
        else:
            chosen |= {
                "tau": trial.suggest_categorical("tau", [0.005, 0.01, 0.02, 0.05]),
                "batch_size": trial.suggest_categorical("batch_size", [256, 512]),
                "gradient_steps": trial.suggest_categorical("gradient_steps", [1, 2, 4]),
            }
        return self.start.changed(**chosen)


def _done(study: optuna.Study) -> int:
    return len(study.get_trials(deepcopy=False, states=DONE))


class Report(BaseCallback):
    """Tells the study how good the policy is, which may end the trial.

    Args:
        trial: Of the study.
        validation: Measures.
        every: Environment steps between two measurements.

    Attributes:
        best: Lowest mean time to target so far, s.
    """

    def __init__(self, trial: optuna.Trial, validation: Validation, every: int) -> None:
        super().__init__()
        self._trial, self._validation, self._every = trial, validation, every
        self._measured_at, self.best = 0, float("inf")

    def _on_step(self) -> bool:
        return True

    def _on_rollout_start(self) -> None:
        if self.num_timesteps - self._measured_at >= self._every:
            self._measure()
            if self._trial.should_prune():
                raise optuna.TrialPruned

    def _on_training_end(self) -> None:
        self._measure()

    def _measure(self) -> None:
        self._measured_at = self.num_timesteps
        self.best = min(self.best, self._validation.score(self.model.policy).cost)
        self._trial.report(self.best, self.num_timesteps)
