"""The worlds behind the environment: cell, clock and learner, moved on by decisions. They know nothing of Gymnasium."""

import warnings
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from splitgym import data
from splitgym.allocation.budget import project_power_unchecked
from splitgym.allocation.legalise import legal_but_for_powers, legalise_unchecked
from splitgym.arrays import Bools, Floats, Ints
from splitgym.envs.history import History, Limits
from splitgym.envs.reused_band import INTERFERENCE, ReusedBand
from splitgym.envs.surrogate_round import SurrogateRound
from splitgym.envs.system import check_calibrated, system_of
from splitgym.frameworks import Framework
from splitgym.kernels import Handle
from splitgym.learning import Learners, learners
from splitgym.learning.surrogate import Surrogate
from splitgym.network import Network
from splitgym.network.family import fill_scales
from splitgym.random import Generators, Purpose, Streams
from splitgym.scenario import Scenario, ScenarioError, stations_on_a_subchannel
from splitgym.timing import RoundCost
from splitgym.timing.cost import Clock
from splitgym.types import Decision, Flights, RoundOutcome, RoundState

MANY_GAINS = 1_000_000
"""Channel gains with which a scenario is called large."""


GAIN_MB = 160e-6
"""Megabytes that a channel gain needs, with all that is worked out from it."""


class Round(NamedTuple):
    """A round that has been played, in N worlds. Later rounds write into its arrays."""

    decision: Decision
    """As it was carried out: within the power budgets."""
    projected: Bools
    """[N] whether the power budgets had been broken."""
    cost: RoundCost
    before: RoundOutcome
    """Of the round before."""
    outcome: RoundOutcome
    truth: RoundState
    """What the round ran on."""
    first_reached: Bools
    """[N] whether the round reached the target accuracy in time, for the first time in the episode."""
    terminated: Bools
    """[N] whether that ended the episode."""
    truncated: Bools
    """[N] whether the budget of rounds or of time ended it."""


