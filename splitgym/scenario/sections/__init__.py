"""The sections of a scenario: one frozen model each, with units in the field descriptions."""

from splitgym.scenario.sections.cell import Cell
from splitgym.scenario.sections.episode import Budgets, Episode, Family
from splitgym.scenario.sections.learning import Task, Training
from splitgym.scenario.sections.mobility import Handover, Road
from splitgym.scenario.sections.nodes import Clients, Cloud, FedServer, Server
from splitgym.scenario.sections.placement import PlacementRow, Placements
from splitgym.scenario.sections.radio import Radio
from splitgym.scenario.sections.scheduling import Actions, Knowledge, Plan

__all__ = [
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
    "PlacementRow",
    "Placements",
    "Plan",
    "Radio",
    "Road",
    "Server",
    "Task",
    "Training",
]
