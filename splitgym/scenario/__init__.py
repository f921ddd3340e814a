"""What world: a validated, frozen description of the cell, its devices, the task and the episode."""

from splitgym.scenario.errors import ScenarioError
from splitgym.scenario.loading import build, in_commands, load, presets
from splitgym.scenario.scenario import Scenario
from splitgym.scenario.section import Section
from splitgym.scenario.sections import (
    Actions,
    Cell,
    Clients,
    Cloud,
    Episode,
    Family,
    Knowledge,
    Radio,
    Range,
    Server,
    Task,
    Training,
)

__all__ = [
    "Actions",
    "Cell",
    "Clients",
    "Cloud",
    "Episode",
    "Family",
    "Knowledge",
    "Radio",
    "Range",
    "Scenario",
    "ScenarioError",
    "Section",
    "Server",
    "Task",
    "Training",
    "build",
    "in_commands",
    "load",
    "presets",
]
