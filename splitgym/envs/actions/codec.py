"""What every action encoding does: a space, and the way from a decision to an action and back."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from operator import itemgetter
from typing import Any, Protocol, runtime_checkable

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from splitgym.allocation.legalise import held_cut, legal_ratio, plan_in_flight, with_clusters, with_legal_ratio
from splitgym.arrays import Bools, Floats, Ints
from splitgym.envs.actions.components import Component, Continuous, Discrete, Said
from splitgym.envs.actions.components.phi import levels_of
from splitgym.frameworks import Framework
from splitgym.inputs import InputError
from splitgym.kernels import NO_REFCOUNT, kernel
from splitgym.scenario import Scenario
from splitgym.types import Decision, Plan, RoundState, SystemParameters
from splitgym.types.checks import shown
from splitgym.types.legal import check_allowed_ratio, check_decision
from splitgym.types.plan import FACTORS

UNSAID: Mapping[str, Callable[[RoundState], Any]] = {
    "cut_layer": lambda state: np.ones(len(state.available), np.int64),
    "second_cut": lambda state: 0,
    "selected": lambda state: state.available,
    "aggregation_ratio": lambda state: np.zeros(len(state.available)),
    "codec": lambda state: 0,
    "precision": lambda state: 0,
    "averaging": lambda state: 0,
    "batch_size": lambda state: 0,
    "placement": lambda state: 0,
}
"""What is decided where no component says it, of N worlds."""


def plan_said(said: Said) -> Plan:
    """The plans that actions say in N worlds."""
    return Plan(*_factors(said))


_factors = itemgetter(*FACTORS)


class ActionLevels(spaces.MultiDiscrete):
    """MultiDiscrete of one world that says what each entry is.

    Attributes:
        names: What each entry says, see `Component.names`.
    """

    def __init__(self, components: Sequence[Discrete]) -> None:
        super().__init__([n for component in components for n in component.values])
        self.names = _names(components)


class ActionBox(spaces.Box):
    """Box(-1, 1) of one world that says what each entry is.

    Attributes:
        names: What each entry says, see `Component.names`.
    """

    def __init__(self, components: Sequence[Continuous]) -> None:
        self.names = _names(components)
        super().__init__(-1.0, 1.0, (len(self.names),), np.float32)


class ActionCodec(ABC):
    """An encoding of decisions: a list of components, and a function from what they say to a decision.

    One's own is derived from `MultiDiscreteCodec` or `BoxCodec`, has the methods `parts` and `decide`, and is named
    `module:NAME`.

    Args:
        scenario: Of the environment.
        system: Of the scenario and the framework.
        framework: Of the environment.

    Attributes:
        space: The action space.
        components: Which entries of an action say what, in order.
        always_fits: Whether `decide` gives only decisions that fit the state; those of others are checked.
        decides_subchannels: Whether an action says the owners of subchannels; observations then show every one.
        aggregation_levels: Values of phi to choose from: those of the scenario that the framework allows; only 0 if
            there are none, or with a framework that does not aggregate.
    """

    space: spaces.Space[Any]
    components: Sequence[Component]
    decides_subchannels = False
    always_fits = False

    def __init__(self, scenario: Scenario, system: SystemParameters, framework: Framework) -> None:
        self.aggregation_levels = levels_of(scenario, system, framework)
        # What nobody decides has no entries.
        self.components = tuple(part for part in self.parts(scenario, system, framework) if part.entries)
        ends = np.cumsum([component.entries for component in self.components]).tolist()
        places = [(slice(None), slice(begin, end)) for begin, end in zip([0, *ends], ends, strict=False)]
        self._entries = tuple(zip(self.components, places, strict=True))

    @abstractmethod
    def parts(self, scenario: Scenario, system: SystemParameters, framework: Framework) -> Sequence[Component]:
        """The components in the order of the action."""

    @abstractmethod
    def decide(self, said: Said, state: RoundState) -> Decision:
        """The decisions that actions mean; clusters are formed afterwards, powers need not keep the budgets.

        Args:
            said: What the components say in N worlds. The factors of a plan (see `plan_said`) and `selected` are always
                there: cut layer 1, phi = 0, the first of a list, and available clients, if no component says them. Phi
                is as the framework prescribes it, if it does, and 0 where gradients are sent apart (see `legal_ratio`).
                With an asynchronous framework those in flight that still need subchannels are selected, too, and cut
                layers, codecs and batch sizes are theirs.
            state: Of these worlds, as the scheduler believes it.
        """

    def decode(self, actions: NDArray[Any], state: RoundState) -> Decision:
        """The decisions of actions in the space; powers are not yet projected onto the budgets.

        Args:
            actions: [N, ...] of N worlds.
            state: Of these worlds, as the scheduler believes it.

        Raises:
            InputError: a decision of one's own encoding does not fit the state; the message names the field.
        """
        said: Said = {}
        for component, entries in self._entries:
            said |= component.read(actions[entries])
        for name, otherwise in UNSAID.items():
            if name not in said:
                said[name] = otherwise(state)
        if state.flights is not None:
            plan, said["selected"] = plan_in_flight(plan_said(said), state), state.to_serve(said["selected"])
            said |= {name: getattr(plan, name) for name in ("cut_layer", "codec", "precision", "batch_size")}
        if state.system.averages_later:
            said["cut_layer"] = held_cut(said["cut_layer"], state)
        said["aggregation_ratio"] = legal_ratio(plan_said(said), said["selected"], state)
        decision = self.decide(said, state)
        if "clock" in said:
            decision = replace(decision, clock=said["clock"])
        if "quorum" in said:
            decision = replace(decision, quorum=said["quorum"])
        if not self.always_fits:
            self._check(decision, state)
            decision = with_legal_ratio(decision, state)
        return with_clusters(decision, state)

    def encode(self, decision: Decision, state: RoundState) -> NDArray[Any]:
        """The action nearest to a decision, both of one world; what the encoding cannot say is lost."""
        entries = np.concatenate([component.write(decision, state) for component in self.components])
        return entries.astype(self.space.dtype)

    def check(self, action: Any, worlds: int | None = None) -> NDArray[Any]:
        """The action as an array of the space; those of so many worlds with a leading axis.

        Raises:
            ValueError: it is not in the space; the message shows action and space.
        """
        try:
            array = np.asarray(action)
        except ValueError:
            array = np.asarray(None)
        low, high, kinds = self._bounds
        shape = self.space.shape if worlds is None else (worlds, *(self.space.shape or ()))
        # Compared before it is converted: conversion could round or wrap a value into the space.
        if array.shape == shape and array.dtype.kind in kinds and _is_between(array, low, high):
            return array.astype(self.space.dtype)
        of_each = "" if worlds is None else f" for each of {worlds} environments"
        text = f"action = {action!r} is not in the action space, allowed: {self.space}{of_each}"
        raise ValueError(" ".join(text.split()))

    @cached_property
    @abstractmethod
    def _bounds(self) -> tuple[Any, Any, str]:
        """Lowest and highest values of the entries, and kinds of numbers."""

    def _check(self, decision: Any, state: RoundState) -> None:
        """Raises an InputError if the decisions of one's own encoding do not fit the state."""
        if not isinstance(decision, Decision):
            raise InputError(f"{type(self).__name__}.decide gave {shown(decision)}, allowed: splitgym.types.Decision")
        check_decision(decision, state)
        ratio = decision.aggregation_ratio[np.isnan(state.prescribed_ratio)]
        check_allowed_ratio(ratio.max(initial=0.0), state.system.highest_ratio, np.nan)


