"""Components of actions, each in its own file: in whole numbers, in numbers -1..1, or both."""

from splitgym.envs.actions.components.batch_sizes import BatchLevels
from splitgym.envs.actions.components.choices import ChoiceLevels, MeanLevels, choice_levels, choice_parts
from splitgym.envs.actions.components.clocks import ClockFractions, ClockLevels
from splitgym.envs.actions.components.component import Component, Continuous, Discrete, EqualParts, Said, nearest
from splitgym.envs.actions.components.cut_layers import CutLevels, CutParts
from splitgym.envs.actions.components.owners import OwnerLevels
from splitgym.envs.actions.components.phi import PhiAboveZero, PhiFraction, PhiLevels
from splitgym.envs.actions.components.placements import PlacementLevels, PlacementScores
from splitgym.envs.actions.components.power import ClientPower, PowerLevels
from splitgym.envs.actions.components.quorum import QuorumLevels, QuorumParts
from splitgym.envs.actions.components.rules import RuleNumber
from splitgym.envs.actions.components.selection import SelectionLevels, SelectionSigns
from splitgym.envs.actions.components.spectrum import SpectrumDemand
from splitgym.envs.actions.components.utility import ClientWeights, LatencyExponent

__all__ = [
    "BatchLevels",
    "ChoiceLevels",
    "ClientPower",
    "ClientWeights",
    "ClockFractions",
    "ClockLevels",
    "Component",
    "Continuous",
    "CutLevels",
    "CutParts",
    "Discrete",
    "EqualParts",
    "LatencyExponent",
    "MeanLevels",
    "OwnerLevels",
    "PhiAboveZero",
    "PhiFraction",
    "PhiLevels",
    "PlacementLevels",
    "PlacementScores",
    "PowerLevels",
    "QuorumLevels",
    "QuorumParts",
    "RuleNumber",
    "Said",
    "SelectionLevels",
    "SelectionSigns",
    "SpectrumDemand",
    "choice_levels",
    "choice_parts",
    "nearest",
]
