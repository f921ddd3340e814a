"""Agents by name."""

import inspect
import json
from collections.abc import Callable, Mapping
from functools import partial
from importlib import import_module
from typing import Any

import gymnasium as gym

from agents.agent import Agent
from agents.algorithms import ALGORITHMS
from agents.allocations import ALLOCATIONS
from agents.rule import SELECTIONS, Rule
from splitgym.inputs import InputError
from splitgym.parts import Parts, suggest

_CLASSES: Mapping[str, tuple[str, str, Mapping[str, str]]] = {
    "best-fixed": ("agents.tuned_rule", "TunedRule", {"rule": "best-fixed"}),
    "look-ahead": ("agents.look_ahead", "LookAhead", {}),
    "random": ("agents.random", "Random", {}),
    "tuned": ("agents.tuned_rule", "TunedRule", {}),
    "two-timescale": ("agents.two_timescale", "TwoTimescale", {}),
}
"""Module, class and what the name says of its options; imported only when asked for."""

_RULES = {
    "greedy": {"allocation": "descent"},
    **{name: {"allocation": name} for name in ALLOCATIONS if name != "descent"},
    **{name: {"selection": name} for name in SELECTIONS if name != "everybody"},
}
"""What the name of a rule says of it; the rest is its option."""


OWN: Parts[type[Agent]] = Parts("Agent", lambda part: isinstance(part, type) and issubclass(part, Agent))
"""Classes of one's own."""

_LEARNED = {name: {"algorithm": name} for name in ALGORITHMS}
"""What the name of a trained policy says of it; imported only when asked for, which takes seconds."""


def names() -> tuple[str, ...]:
    """Names of the agents that come with the project."""
    return (*_CLASSES, *_LEARNED, *_RULES)


def make(name: str, env: gym.Env[Any, Any], **options: Any) -> Agent:
    """Makes the agent of that name for an environment.

    Args:
        name: See `names`; or `module:NAME` of a class of one's own that is derived from `Agent`.
        env: A SplitLearning environment, wrapped or not.
        options: Of the agent, as its class says: `policy` and `deterministic` of a learned one; of every rule
            `cut_layer`, `aggregation_ratio`, its `selection` or its `allocation` (whichever its name does not say), and
            the selection's parameters.

    Raises:
        ValueError: there is no such agent, or an option is unknown, missing or has a value that is not allowed.
        TypeError: `env` is no SplitLearning environment.
    """
    agent_class, said = _look_up(name)
    _refuse_unknown(name, options)
    try:
        inspect.signature(agent_class).bind(env, **said, **options)
    except TypeError as error:
        allowed = ", ".join(agent_class.options(**said, **options))
        raise ValueError(f"agent {name!r}: {error}, options allowed: {allowed}") from error
    return agent_class(env, **said, **options)


def parse(text: str) -> tuple[str, dict[str, Any]]:
    """Reads `name:option=value,option=value`: name and options of an agent for `make`.

    The name of one's own is `module:NAME`.

    Numbers, true, false and null are read as in JSON, everything else is text: "highest-loss-k:k=3,allocation=fixed".

    Raises:
        ValueError: there is no such agent or option, or an option is given twice or without a value.
    """
    name, colon, listed = text.partition(":")
    if colon and name not in names() and "=" not in listed.partition(":")[0]:
        own, colon, listed = listed.partition(":")
        name = f"{name}:{own}"
    options: dict[str, Any] = {}
    for item in listed.split(",") if colon else ():
        option, _, value = item.partition("=")
        if not option or not value:
            raise ValueError(f"agent {text!r}: {item!r} is no option, allowed: name:option=value,option=value")
        if option in options:
            raise ValueError(f"agent {text!r}: option {option!r} is given twice, allowed: once")
        options[option] = _value(value)
    _look_up(name)
    _refuse_unknown(name, options)
    return name, options


def factory(text: str, **defaults: Any) -> Callable[[gym.Env[Any, Any]], Agent]:
    """What makes the agent that a text names, see `parse`; picklable.

    Args:
        text: name:option=value,option=value.
        defaults: Options that the text may override.

    Raises:
        ValueError: as `parse`.
    """
    name, options = parse(text)
    return partial(make, name, **{**defaults, **options})


def _look_up(name: str) -> tuple[type[Agent], Mapping[str, str]]:
    """The agent's class, and the options of it that the name says."""
    if not isinstance(name, str):
        raise InputError(f"agent {name!r} is unknown, {suggest(name, names())}")
    if name in _CLASSES:
        module, class_name, said = _CLASSES[name]
        return getattr(import_module(module), class_name), said
    if name in _LEARNED:
        return import_module("agents.learned").Learned, _LEARNED[name]
    if name in _RULES:
        return Rule, _RULES[name]
    if ":" in name:
        return OWN.find(name, "agent"), {}
    raise ValueError(f"agent {name!r} is unknown, {suggest(name, names())}")


def _refuse_unknown(name: str, options: dict[str, Any]) -> None:
    agent_class, said = _look_up(name)
    allowed = [option for option in agent_class.options(**{**options, **said}) if option not in said]
    for option in options:
        if option not in allowed:
            raise ValueError(
                f"agent {name!r} has no option {option!r}, options allowed: {', '.join(allowed) or 'none'}"
            )


def _value(text: str) -> Any:
    try:
        value = json.loads(text)
    except json.JSONDecodeError:
        return text
    return text if isinstance(value, list | dict) else value
