"""All schedulers by name: the rules of `splitgym.schedulers`, and learned ones."""

from collections.abc import Callable
from typing import Any

import gymnasium as gym

from splitgym.schedulers import Scheduler
from splitgym.schedulers.registry import RULES, Registry

from .algorithms import ALGORITHMS

_LEARNED = {name: (f"{__package__}.learned:Learned", {"algorithm": name}) for name in ALGORITHMS}
_UNTRAINED: tuple[str, dict[str, str]] = (f"{__package__}.untrained:Untrained", {})
_REGISTRY: Registry[Scheduler] = Registry("agent", Scheduler, {**RULES, **_LEARNED, "untrained": _UNTRAINED})


def names() -> tuple[str, ...]:
    """Names of the schedulers that come with the project."""
    return _REGISTRY.names()


def make(name: str, env: gym.Env[Any, Any], **options: Any) -> Scheduler:
    """Makes the scheduler of that name for an environment.

    Args:
        name: See `names`; or `module:NAME` of a class of one's own that is derived from `Agent`.
        env: A SplitLearning environment, wrapped or not.
        options: Of a learned scheduler `policy` and `deterministic`; of a rule as `splitgym.schedulers.make`.

    Raises:
        ValueError: there is no such scheduler, or an option is unknown, missing or has a value that is not allowed.
        TypeError: `env` is no SplitLearning environment.
    """
    return _REGISTRY.make(name, env, **options)


def parse(text: str) -> tuple[str, dict[str, Any]]:
    """Reads `name:option=value,option=value` as `splitgym.schedulers.parse` does.

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
