"""The schedulers that commands name."""

from typing import Any

import gymnasium as gym

from splitgym import command_line


def named(text: str, env: gym.Env[Any, Any]) -> Any:
    """The scheduler of that name, NAME:OPTION=VALUE."""
    from splitgym.agents import factory  # type: ignore[attr-defined] # noqa: PLC0415 - help need not import it

    with command_line.checking_input():
        return factory(text)(env)