class World:
    """N worlds at once: `state` is what the scheduler believes, `truth` what the next round will run on.

    World i depends on its own generator and decisions only, to the bit. The arrays of `state`, `truth` and `outcome`
    are made once, and later rounds write into them; treat them as read-only.

    Args:
        scenario: The worlds' description.
        framework: Its learning framework.
        learner: "train" or "surrogate".
        worlds: N.
        device: Where to train; None: cuda if there is one.

    Attributes:
        state: What the scheduler may believe at the start of the round.
        truth: What the round will run on.
    """

    def __init__(
        self,
        scenario: Scenario,
        framework: Framework,
        learner: str = "train",
        worlds: int = 1,
        device: str | None = None,
    ) -> None:
        if learner == "surrogate":
            check_calibrated(scenario, framework)
        _say_if_large(scenario, worlds)
        self.scenario = scenario
        self.framework = framework
        # A data set that cannot be read is said before what else may be wrong with it.
        data.dimensions(scenario.task.dataset)
        self._learner = learners(learner, scenario, framework, worlds, device)
        self.system = system_of(scenario, framework, self._learner.network_costs)
        self._network = Network(scenario, worlds, self.system.ways)
        self._clocks: dict[tuple[int, bool], Clock] = {}
        self._streams = Streams.empty(worlds)
        self._server_hz = np.full(worlds, scenario.server.compute_hz)
        placed = self.system.program.placed
        placed_units = 0 if placed is None else placed.units
        self._history = History.empty(Limits.of(scenario.episode), worlds, scenario.clients.count, placed_units)
        self._history_handle = Handle()
        self._surrogate_round: SurrogateRound | None = None
        if isinstance(self._learner, Surrogate) and self.system.asynchrony is None and not self.system.on_demand:
            self._surrogate_round = SurrogateRound(self._learner, self._streams, self._history)
        self._flights = None if self.system.asynchrony is None else Flights.idle(worlds, scenario.clients.count)
        reuses = self.system.stations_on_a_subchannel > 1
        self._reused = ReusedBand(scenario, self._network) if reuses else None
        cell, band = self._network, self._reused or self._network
        self.state = self._seen(band.believed_channel_gain, cell.believed_client_hz, cell.believed_available)
        if not self.system.labels_known:
            # The server has no labels, and clients do not report what comes from them: there are no entries to read.
            shares, losses = self.state.class_share[..., :0], self.state.client_loss[..., :0]
            self.state = replace(self.state, class_share=shares, client_loss=losses)
        self.truth = self._seen(band.channel_gain, cell.client_hz, cell.available)
        self._whole = self.state, self.truth
        self._part: tuple[Ints, float] | None = None
        self._parts: dict[int, tuple[RoundState, RoundState]] = {}

    def restrict(self, subchannels: Ints, server_hz: float) -> None:
        """Lets rounds run on some of the subchannels, and on so much of the server, from the next one on.

        Args:
            subchannels: [m] indices of the subchannels, increasing.
            server_hz: Cycles/s.

        Raises:
            ScenarioError: every station uses all subchannels.
        """
        if self._reused is not None:
            raise ScenarioError("radio.frequency_reuse = 'universal' in a part of a cell, allowed: 'coordinated'")
        self._part = subchannels, server_hz
        self._see()

    def latency_s(self, decision: Decision) -> Floats:
        """[N] what the coming round would take if decisions, known to fit, were played: nothing moves, s."""
        legal, _ = legalise_unchecked(decision, self.truth)
        latency_s: Floats = self._clock().cost(self.truth, legal).latency_s
        return latency_s

    @property
    def whole_state(self) -> RoundState:
        """What may be believed of the whole band and the whole server, also where rounds run on a part."""
        return self._whole[0]

    def reset(self, rngs: Generators, which: Sequence[int] | Ints) -> None:
        """Starts episodes: new cells, new partitions of the data, new weights; those of world i drawn from `rngs[i]`.

        Args:
            rngs: One generator per world.
            which: Indices of the worlds; all of them at first.
        """
        which = np.asarray(which)
        own, streams = [rngs[i] for i in which.tolist()], self._streams
        streams.begin_episodes(which, own)
        self._network.reset(streams, which)
        clients, alpha = self._network.present[which].sum(1), np.empty(len(which))
        usual = self.scenario.task.dirichlet_alpha
        between = self.scenario.family.dirichlet_alpha or (usual, usual)
        fill_scales(which, streams, int(Purpose.SKEW), between, alpha, np.zeros(4))
        self._learner.reset(which, own, streams, clients, alpha)
        self._history.forget(which)
        if self._reused is not None:
            self._reused.forget(which)
        if self._flights is not None:
            self._flights.forget(which)
        self._see()

    @property
    def position_m(self) -> Floats:
        """[N, C, 2] where the clients are, m; without rows of stations the base station is in the origin."""
        return self._network.position_m

    @property
    def handovers(self) -> Ints:
        """[N] clients that begin the round with another station than the one before."""
        return np.asarray((self._network.handed_over & self._network.present).sum(1))

    @property
    def radius_m(self) -> Floats:
        """[N] radius of the cell, m."""
        return self._network.radius_m

    @property
    def learners(self) -> Learners:
        """What learns in the worlds."""
        return self._learner

    @property
    def outcome(self) -> RoundOutcome:
        """What the last round taught."""
        return self._learner.outcome

    def play(self, decision: Decision) -> Round:
        """Plays one round in every world.

        Args:
            decision: Of N worlds.

        Returns:
            The round, with arrays of its own.

        Raises:
            InputError: a field of the decision does not fit; then nothing has moved.
        """
        for world in range(len(self._server_hz)):
            decision.world(world).check(self.truth.world(world))
        played = deepcopy(self.play_unchecked(decision, timeline=True), {id(self.system): self.system})
        self.advance()
        return played

    def play_unchecked(self, decision: Decision, idle: Bools | None = None, timeline: bool = False) -> Round:
        """Plays one round in every world, up to where `advance` goes on to the next one.

        Args:
            decision: Of N worlds, known to fit.
            idle: [N] worlds that play none and are reset next: no client works there.
            timeline: Whether the cost tells when each client was busy with what.
        """
        truth, learner = self.truth, self._learner
        if idle is not None:
            decision = replace(decision, selected=decision.selected & ~idle[:, None])
            if self._flights is not None:
                self._flights.forget(idle)
        decision = legal_but_for_powers(decision, truth)
        if self._surrogate_round is not None:
            decision, projected, cost = self._surrogate_round.play(decision, truth, self._clock(timeline))
        else:
            decision, projected, cost = self.play_in_parts(decision, timeline)
        history, plans, placed = self._history, self.system.program.plans, self.system.program.placed
        if plans.second_cuts > 1 and not self.framework.has_tail:
            history.remember_second_cut(cost.participants, decision)
        if self.system.averages_later:
            history.remember_mean(learner.outcome)
        if plans.codecs > 1:
            history.remember_codecs(cost.participants, decision)
        if plans.smallest_batch:
            history.remember_batch_sizes(cost.participants, decision)
        if self._reused is not None:
            self._reused.remember(decision, truth.available)
        if placed is not None:
            history.remember_placement(cost.participants, decision, placed.holder)
        ends = history.first_reached, history.terminated, history.truncated
        return Round(decision, projected, cost, learner.before, learner.outcome, truth, *ends)

    def play_in_parts(self, decision: Decision, timeline: bool = False) -> tuple[Decision, Bools, RoundCost]:
        """As `SurrogateRound.play`, for all other rounds, one part after the other."""
        truth, learner, number, placed = self.truth, self._learner, self._streams.round, self.system.program.placed
        decision, projected = project_power_unchecked(decision, truth)
        cost = self._clock(timeline).cost(truth, decision)
        if self._flights is not None and cost.flights is not None:
            self._flights.follow(cost.flights)
        number += 1
        placements = None if placed is None else placed.of(decision.placement, len(decision.selected))
        learner.round(decision, cost.participants, self._streams, cost.flights, placements)
        if self._flights is not None:
            self._add_generated_rows(self._flights, decision)
        self._history.remember(self._history_handle, number, cost, decision.aggregation_ratio, learner.outcome)
        return decision, projected, cost

    def _clock(self, timeline: bool = False) -> Clock:
        """Of the part of the cell that the worlds have."""
        kind = self.system.subchannels, timeline
        if kind not in self._clocks:
            worlds, clients = self.truth.available.shape
            self._clocks[kind] = Clock(self.system, worlds, clients, timeline)
        return self._clocks[kind]

    def _add_generated_rows(self, flights: Flights, decision: Decision) -> None:
        """Gives the server the rows to do with which it balances labels, after it has answered the clients."""
        asynchrony = self.system.asynchrony
        if asynchrony is not None and asynchrony.row_cycles is not None:
            cycles = asynchrony.row_cycles[np.asarray(decision.cut_layer) - 1]
            flights.server_left[:] += self._learner.outcome.generated_rows * cycles

    def advance(self) -> None:
        """Goes on from the end of a round to the start of the next one."""
        self._network.advance(self._streams, self._history.latency_s)
        self._see()

    def fork(self) -> "World":
        """A copy that goes its own way: what is played in it would happen here too, to the bit."""
        systems = (state.system for state, _ in self._parts.values())
        fixed = self.scenario, self.framework, self.whole_state.system, *systems
        return deepcopy(self, {id(each): each for each in fixed})

    def _see(self) -> None:
        """Shows what of the coming round is seen with the part of the cell that the worlds have."""
        if self._reused is not None:
            self._reused.see(self._network)
        if self._part is None:
            return
        subchannels, server_hz = self._part
        if len(subchannels) not in self._parts:
            state, truth = (whole.part(subchannels, server_hz) for whole in self._whole)
            self._parts[len(subchannels)] = state, truth
        self.state, self.truth = self._parts[len(subchannels)]
        self.system = self.state.system
        for part, whole in zip((self.state, self.truth), self._whole, strict=True):
            part.channel_gain[:] = whole.channel_gain[..., subchannels]
            part.subchannel_hz[:] = whole.subchannel_hz[..., subchannels]
            part.server_hz[:] = server_hz

    def _seen(self, channel_gain: Floats, client_hz: Floats, available: Bools) -> RoundState:
        """The state of N worlds, with what is believed or true of channels, speeds and availability."""
        outcome, history, reused = self._learner.outcome, self._history, self._reused
        interference = {} if reused is None else {name: getattr(reused, name) for name in INTERFERENCE}
        return RoundState(
            channel_gain=channel_gain,
            subchannel_hz=(self._reused or self._network).subchannel_hz,
            client_hz=client_hz,
            server_hz=self._server_hz,
            present=self._network.present,
            data_share=self._learner.data_share,
            class_share=self._learner.class_share,
            client_loss=outcome.client_loss,
            accuracy=outcome.accuracy,
            round=self._streams.round,
            elapsed_s=history.elapsed_s,
            cut_layer=outcome.cut_layer,
            client_cut_layer=outcome.client_cut_layer,
            available=available,
            participated=history.participated,
            absence=history.absence,
            experience=history.experience,
            last_aggregation_ratio=history.aggregation_ratio,
            last_latency_s=history.latency_s,
            system=self.system,
            prescribed_ratio=outcome.prescribed_ratio,
            second_cut=history.second_cut,
            client_second_cut=outcome.client_second_cut,
            client_codec=history.client_codec,
            rounds_since_mean=history.rounds_since_mean,
            energy_j=history.energy_j,
            placement=history.placement,
            unit_node=history.unit_node,
            client_batch_size=history.client_batch_size,
            samples=self._learner.samples,
            samples_left=self._learner.samples_left,
            client_memory_bytes=self._network.client_memory_bytes,
            station=self._network.station,
            interruption_s=self._network.interruption_s,
            wired_s_per_bit=self._network.wired_s_per_bit,
            **interference,
            flights=self._flights,
        )


def _say_if_large(scenario: Scenario, worlds: int) -> None:
    """Warns before memory and time are spent on a size that may be a mistake."""
    clients, subchannels = scenario.clients.count, scenario.radio.subchannels
    gains = (
        worlds
        * clients
        * subchannels
        * stations_on_a_subchannel(scenario)
        * (1 + scenario.knowledge.channel_delay_rounds)
    )
    if gains > MANY_GAINS:
        warnings.warn(
            f"scenario {scenario.name!r} is large: clients.count = {clients} times radio.subchannels = {subchannels} "
            f"are {gains} channel gains in {worlds} worlds and their past, about {gains * GAIN_MB:.0f} MB",
            RuntimeWarning,
            stacklevel=2,
        )