class MultiDiscreteCodec(ActionCodec):
    """An encoding in whole numbers, of `Discrete` components."""

    components: tuple[Discrete, ...]
    space: ActionLevels

    def __init__(self, scenario: Scenario, system: SystemParameters, framework: Framework) -> None:
        super().__init__(scenario, system, framework)
        self._memory = system.memory
        self.space = ActionLevels(self.components)

    def masks(self, available: Bools, deepest: Ints) -> Bools:
        """[N, values] flat masks of all components."""
        able = available if self._memory is None else available & self._memory.cuts_until(deepest).any(-1)
        return np.concatenate([component.masks(able, deepest) for component in self.components], axis=1)

    @cached_property
    def _bounds(self) -> tuple[Any, Any, str]:
        return self.space.start, self.space.start + self.space.nvec - 1, "iu"


class BoxCodec(ActionCodec):
    """An encoding in numbers -1..1, of `Continuous` components."""

    components: tuple[Continuous, ...]
    space: ActionBox

    def __init__(self, scenario: Scenario, system: SystemParameters, framework: Framework) -> None:
        super().__init__(scenario, system, framework)
        entries = [component.entries for component in self.components]
        self.space = ActionBox(self.components)
        low, high = np.array([(component.low, component.high) for component in self.components]).T
        self._middle, self._half = np.repeat((low + high) / 2, entries), np.repeat((high - low) / 2, entries)

    def decode(self, actions: NDArray[Any], state: RoundState) -> Decision:
        """As of all encodings; components read numbers of their ranges."""
        scaled = np.empty(actions.shape)
        _scale(np.ascontiguousarray(actions, np.float32), self._middle, self._half, scaled)
        return super().decode(scaled, state)

    @cached_property
    def _bounds(self) -> tuple[Any, Any, str]:
        return self.space.low, self.space.high, "iuf"


@runtime_checkable
class Masked(Protocol):
    """An encoding in which some values can be known to be useless beforehand."""

    def masks(self, available: Bools, deepest: Ints) -> Bools:
        """[N, values] flat masks over all components of the MultiDiscrete space; every action stays legal.

        Args:
            available: [N, C] which clients are, as the scheduler believes.
            deepest: [N, C] the deepest cut layer for which each client has the memory, 0: there is none.
        """
        ...


def components_of(space: spaces.Space[Any]) -> tuple[str, ...]:
    """What the entries of actions say, without indices, in order; nothing of a space that does not tell."""
    names: tuple[str, ...] = getattr(space, "names", ())
    return tuple(dict.fromkeys(name.partition("[")[0] for name in names))


def _names(components: Sequence[Component]) -> tuple[str, ...]:
    """What each entry of an action says."""
    return tuple(name for component in components for name in component.names())


def _is_between(array: NDArray[Any], low: NDArray[Any], high: NDArray[Any]) -> bool:
    """Whether all numbers are finite and within bounds for the last axis."""
    # One pass over actions of the space's own type; others are rare.
    if array.dtype == low.dtype and array.flags.c_contiguous:
        return bool(_are_between(array.reshape(-1, len(low)), low, high))
    return bool(((array >= low) & (array <= high)).all())


@kernel(NO_REFCOUNT)
def _scale(actions: NDArray[np.float32], middle: Floats, half: Floats, scaled: Floats) -> None:
    """Fills [N, entries] middle + half * action."""
    for n in range(actions.shape[0]):
        for k in range(actions.shape[1]):
            scaled[n, k] = middle[k] + half[k] * actions[n, k]


@kernel(NO_REFCOUNT)
def _are_between(rows: NDArray[Any], low: NDArray[Any], high: NDArray[Any]) -> bool:
    for n in range(rows.shape[0]):
        for k in range(rows.shape[1]):
            if not (rows[n, k] >= low[k] and rows[n, k] <= high[k]):
                return False
    return True
