"""What every action encoding does: a space, and the way from a decision to an action and back."""

from abc import ABC, abstractmethod
from functools import cached_property
from typing import Any, Protocol, runtime_checkable

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from splitgym.arrays import Bools, Floats, Ints
from splitgym.envs.actions.cuts import CutComponent
from splitgym.frameworks import Framework
from splitgym.scenario import Scenario
from splitgym.types import Decision, RoundState, SystemParameters
from splitgym.types.legal import ROUNDING


class ActionCodec(ABC):
    """An encoding of decisions; decoding reads the state that the scheduler believes.

    Attributes:
        space: The action space.
        decides_subchannels: Whether an action says who gets which subchannel; observations then show every one.
        aggregation_levels: Values of phi that can be said: those of the scenario that the framework allows; only 0 if
            there are none, or with a framework that does not aggregate.
    """

    space: spaces.Space[Any]
    decides_subchannels = False

    def __init__(self, scenario: Scenario, system: SystemParameters, framework: Framework) -> None:
        self._clients = scenario.clients.count
        self._subchannels = system.subchannels
        self._cuts = CutComponent(system, self._clients)
        self._client_power_max_w = system.client_power_max_w
        self._highest_ratio = system.highest_ratio
        levels = np.array(scenario.actions.aggregation_levels)
        allowed = levels[levels <= self._highest_ratio + ROUNDING] if framework.aggregates else levels[:0]
        self.aggregation_levels = allowed if len(allowed) else np.zeros(1)

    @abstractmethod
    def decode(self, actions: NDArray[Any], state: RoundState) -> Decision:
        """The decisions of actions in the space, with phi as the framework prescribes it, if it does.

        Powers are not yet projected onto the budgets.

        Args:
            actions: [N, ...] of N worlds.
            state: Of these worlds.
        """

    @abstractmethod
    def encode(self, decision: Decision, state: RoundState) -> NDArray[Any]:
        """The action nearest to a decision, both of one world; what the encoding cannot say is lost."""

    def check(self, action: Any, worlds: int | None = None) -> NDArray[Any]:
        """The action as an array of the space; those of so many worlds with a leading axis.

        Raises:
            ValueError: it is not in the space; the message shows action and space.
        """
        try:
            array = np.asarray(action)
        except ValueError:
            array = np.asarray(None)
        low, high, kinds = self._allowed
        shape = self.space.shape if worlds is None else (worlds, *(self.space.shape or ()))
        # Compared before it is converted: conversion could round or wrap a value into the space.
        if array.shape == shape and array.dtype.kind in kinds and ((array >= low) & (array <= high)).all():
            return array.astype(self.space.dtype)
        of_each = "" if worlds is None else f" for each of {worlds} environments"
        text = f"action = {action!r} is not in the action space, allowed: {self.space}{of_each}"
        raise ValueError(" ".join(text.split()))

    @cached_property
    def _allowed(self) -> tuple[Any, Any, str]:
        """Lowest and highest values, and kinds of numbers."""
        if isinstance(self.space, spaces.MultiDiscrete):
            return self.space.start, self.space.start + self.space.nvec - 1, "iu"
        assert isinstance(self.space, spaces.Box)
        return self.space.low, self.space.high, "iuf"


@runtime_checkable
class Masked(Protocol):
    """An encoding in which some values can be known to be useless beforehand."""

    def masks(self, available: Bools) -> Bools:
        """[N, values] flat masks over all components of the MultiDiscrete space; every action stays legal.

        Args:
            available: [N, C] which clients are, as the scheduler believes.
        """
        ...


def in_or_out_masks(available: Bools) -> Bools:
    """[N, 2 C] masks of "out" and "in" for every client: who is away cannot come in."""
    return np.stack([np.ones_like(available), available], axis=-1).reshape(len(available), -1)


def nearest(levels: Floats, value: Any) -> Ints:
    """Index of the nearest level, for a value or for each of an array."""
    return np.abs(levels - np.asarray(value)[..., None]).argmin(-1)
