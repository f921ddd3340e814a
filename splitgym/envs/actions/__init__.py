"""Encodings of a decision as an action that Stable-Baselines3 can learn."""

from inspect import isabstract
from typing import Any

from splitgym.envs.actions.codec import ActionCodec, BoxCodec, Masked, MultiDiscreteCodec, components_of
from splitgym.envs.actions.continuous import ContinuousCodec
from splitgym.envs.actions.discrete import DiscreteCodec
from splitgym.envs.actions.priority import PriorityCodec
from splitgym.envs.actions.rule import RuleCodec
from splitgym.envs.actions.schedule import ScheduleCodec
from splitgym.frameworks import Framework
from splitgym.parts import Parts
from splitgym.scenario import Scenario, ScenarioError
from splitgym.types import SystemParameters


def _is_codec(part: Any) -> bool:
    return isinstance(part, type) and issubclass(part, ActionCodec) and not isabstract(part)


CODECS: Parts[type[ActionCodec]] = Parts(
    "ActionCodec",
    _is_codec,
    {
        "discrete": DiscreteCodec,
        "continuous": ContinuousCodec,
        "schedule": ScheduleCodec,
        "priority": PriorityCodec,
        "rule": RuleCodec,
    },
    ScenarioError,
)
"""All encodings."""


def codec(asked: Any, scenario: Scenario, system: SystemParameters, framework: Framework) -> ActionCodec:
    """An encoding for a scenario.

    Args:
        asked: Name in `CODECS`, `module:NAME` of a class of `ActionCodec` of one's own, or the class.
        scenario: Of the environment.
        system: Of the scenario and the framework.
        framework: Of the environment.

    Raises:
        ScenarioError: there is none; the message suggests the nearest.
    """
    found = CODECS.find(asked, "action")
    made = found(scenario, system, framework)
    made.always_fits = found in CODECS.values()
    return made


__all__ = [
    "CODECS",
    "ActionCodec",
    "BoxCodec",
    "ContinuousCodec",
    "DiscreteCodec",
    "Masked",
    "MultiDiscreteCodec",
    "PriorityCodec",
    "RuleCodec",
    "ScheduleCodec",
    "codec",
    "components_of",
]
