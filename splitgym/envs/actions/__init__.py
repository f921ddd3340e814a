"""Encodings of a decision as an action that Stable-Baselines3 can learn."""

from splitgym.envs.actions.codec import ActionCodec, Masked
from splitgym.envs.actions.continuous import ContinuousCodec
from splitgym.envs.actions.discrete import DiscreteCodec
from splitgym.envs.actions.priority import PriorityCodec
from splitgym.envs.actions.schedule import ScheduleCodec
from splitgym.frameworks import Framework
from splitgym.parts import suggest
from splitgym.scenario import Scenario, ScenarioError
from splitgym.types import SystemParameters

CODECS: dict[str, type[ActionCodec]] = {
    "discrete": DiscreteCodec,
    "continuous": ContinuousCodec,
    "schedule": ScheduleCodec,
    "priority": PriorityCodec,
}


def codec(name: str, scenario: Scenario, system: SystemParameters, framework: Framework) -> ActionCodec:
    """The encoding of that name for a scenario.

    Raises:
        ScenarioError: there is none; the message suggests the nearest.
    """
    if not isinstance(name, str) or name not in CODECS:
        raise ScenarioError(f"action = {name!r} is unknown, {suggest(str(name), CODECS)}")
    return CODECS[name](scenario, system, framework)


__all__ = [
    "CODECS",
    "ActionCodec",
    "ContinuousCodec",
    "DiscreteCodec",
    "Masked",
    "PriorityCodec",
    "ScheduleCodec",
    "codec",
]
