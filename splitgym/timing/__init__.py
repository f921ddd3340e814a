"""Phases to latency, energy, traffic and timeline."""

from splitgym.timing.cost import RoundCost, round_cost

__all__ = ["RoundCost", "round_cost"]
