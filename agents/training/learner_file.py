"""A learner in a file, to go on from: weights, state of the optimisers, counters. Nothing in it is executed."""

import json
from collections import deque
from collections.abc import Mapping
from math import isfinite
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.save_util import recursive_getattr

from splitgym.inputs import InputError, reading
from splitgym.outputs import write

from ..policy_file import described

COUNTERS = ("num_timesteps", "_n_updates", "_episode_num")
"""Attributes of a learner: environment steps, updates, episodes so far."""
EPISODE = ("r", "l", "t")
"""What a learner knows of its last episodes: return, rounds, seconds since it began."""


class CheckpointError(InputError):
    """A learner cannot go on from what was saved; the message says why."""


def save_learner(path: Path, model: BaseAlgorithm) -> None:
    """Writes a learner as a whole, but not its replay buffer."""
    facts = {
        **_identity(model),
        **{name: getattr(model, name) for name in COUNTERS},
        "episodes": [[float(episode[name]) for name in EPISODE] for episode in model.ep_info_buffer or ()],
    }
    tensors = {name: value.detach().cpu().contiguous() for name, value in _tensors(model).items()}
    write(path, lambda file: file.write(save(tensors, {"learner": json.dumps(facts)})))


def steps_done(path: Path) -> int:
    """Environment steps of the learner in a file; 0 if there is no file.

    Raises:
        CheckpointError: the file is broken.
    """
    return _facts(path)["num_timesteps"] if path.exists() else 0


def load_learner(path: Path, model: BaseAlgorithm) -> None:
    """Fills a new learner of the same settings with what `save_learner` wrote.

    Raises:
        CheckpointError: the file is broken, or of a learner with other algorithm, spaces or networks.
    """
    facts = _facts(path)
    for name, value in _identity(model).items():
        if facts.get(name) != value:
            raise CheckpointError(f"{_cannot(path)}: its {name} is {facts.get(name)!r}, not {value!r}")
    with reading(f"checkpoint {str(path)!r}", CheckpointError), safe_open(path, "pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no mapping
    for name, value in tensors.items():
        if not torch.isfinite(value).all():
            raise CheckpointError(f"{_cannot(path)}: {name} is not finite")
    try:
        _fill(model, tensors)
    except (ValueError, LookupError, RuntimeError) as error:
        raise CheckpointError(f"{_cannot(path)}: {' '.join(str(error).split())}") from error
    for name in COUNTERS:
        setattr(model, name, facts[name])
    episodes = [dict(zip(EPISODE, episode, strict=True)) for episode in facts["episodes"]]
    model.ep_info_buffer = deque(episodes, maxlen=model._stats_window_size)
    model.ep_success_buffer = deque(maxlen=model._stats_window_size)


def _cannot(path: Path) -> str:
    return f"training cannot go on from {str(path)!r}"


def _identity(model: BaseAlgorithm) -> dict[str, str]:
    """What two learners must have in common."""
    of = f"{type(model).__name__} with {type(model.policy).__name__}"
    return {"algorithm": of, **described(model.observation_space, model.action_space)}


def _facts(path: Path) -> dict[str, Any]:
    """What a file says beside tensors."""
    with reading(f"checkpoint {str(path)!r}", CheckpointError):
        with safe_open(path, "pt") as file:
            facts = dict(json.loads((file.metadata() or {})["learner"]))
        for name in COUNTERS:
            if type(facts[name]) is not int or facts[name] < 0:
                raise ValueError(f"{name} is {facts[name]!r}, no number of something")
        for episode in facts["episodes"]:
            if [type(value) for value in episode] != [float] * len(EPISODE) or not all(map(isfinite, episode)):
                raise ValueError(f"{episode!r} is no episode")
    return facts


def _tensors(model: BaseAlgorithm) -> dict[str, torch.Tensor]:
    """All that a learner has learnt, by name."""
    found: dict[str, torch.Tensor] = {}
    for part, state in model.get_parameters().items():
        if _is_optimiser(state):
            for number, values in state["state"].items():
                found |= {f"{part}/{number}/{name}": torch.as_tensor(value) for name, value in values.items()}
        else:
            found |= {f"{part}/{name}": value for name, value in state.items()}
    return found | {f"/{name}": recursive_getattr(model, name) for name in model._get_torch_save_params()[1]}


def _fill(model: BaseAlgorithm, tensors: Mapping[str, torch.Tensor]) -> None:
    """Puts tensors in the places from which `_tensors` took them."""
    parts: dict[str, dict[str, torch.Tensor]] = {}
    for full_name, value in tensors.items():
        part, _, name = full_name.partition("/")
        parts.setdefault(part, {})[name] = value
    variables = parts.pop("", {})
    states: dict[str, Any] = {}
    for part, state in model.get_parameters().items():
        own = parts.pop(part, {})
        states[part] = _of_optimiser(state, own, recursive_getattr(model, part)) if _is_optimiser(state) else own
    if parts:
        raise ValueError(f"{min(parts)} is not expected")
    model.set_parameters(states, exact_match=True, device="cpu")
    for name in model._get_torch_save_params()[1]:
        recursive_getattr(model, name).data.copy_(variables[name])


def _is_optimiser(state: Mapping[str, Any]) -> bool:
    return state.keys() == {"state", "param_groups"}


def _of_optimiser(
    new: Mapping[str, Any], tensors: Mapping[str, torch.Tensor], optimiser: torch.optim.Optimizer
) -> dict[str, Any]:
    """The state of an optimiser: its settings are those of a new one."""
    trained = [weights for group in optimiser.param_groups for weights in group["params"]]
    state: dict[int, dict[str, torch.Tensor]] = {}
    for full_name, value in tensors.items():
        number, _, name = full_name.partition("/")
        if value.shape not in (torch.Size(()), trained[int(number)].shape):
            raise ValueError(f"state {full_name} of an optimiser has shape {tuple(value.shape)}")
        state.setdefault(int(number), {})[name] = value
    return {**new, "state": state}
