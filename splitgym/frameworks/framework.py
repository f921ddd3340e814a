"""What every framework offers, and the frameworks by name."""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from splitgym.frameworks.phases import Phase, Workload
from splitgym.scenario import ScenarioError
from splitgym.scenario.errors import suggest

if TYPE_CHECKING:
    from splitgym.frameworks.parties import Exercise, Parties

_MODULES = {"epsl": "splitgym.frameworks.epsl", "psl": "splitgym.frameworks.psl"}


@dataclass(frozen=True)
class Framework:
    """A learning framework: the phases that its round is made of, and the round itself."""

    name: str
    phases: Callable[[Workload], tuple[Phase, ...]]
    """What is computed and sent when, for all cut layers at once."""
    train: "Callable[[Parties, Exercise], bool]"
    """Trains one round; False: something was not finite and no weight was changed."""
    aggregates: bool
    """Whether the aggregation ratio phi means something; if not, it must be 0."""


def names() -> tuple[str, ...]:
    """Names of the frameworks."""
    return tuple(_MODULES)


def get(name: str) -> Framework:
    """The framework of that name.

    Raises:
        ScenarioError: there is none; the message suggests the nearest.
    """
    if not isinstance(name, str) or name not in _MODULES:
        raise ScenarioError(f"framework = {name!r} is unknown, {suggest(name, _MODULES)}")
    framework: Framework = importlib.import_module(_MODULES[name]).FRAMEWORK
    return framework
