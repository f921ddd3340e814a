"""The world behind the environment: cell, clock and learner, moved on by decisions. It knows nothing of Gymnasium."""

from copy import deepcopy
from dataclasses import replace
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from splitgym import data, models
from splitgym.allocation import project_power
from splitgym.frameworks import Framework, Program, Workload
from splitgym.learning import Learner, training_device
from splitgym.network import Network
from splitgym.rounds import Decision, RoundOutcome, RoundState, System
from splitgym.scenario import Scenario
from splitgym.timing import RoundCost, round_cost


class Round(NamedTuple):
    """A round that has been played."""

    decision: Decision
    """As it was carried out: within the power budgets."""
    projected: bool
    """Whether the power budgets had been broken."""
    cost: RoundCost
    before: RoundOutcome
    outcome: RoundOutcome


class World:
    """One world: `state` is what the scheduler believes, `truth` what the next round will run on.

    Args:
        scenario: The world's description.
        framework: Who trains what.
        device: Where to train; None: cuda if there is one.
    """

    def __init__(self, scenario: Scenario, framework: Framework, device: str | None) -> None:
        self.scenario = scenario
        self.framework = framework
        self.system = system_of(scenario, framework)
        self._device = training_device(device)
        self._network = Network(scenario)
        self._rng: np.random.Generator
        self._learner: Learner
        self._round = 0
        self._elapsed_s = 0.0

    def reset(self, rng: np.random.Generator) -> RoundOutcome:
        """Begins an episode: a new cell, new data shares, new weights; all drawn from `rng`."""
        self._rng, learner_seed = np.random.default_rng(rng.integers(2**63)), int(rng.integers(2**63))
        self._network.reset([self._rng])
        self._learner = Learner(self.scenario, self.framework, learner_seed, self._device)
        self._round, self._elapsed_s = 0, 0.0
        return self._learner.outcome

    @property
    def state(self) -> RoundState:
        """What the scheduler may believe at the start of the round."""
        cell = self._network
        return self._seen(cell.believed_channel_gain[0], cell.believed_client_hz[0], cell.believed_available[0])

    @property
    def truth(self) -> RoundState:
        """What the round will run on."""
        cell = self._network
        return self._seen(cell.channel_gain[0], cell.client_hz[0], cell.available[0])

    def play(self, decision: Decision) -> Round:
        """Plays one round.

        Raises:
            ValueError: the decision does not fit; the message names the field and what is allowed.
        """
        truth = self.truth
        decision.check(truth)
        decision, projected = project_power(decision, truth)
        cost = round_cost(truth, decision)
        before = self._learner.outcome
        outcome = self._learner.round(replace(decision, selected=cost.participants))
        self._round += 1
        self._elapsed_s += float(cost.latency_s)
        self._network.advance([self._rng], np.array([float(cost.latency_s)]))
        return Round(decision, projected, cost, before, outcome)

    def fork(self) -> "World":
        """A copy that goes its own way: what is played in it would happen here too, to the bit."""
        return deepcopy(self, {id(fixed): fixed for fixed in (self.scenario, self.framework, self.system)})

    def _seen(self, channel_gain: np.ndarray, client_hz: np.ndarray, available: np.ndarray) -> RoundState:
        outcome = self._learner.outcome
        return RoundState(
            channel_gain=channel_gain.copy(),
            client_hz=client_hz.copy(),
            server_hz=self.scenario.server.compute_hz,
            data_share=self._learner.data_share.copy(),
            client_loss=outcome.client_loss.copy(),
            accuracy=outcome.accuracy,
            round=self._round,
            elapsed_s=self._elapsed_s,
            cut_layer=outcome.cut_layer,
            client_cut_layer=outcome.client_cut_layer.copy(),
            available=available.copy(),
            system=self.system,
            prescribed_ratio=outcome.prescribed_ratio,
        )


def system_of(scenario: Scenario, framework: Framework) -> System:
    """What stays the same over an episode of a scenario with a framework."""
    profile, batch_norm = _network_costs(scenario.task.dataset, scenario.task.model, scenario.task.stem)
    workload = Workload.of(profile, scenario)
    one_batch = batch_norm and framework.joint_batch and scenario.training.batch_statistics == "joint"
    phases = framework.phases(workload)
    program = Program.compile(phases, workload, framework.turns, server_by_client=not one_batch)
    return System.of(scenario, profile, program)


@lru_cache(maxsize=32)
def _network_costs(dataset: str, model: str, stem: str) -> tuple[models.Profile, bool]:
    """What each unit of a network costs, and whether it has batch norm."""
    input_shape, classes = data.dimensions(dataset)
    network = models.build(model, input_shape, classes, stem=stem)
    return models.profile(network, input_shape), network.has_batch_norm
