"""When clients fetch common first units and give them back, and how far what they give back replaces these."""

from typing import Any

import numpy as np

from splitgym.arrays import Bools, Floats
from splitgym.frameworks.fetched_units import FetchedUnits
from splitgym.frameworks.nodes import Nodes
from splitgym.frameworks.round_batch import Traffic
from splitgym.learning.weights import ClientWeights
from splitgym.scenario import Scenario
from splitgym.types import Decision, Flights


class Mixing:
    """What a round does with common units before and after it trains.

    Args:
        nodes: Whose clients fetch copies.
        weights: Of the clients; ages begin when clients fetch.
        data_share: [C] share of all training samples.
        scenario: Says the mixing rate, and the bits with which clients may compute.
    """

    def __init__(self, nodes: Nodes, weights: ClientWeights, data_share: Floats, scenario: Scenario) -> None:
        self._fetched, self._weights, self._data_share = FetchedUnits(nodes), weights, data_share
        self._rate, self._bits = scenario.training.mixing_rate, np.array([level.bits for level in scenario.plan.levels])

    def begin(self, decision: Decision, flights: Flights | None, traffic: Traffic) -> Bools:
        """Clients give back and fetch as they did in the step; without `flights` all that take part fetch.

        Returns:
            [C] clients that have fetched.
        """
        clients = len(self._data_share)
        returned_s = np.full(clients, np.inf) if flights is None else flights.returned_s
        began_s = np.where(decision.selected, 0.0, np.inf) if flights is None else flights.began_s
        cuts = np.broadcast_to(decision.cut_layer, clients)
        bits = self._bits[np.broadcast_to(decision.precision, clients)]
        self._fetched.go_through(returned_s, began_s, cuts, bits, traffic)
        began: Bools = np.isfinite(began_s)
        self._weights.forget_age(np.flatnonzero(began))
        return began

    def end(self, participants: tuple[int, ...], trained: bool, at_once: bool, traffic: Traffic) -> None:
        """Notes an update before its participants are counted; they give back now if that happens at once."""
        if trained:
            share = float(self._data_share[list(participants)].sum()) if self._rate is None else self._rate
            self._fetched.note_update(participants, share * self._weights.of(participants))
        if at_once:
            self._fetched.give_back(participants, traffic)

    def state_dict(self) -> dict[str, Any]:
        """What changes beside nodes and weights, as plain values."""
        return self._fetched.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes back to what `state_dict` gave."""
        self._fetched.load_state_dict(state)
