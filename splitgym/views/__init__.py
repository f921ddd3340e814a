"""The environment as other toolkits expect it: with costs apart, with several objectives, with clients as agents."""

from splitgym.views.costs_apart import CostsApart
from splitgym.views.multi_objective import OBJECTIVES, MultiObjectiveEnv

__all__ = ["OBJECTIVES", "CostsApart", "MultiObjectiveEnv"]
