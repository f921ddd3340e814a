"""What world: a validated, frozen description of the cell, its devices, the task and the episode."""

from splitgym.scenario.errors import ScenarioError, UnknownArgumentError
from splitgym.scenario.loading import build, in_commands, load, presets
from splitgym.scenario.names import check_files_differ, file_name
from splitgym.scenario.nodes import LinkRow, NodeRow, links_of, nodes_of
from splitgym.scenario.quantities import Range
from splitgym.scenario.routes import HERE, Route, Routes
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
    Handover,
    Knowledge,
    PlacementRow,
    Placements,
    Radio,
    Road,
    Server,
    Task,
    Training,
)
from splitgym.scenario.stations import StationRow, stations_on_a_subchannel

__all__ = [
    "HERE",
    "Actions",
    "Budgets",
    "Cell",
    "Clients",
    "Cloud",
    "Episode",
    "Family",
    "FedServer",
    "Handover",
    "Knowledge",
    "LinkRow",
    "NodeRow",
    "PlacementRow",
    "Placements",
    "Radio",
    "Range",
    "Road",
    "Route",
    "Routes",
    "Scenario",
    "ScenarioError",
    "Section",
    "Server",
    "StationRow",
    "Task",
    "Training",
    "UnknownArgumentError",
    "build",
    "check_files_differ",
    "file_name",
    "in_commands",
    "links_of",
    "load",
    "nodes_of",
    "presets",
    "stations_on_a_subchannel",
]
