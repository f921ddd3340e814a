"""What world: a validated, frozen description of the cell, its devices, the task and the episode."""

from splitgym.scenario.errors import ScenarioError
from splitgym.scenario.loading import build, in_commands, load, presets
from splitgym.scenario.names import check_files_differ, file_name
from splitgym.scenario.nodes import LinkRow, NodeRow, links_of, nodes_of
from splitgym.scenario.quantities import Range
from splitgym.scenario.scenario import Scenario
from splitgym.scenario.section import Section
from splitgym.scenario.sections import (
    Actions,
    Budgets,
    Cell,
    Clients,
    Cloud,
    Episode,
    Family,
    FedServer,
    Knowledge,
    PlacementRow,
    Placements,
    Radio,
    Server,
    Task,
    Training,
)

__all__ = [
    "Actions",
    "Budgets",
    "Cell",
    "Clients",
    "Cloud",
    "Episode",
    "Family",
    "FedServer",
    "Knowledge",
    "LinkRow",
    "NodeRow",
    "PlacementRow",
    "Placements",
    "Radio",
    "Range",
    "Scenario",
    "ScenarioError",
    "Section",
    "Server",
    "Task",
    "Training",
    "build",
    "check_files_differ",
    "file_name",
    "in_commands",
    "links_of",
    "load",
    "nodes_of",
    "presets",
]
