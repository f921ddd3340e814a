"""One number: a rule that selects clients, how many, and the cut layer; for algorithms that need a `Discrete` space."""

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from splitgym.allocation.selection.rules import SELECTIONS, FirstK, RandomK
from splitgym.allocation.updates import allocate_update_unchecked
from splitgym.arrays import Bools, Ints
from splitgym.envs.actions.codec import ActionCodec, plan_said
from splitgym.envs.actions.components import Component, Discrete, RuleNumber, Said
from splitgym.frameworks import Framework
from splitgym.scenario import Scenario
from splitgym.types import Decision, RoundState, SystemParameters


class ActionNumber(spaces.Discrete):
    """Discrete of one world that says what its number is.

    Attributes:
        names: What it says, see `Component.names`.
    """

    def __init__(self, component: Discrete) -> None:
        super().__init__(component.values[0])
        self.names = component.names()


class RuleCodec(ActionCodec):
    """((index of the rule) C + k - 1) (L - 1) + cut layer - 1; phi is the scenario's.

    Attributes:
        rules: Names of the rules, in the order of their indices: all that select a number of clients and draw nothing;
            where labels are private, without those that read what comes from labels.
    """

    space: ActionNumber
    components: tuple[RuleNumber]

    def __init__(self, scenario: Scenario, system: SystemParameters, framework: Framework) -> None:
        super().__init__(scenario, system, framework)
        self.space = ActionNumber(self.components[0])

    def parts(self, scenario: Scenario, system: SystemParameters, framework: Framework) -> Sequence[Component]:
        """The number alone."""
        known = {name: rule for name, rule in SELECTIONS.items() if issubclass(rule, FirstK) and rule is not RandomK}
        found = {name: rule for name, rule in known.items() if system.labels_known or not rule.reads_labels}
        self.rules = tuple(found)
        ratio = min(scenario.training.aggregation_ratio, system.highest_ratio)
        return (RuleNumber(tuple(found.values()), scenario.clients.count, system, ratio),)

    def decode(self, actions: NDArray[Any], state: RoundState) -> Decision:
        """As of all encodings; [N] actions have no axis of entries."""
        return super().decode(actions.reshape(len(actions), 1), state)

    def decide(self, said: Said, state: RoundState) -> Decision:
        """The rule's clients; greedy subchannels and exact power control for them."""
        plan, number = plan_said(said), self.components[0]
        selected = [
            number.selected(int(said["rule"][n]), int(said["clients"][n]), plan.world(n), state.world(n))
            for n in range(len(state.available))
        ]
        return allocate_update_unchecked(state, plan, state.to_serve(np.array(selected)))

    def encode(self, decision: Decision, state: RoundState) -> NDArray[Any]:
        """The number, without an axis."""
        return super().encode(decision, state)[0]

    def masks(self, available: Bools, deepest: Ints) -> Bools:
        """[N, values] of the number."""
        return self.components[0].masks(available, deepest)

    @cached_property
    def _bounds(self) -> tuple[Any, Any, str]:
        return np.zeros(1, np.int64), np.array([self.space.n - 1]), "iu"
