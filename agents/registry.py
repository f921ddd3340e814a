"""Agents by name."""

import inspect
from importlib import import_module
from typing import Any

import gymnasium as gym

from agents.agent import Agent
from splitgym.scenario.errors import suggest

_CLASSES = {
    "random": ("agents.random", "Random"),
    "fixed": ("agents.fixed", "Fixed"),
    "greedy": ("agents.greedy", "Greedy"),
    "ppo": ("agents.ppo", "Ppo"),
}


def names() -> tuple[str, ...]:
    """Names of all agents."""
    return tuple(_CLASSES)


def make(name: str, env: gym.Env[Any, Any], **options: Any) -> Agent:
    """Makes the agent of that name for an environment.

    Args:
        name: See `names`.
        env: A SplitLearning environment, wrapped or not.
        options: Of the agent, as its class says: `checkpoint` of "ppo", `cut_layer` of "fixed".

    Raises:
        ValueError: there is no such agent, or an option is unknown, missing or has a value that is not allowed.
        TypeError: `env` is no SplitLearning environment.
    """
    if name not in _CLASSES:
        raise ValueError(f"agent {name!r} is unknown, {suggest(name, _CLASSES)}")
    module, class_name = _CLASSES[name]
    agent_class: type[Agent] = getattr(import_module(module), class_name)
    signature = inspect.signature(agent_class)
    try:
        signature.bind(env, **options)
    except TypeError as error:
        allowed = ", ".join([*signature.parameters][1:]) or "none"
        raise ValueError(f"agent {name!r}: {error}, options allowed: {allowed}") from error
    return agent_class(env, **options)
