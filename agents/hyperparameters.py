"""Settings of the learning algorithms, in files of RL Zoo's format."""

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import yaml
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.utils import LinearSchedule
from stable_baselines3.common.vec_env import VecEnv

from agents.algorithms import Algorithm
from splitgym.scenario.errors import suggest

KEYS: Mapping[str, str] = {"surrogate": "SplitLearning-v0", "train": "SplitLearning-v0/train"}
"""Under which key of a file the settings for a learner of the environment stand; RL Zoo reads the first."""
LINEAR = "lin_"
"""What begins so falls from the number behind it to 0 during the training."""


@dataclass(frozen=True)
class Hyperparameters:
    """How an algorithm learns.

    Raises:
        ValueError: a setting is not one of the algorithm's.
    """

    algorithm: Algorithm
    steps: int
    """Environment steps in all."""
    environments: int
    """Environments side by side."""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    """Of the learner's class, as in the file."""

    def __post_init__(self) -> None:
        allowed = inspect.signature(self.algorithm.learner_class).parameters
        for name in self.arguments:
            if name not in allowed:
                raise ValueError(f"{name!r} is no setting of {self.algorithm.name}, {suggest(name, allowed)}")

    @classmethod
    def read(cls, algorithm: Algorithm, learner: str, path: Path | None = None) -> Self:
        """Reads a file of settings.

        Args:
            algorithm: Whose settings they are.
            learner: Of the environment, "surrogate" or "train".
            path: The file; None: the one that is shipped.

        Raises:
            ValueError: the file is missing or broken, or a setting is not allowed; the message names it.
        """
        path = path or algorithm.settings
        try:
            content = yaml.safe_load(path.read_text(encoding="utf-8"))
            settings = dict(content[KEYS[learner]])
            steps, environments = int(settings.pop("n_timesteps")), int(settings.pop("n_envs"))
            policy = settings.pop("policy")
        except OSError as error:
            raise ValueError(f"settings {str(path)!r} cannot be read: {error.strerror}") from error
        except KeyError as error:
            raise ValueError(f"settings {str(path)!r} lack {error.args[0]!r}") from error
        except (yaml.YAMLError, UnicodeDecodeError, ValueError, TypeError) as error:
            raise ValueError(f"settings {str(path)!r} are broken: {' '.join(str(error).split())}") from error
        if policy != algorithm.policy:
            raise ValueError(f"settings {str(path)!r}: policy = {policy!r}, allowed: {algorithm.policy!r}")
        try:
            return cls(algorithm, steps, environments, settings)
        except ValueError as error:
            raise ValueError(f"settings {str(path)!r}: {error}") from error

    def write(self, path: Path, learner: str) -> None:
        """Writes a file that `read` reads for that learner."""
        settings = {
            "policy": self.algorithm.policy,
            "n_timesteps": self.steps,
            "n_envs": self.environments,
            **self.arguments,
        }
        path.write_text(yaml.safe_dump({KEYS[learner]: settings}, sort_keys=False), encoding="utf-8")

    def changed(self, **arguments: Any) -> Self:
        """The same with other arguments of the learner's class."""
        return replace(self, arguments={**self.arguments, **arguments})

    @property
    def policy_arguments(self) -> dict[str, Any]:
        """Keyword arguments of the policy's class."""
        return dict(self.arguments.get("policy_kwargs", {}))

    def model(self, env: VecEnv, seed: int) -> BaseAlgorithm:
        """A learner that has learnt nothing yet."""
        arguments = {name: _value(value) for name, value in self.arguments.items()}
        if {"n_steps", "batch_size"} <= arguments.keys():
            # Of few environments a rollout may be smaller than a mini-batch.
            arguments["batch_size"] = min(arguments["batch_size"], arguments["n_steps"] * env.num_envs)
        if "policy_kwargs" in arguments:
            arguments["policy_kwargs"] = self.policy_arguments
        return self.algorithm.learner_class(self.algorithm.policy_class, env, seed=seed, device="cpu", **arguments)


def _value(value: Any) -> Any:
    if isinstance(value, str) and value.startswith(LINEAR):
        return LinearSchedule(float(value.removeprefix(LINEAR)), 0.0, 1.0)
    return value
