"""Settings of the learning algorithms, in files of RL Zoo's format."""

import inspect
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import accumulate
from math import inf, nan
from pathlib import Path
from typing import Any, Self

import torch
import yaml
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.utils import LinearSchedule
from stable_baselines3.common.vec_env import VecEnv

from splitgym.files import DEEPEST, check_plain, read_text
from splitgym.inputs import InputError, reading
from splitgym.outputs import write_text
from splitgym.parts import suggest

from ..algorithms import Algorithm

KEYS: Mapping[str, str] = {"surrogate": "SplitLearning-v0", "train": "SplitLearning-v0/train"}
"""Under which key of a file the settings for a learner of the environment stand; RL Zoo reads the first."""
OURS = ("policy", "env", "seed", "device", "tensorboard_log", "_init_setup_model")
"""Arguments of learners that no file says."""
MOST = 10**12
"""Environment steps of a training."""
MOST_BYTES = 2**16
"""Of a file of settings."""
MOST_ALIASES = 20
"""Places in a file that repeat what stands elsewhere in it: of few places that repeat each other grows a bomb."""
LINEAR = "lin_"
"""So starts a value that falls from the number behind it, in equal steps, one for each update; the last is above 0."""
SCHEDULED = ("learning_rate", "clip_range", "clip_range_vf")
"""What may fall during the training."""
MOST_TRANSITIONS = 10**8
"""Of a replay buffer or a rollout."""
BOUNDS: Mapping[str, tuple[float, float]] = {
    "batch_size": (1, 10**6),
    "buffer_size": (1, MOST_TRANSITIONS),
    "clip_range": (0, 10**3),
    "clip_range_vf": (0, 10**6),
    "gae_lambda": (0, 1),
    "gamma": (0, 1),
    "gradient_steps": (-1, 10**6),
    "learning_rate": (0, 1),
    "max_grad_norm": (1e-9, 10**9),
    "n_epochs": (1, 10**6),
    "n_steps": (1, 10**6),
    "sde_sample_freq": (-1, 10**6),
    "stats_window_size": (1, 10**6),
    "target_entropy": (-(10**6), 10**6),
    "target_kl": (1e-9, 10**6),
    "target_update_interval": (1, 10**6),
    "tau": (1e-9, 1),
    "train_freq": (1, 10**6),
}
"""Least and most of a number; of all others 0 and `MOST`."""
BY_ITSELF = "auto"
"""Stable-Baselines3's word for a value that is learnt, with an underscore and a number for its start."""
ABSENT_ONLY = (
    "action_noise",
    "replay_buffer_class",
    "replay_buffer_kwargs",
    "rollout_buffer_class",
    "rollout_buffer_kwargs",
)
"""What no file can say: objects of Python, and what they need."""


