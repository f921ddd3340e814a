"""Schedulers by name, with options: what a name stands for, and the rules that come with the package."""

import inspect
import json
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Generic, TypeVar

import gymnasium as gym

from splitgym.allocation.selection.rules import SELECTIONS
from splitgym.inputs import InputError
from splitgym.parts import Parts, suggest
from splitgym.schedulers.allocations import ALLOCATIONS
from splitgym.schedulers.scheduler import Scheduler

Made = TypeVar("Made")


class Registry(Generic[Made]):
    """Classes by name that decide in an environment, with options: schedulers.

    Args:
        kind: What a message calls one of them: "scheduler".
        base: What they are derived from; it says by a class method `options` which options there are.
        shipped: By name: `module:CLASS`, imported when it is asked for, and the options that the name says.
    """

    def __init__(self, kind: str, base: type[Any], shipped: Mapping[str, tuple[str, Mapping[str, str]]]) -> None:
        self._kind = kind
        self._classes: Parts[type[Any]] = Parts(
            base.__name__,
            partial(_is_derived, base),
            {name: place for name, (place, _) in shipped.items()},
        )
        self._said = {name: said for name, (_, said) in shipped.items()}

    def names(self) -> tuple[str, ...]:
        """All names."""
        return tuple(self._classes)

    def make(self, name: str, env: gym.Env[Any, Any], **options: Any) -> Made:
        """The one of a name or `module:NAME` for an environment; raises as the function `make`."""
        found, said = self._look_up(name)
        self._refuse_unknown(name, options)
        try:
            inspect.signature(found).bind(env, **said, **options)
        except TypeError as error:
            allowed = ", ".join(found.options(**said, **options))
            raise ValueError(f"{self._kind} {name!r}: {error}, options allowed: {allowed}") from error
        made: Made = found(env, **said, **options)
        return made

    def parse(self, text: str) -> tuple[str, dict[str, Any]]:
        """Name and options that a text says; raises as the function `parse`."""
        name, colon, listed = text.partition(":")
        if colon and name not in self._classes and "=" not in listed.partition(":")[0]:
            own, colon, listed = listed.partition(":")
            name = f"{name}:{own}"
        options: dict[str, Any] = {}
        for item in listed.split(",") if colon else ():
            option, _, value = item.partition("=")
            if not option or not value:
                raise ValueError(
                    f"{self._kind} {text!r}: {item!r} is no option, allowed: name:option=value,option=value"
                )
            if option in options:
                raise ValueError(f"{self._kind} {text!r}: option {option!r} is given twice, allowed: once")
            options[option] = _value(value)
        self._look_up(name)
        self._refuse_unknown(name, options)
        return name, options

    def factory(self, text: str, **defaults: Any) -> Callable[[gym.Env[Any, Any]], Made]:
        """What makes the one that a text names; picklable."""
        name, options = self.parse(text)
        return partial(self.make, name, **{**defaults, **options})

    def _look_up(self, name: str) -> tuple[type[Any], Mapping[str, str]]:
        """The class, and the options of it that the name says."""
        if not isinstance(name, str) or (name not in self._classes and ":" not in name):
            raise InputError(f"{self._kind} {name!r} is unknown, {suggest(name, self._classes)}")
        return self._classes.find(name, self._kind), self._said.get(name, {})

    def _refuse_unknown(self, name: str, options: Mapping[str, Any]) -> None:
        """Raises a ValueError if an option is not one of the class, or said by its name already."""
        found, said = self._look_up(name)
        allowed = [option for option in found.options(**{**options, **said}) if option not in said]
        for option in options:
            if option not in allowed:
                raise ValueError(
                    f"{self._kind} {name!r} has no option {option!r}, options allowed: {', '.join(allowed) or 'none'}"
                )


def _is_derived(base: type[Any], part: object) -> bool:
    """Whether an object is a class that is derived from this one."""
    return isinstance(part, type) and issubclass(part, base)


def _value(text: str) -> Any:
    """A number, a truth value or nothing as in JSON; everything else is text."""
    try:
        value = json.loads(text)
    except json.JSONDecodeError:
        return text
    return text if isinstance(value, list | dict) else value


_RULE = "splitgym.schedulers.rule:Rule"
_TUNED = "splitgym.schedulers.tuned_rule:TunedRule"

RULES: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "best-fixed": (_TUNED, {"rule": "best-fixed"}),
    "index": ("splitgym.schedulers.index:Index", {}),
    "look-ahead": ("splitgym.schedulers.look_ahead:LookAhead", {}),
    "random": ("splitgym.schedulers.random:Random", {}),
    "rollout": ("splitgym.schedulers.rollout:Rollout", {}),
    "tuned": (_TUNED, {}),
    "two-timescale": ("splitgym.schedulers.two_timescale:TwoTimescale", {}),
    "greedy": (_RULE, {"allocation": "descent"}),
    "gpsl": (_RULE, {"batch_size": "gpsl"}),
    "slack-clock": (_RULE, {"clock": "slack"}),
    **{name: (_RULE, {"allocation": name}) for name in ALLOCATIONS if name != "descent"},
    **{name: (_RULE, {"selection": name}) for name in SELECTIONS if name != "everybody"},
}
"""The rules of the package, as `Registry` takes them."""

_REGISTRY: Registry[Scheduler] = Registry("scheduler", Scheduler, RULES)


def names() -> tuple[str, ...]:
    """Names of the rules that come with the package."""
    return _REGISTRY.names()


def make(name: str, env: gym.Env[Any, Any], **options: Any) -> Scheduler:
    """Makes the scheduler of that name for an environment.

    Args:
        name: See `names`; or `module:NAME` of a class of one's own that is derived from `Scheduler`.
        env: A SplitLearning environment, wrapped or not.
        options: Of the scheduler, as its class says; of every rule `cut_layer`, `aggregation_ratio`, and its
            `selection`, `allocation`, `batch_size` or `clock` (whichever its name does not say), and the selection's
            parameters.

    Raises:
        ValueError: there is no such scheduler, or an option is unknown, missing or has a value that is not allowed.
        TypeError: `env` is no SplitLearning environment.
    """
    return _REGISTRY.make(name, env, **options)


def parse(text: str) -> tuple[str, dict[str, Any]]:
    """Reads `name:option=value,option=value`: name and options of a scheduler for `make`.

    The name of one's own is `module:NAME`.

    Numbers, true, false and null are read as in JSON, everything else is text: "highest-loss-k:k=3,allocation=fixed".

    Raises:
        ValueError: there is no such scheduler or option, or an option is given twice or without a value.
    """
    return _REGISTRY.parse(text)


def factory(text: str, **defaults: Any) -> Callable[[gym.Env[Any, Any]], Scheduler]:
    """What makes the scheduler that a text names, see `parse`; picklable.

    Args:
        text: name:option=value,option=value.
        defaults: Options that the text may override.

    Raises:
        ValueError: as `parse`.
    """
    return _REGISTRY.factory(text, **defaults)
