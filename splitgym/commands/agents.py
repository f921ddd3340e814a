"""The schedulers that commands name."""

from typing import Any

import gymnasium as gym

from splitgym import command_line


def named(text: str, env: gym.Env[Any, Any]) -> Any:
    """The scheduler of that name, NAME:OPTION=VALUE; where the learned ones are not installed, a rule."""
    try:
        from agents import factory  # noqa: PLC0415 - not part of the installed package
    except ImportError:
        from splitgym.schedulers import factory  # noqa: PLC0415 - help need not import environments
    with command_line.checking_input():
        return factory(text)(env)
