"""What every action encoding does: a space, and the way from a decision to an action and back."""

from abc import ABC, abstractmethod
from typing import Any, Protocol, runtime_checkable

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from splitgym.frameworks import Framework
from splitgym.rounds import Decision, RoundState, System
from splitgym.scenario import Scenario


class ActionCodec(ABC):
    """An encoding of decisions; decoding reads the state that the scheduler believes.

    Attributes:
        space: The action space.
        aggregation_levels: Values of phi that can be said; only 0 with a framework that does not aggregate.
    """

    space: spaces.Space[Any]

    def __init__(self, scenario: Scenario, system: System, framework: Framework) -> None:
        self._clients = scenario.clients.count
        self._subchannels = system.subchannels
        self._cuts = system.cut_layers
        self._subchannel_hz = system.subchannel_hz
        self._client_power_max_w = system.client_power_max_w
        self.aggregation_levels = np.array(scenario.actions.aggregation_levels if framework.aggregates else (0.0,))

    @abstractmethod
    def decode(self, action: NDArray[Any], state: RoundState) -> Decision:
        """The decision of an action in the space; not yet projected onto the power budgets."""

    @abstractmethod
    def encode(self, decision: Decision, state: RoundState) -> NDArray[Any]:
        """The action nearest to a decision; what the encoding cannot say is lost."""

    def check(self, action: Any) -> NDArray[Any]:
        """The action as an array of the space.

        Raises:
            ValueError: it is not in the space; the message shows action and space.
        """
        array = np.asarray(action)
        if array.shape != self.space.shape:
            raise ValueError(f"action has shape {array.shape}, allowed: {self.space.shape} in {self.space}")
        if np.issubdtype(array.dtype, np.floating) and not np.all(np.isfinite(array)):
            raise ValueError(f"action = {array} is not finite, allowed: {self.space}")
        exact = array.astype(self.space.dtype)
        if not np.allclose(exact, array, rtol=0, atol=1e-6) or not self.space.contains(exact):
            raise ValueError(f"action = {array} is outside the space, allowed: {self.space}")
        return exact


@runtime_checkable
class Masked(Protocol):
    """An encoding in which some values can be known to be useless beforehand."""

    def masks(self, state: RoundState) -> NDArray[np.bool_]:
        """Flat mask over the values of all components of the MultiDiscrete space; every action stays legal."""
        ...


def in_or_out_masks(state: RoundState) -> NDArray[np.bool_]:
    """[2 C] masks of "out" and "in" for every client: who is away cannot come in."""
    return np.stack([np.ones_like(state.available), state.available], axis=1).ravel()


def nearest(levels: NDArray[np.float64], value: Any) -> NDArray[np.int64]:
    """Index of the nearest level, for a value or for each of an array."""
    return np.abs(levels - np.asarray(value)[..., None]).argmin(-1)