@dataclass(frozen=True)
class Hyperparameters:
    """How an algorithm learns.

    Raises:
        InputError: a setting is not one of the algorithm's, or nothing would be trained with it.
    """

    algorithm: Algorithm
    least_steps: int
    """Environment steps to learn from; rounded up to whole rollouts, they are `steps`."""
    environments: int
    """Environments in parallel."""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    """Of the learner's class, as in the file."""

    def __post_init__(self) -> None:
        parameters = inspect.signature(self.algorithm.learner_class).parameters
        allowed = {name: parameter.default for name, parameter in parameters.items() if name not in OURS}
        for name, value in self.arguments.items():
            if name not in allowed:
                raise InputError(f"{name!r} is no setting of {self.algorithm.name}, {suggest(name, allowed)}")
            if name in SCHEDULED and value is not None:
                _start(name, value)
            else:
                _check(name, value, allowed[name])
        if self.arguments.get("gradient_steps") == 0:
            raise InputError("gradient_steps = 0, allowed: whole numbers from 1, or -1: as many as environment steps")
        if self.rollout_steps > MOST_TRANSITIONS:
            steps = f"{self.rollout_steps:,} steps of all environments from one update to the next"
            raise InputError(f"{steps}, allowed: up to {MOST_TRANSITIONS:,}")
        warm_up = 0 if self.on_policy else self._setting("learning_starts")
        if self.steps <= warm_up:
            raise InputError(f"steps = {self.steps} with learning_starts = {warm_up} trains nothing, allowed: more")

    @classmethod
    def read(cls, algorithm: Algorithm, learner: str, path: Path | None = None) -> Self:
        """Reads a file of settings.

        Args:
            algorithm: Whose settings they are.
            learner: Of the environment, "surrogate" or "train".
            path: The file; None: the one that is shipped.

        Raises:
            InputError: the file is missing or broken, or a setting is not allowed; the message names it.
        """
        path = path or algorithm.settings
        with reading(f"settings file {str(path)!r}"):
            settings = dict(_yaml(path)[KEYS[learner]])
            steps, environments = (_whole(name, settings.pop(name)) for name in ("n_timesteps", "n_envs"))
            policy = settings.pop("policy")
        if policy != algorithm.policy:
            raise InputError(f"settings {str(path)!r}: policy = {policy!r}, allowed: {algorithm.policy!r}")
        try:
            return cls(algorithm, steps, environments, settings)
        except InputError as error:
            raise InputError(f"settings {str(path)!r}: {error}") from error

    def write(self, path: Path, learner: str) -> None:
        """Writes a file that `read` reads for that learner."""
        settings = {
            "policy": self.algorithm.policy,
            "n_timesteps": self.steps,
            "n_envs": self.environments,
            **self.arguments,
        }
        write_text(path, yaml.safe_dump({KEYS[learner]: settings}, sort_keys=False))

    def changed(self, **arguments: Any) -> Self:
        """The same with other arguments of the learner's class."""
        return replace(self, arguments={**self.arguments, **arguments})

    @property
    def on_policy(self) -> bool:
        """Whether the algorithm learns from what its present policy does only."""
        return "train_freq" not in inspect.signature(self.algorithm.learner_class).parameters

    @property
    def rollout_steps(self) -> int:
        """Environment steps from one update to the next."""
        return self.environments * int(self._setting("n_steps" if self.on_policy else "train_freq"))

    @property
    def updates(self) -> int:
        """Rollouts of a whole training; an algorithm that learns off-policy does not learn from the first of them."""
        return -(-self.least_steps // self.rollout_steps)

    @property
    def steps(self) -> int:
        """Environment steps of a whole training: whole rollouts."""
        return self.updates * self.rollout_steps

    @property
    def policy_arguments(self) -> dict[str, Any]:
        """Keyword arguments of the policy's class."""
        return dict(self.arguments.get("policy_kwargs", {}))

    @property
    def schedules(self) -> dict[str, Any]:
        """What falls during the training, over the remaining progress."""
        falling = {name: value for name, value in self.arguments.items() if isinstance(value, str)}
        starts = {name: _start(name, falling[name]) for name in SCHEDULED if name in falling}
        # Progress is counted at the end of a rollout: that of the first update is 1 - 1/K, that of the last is 0.
        step = 1 / self.updates
        return {name: LinearSchedule(start * (1 + step), start * step, 1.0) for name, start in starts.items()}

    def model(self, env: VecEnv, seed: int) -> BaseAlgorithm:
        """A learner that has learnt nothing yet."""
        arguments = {**self.arguments, **self.schedules}
        if self.on_policy and "batch_size" in arguments:
            # Of few environments a rollout may be smaller than a mini-batch.
            arguments["batch_size"] = min(arguments["batch_size"], self._setting("n_steps") * env.num_envs)
        if "policy_kwargs" in arguments:
            arguments["policy_kwargs"] = self.policy_arguments
        model = self.algorithm.learner_class(self.algorithm.policy_class, env, seed=seed, device="cpu", **arguments)
        if not all(bool(torch.isfinite(weights).all()) for weights in model.policy.parameters()):
            raise InputError(f"policy_kwargs = {self.policy_arguments!r} start with weights that are not finite")
        return model

    def _setting(self, name: str) -> Any:
        """An argument of the learner's class, or its default."""
        return self.arguments.get(name, inspect.signature(self.algorithm.learner_class).parameters[name].default)


def _yaml(path: Path) -> Any:
    """The values of a YAML file."""
    text = read_text(path, MOST_BYTES)
    if max(accumulate((sign in "[{") - (sign in "]}") for sign in text), default=0) > DEEPEST:
        raise ValueError(f"its lists are within each other more than {DEEPEST} times deep")
    if sum(isinstance(token, yaml.AliasToken) for token in yaml.scan(text)) > MOST_ALIASES:
        raise ValueError(f"it has more aliases than allowed: up to {MOST_ALIASES}")
    values = yaml.safe_load(text)
    check_plain(values)
    return values


def _start(name: str, value: Any) -> float:
    """The value at the start of a setting that may fall.

    Raises:
        InputError: it is not above 0.
    """
    falls = isinstance(value, str) and value.startswith(LINEAR)
    try:
        start = float(value.removeprefix(LINEAR) if falls else value)
    except (TypeError, ValueError):
        start = nan
    if not 0 < start <= BOUNDS[name][1] or isinstance(value, bool) or (isinstance(value, str) and not falls):
        most = f"up to {BOUNDS[name][1]:g}"
        raise InputError(f"{name} = {value!r}, allowed: a number above 0 and {most}, or {LINEAR} and such a number")
    return start


def _whole(name: str, value: Any) -> int:
    """A whole number, which may be written as 1e6; a ValueError if it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 1 <= value <= MOST or value != int(value):
        raise ValueError(f"{name} = {value!r}, allowed: whole numbers from 1 to {MOST}")
    return int(value)


def _check(name: str, value: Any, default: Any) -> None:
    """Raises an InputError if a setting cannot have that value."""
    if value is None or name in ABSENT_ONLY:
        if value is not None or default is not None:
            raise InputError(
                f"{name} = {value!r}, allowed: {'null' if default is None else f'a value like {default!r}'}"
            )
    elif name == "policy_kwargs":
        if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
            raise InputError(f"{name} = {value!r}, allowed: values by name")
    elif isinstance(default, bool):
        if not isinstance(value, bool):
            raise InputError(f"{name} = {value!r}, allowed: true or false")
    elif default != BY_ITSELF or not _is_learnt(value):
        least, most = BOUNDS.get(name, (0, MOST))
        kind: Any = int if isinstance(default, int) else int | float
        if isinstance(value, bool) or not isinstance(value, kind) or not least <= value <= most:
            numbers = "whole numbers" if kind is int else "numbers"
            raise InputError(f"{name} = {value!r}, allowed: {numbers} from {least:g} to {most:g}")


def _is_learnt(value: Any) -> bool:
    """Whether it is `auto`, or `auto_` and a number above 0."""
    word, _, number = str(value).partition("_")
    with suppress(ValueError):
        return word == BY_ITSELF and (value == BY_ITSELF or 0 < float(number) < inf)
    return False
