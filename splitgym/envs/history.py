"""The history of episodes, and how rounds end them."""

from typing import Any, NamedTuple, Self

import numpy as np

from splitgym.arrays import Bools, Floats, Ints
from splitgym.frameworks.placed import AT_CLIENTS, NONE_YET
from splitgym.kernels import NO_REFCOUNT, Handle, kernel
from splitgym.scenario import Episode
from splitgym.timing import RoundCost
from splitgym.types import Decision, RoundOutcome


class Limits(NamedTuple):
    """When episodes end."""

    target_accuracy: float
    stop_at_target: bool
    max_rounds: int
    time_budget_s: float

    @classmethod
    def of(cls, episode: Episode) -> Self:
        """Of a scenario."""
        return cls(episode.target_accuracy, episode.stop_at_target, episode.max_rounds, episode.time_budget_s)


class History(NamedTuple):
    """The history of N episodes, as `RoundState` has it, and whether they have ended."""

    participated: Bools
    """[N, C] whether a client took part in the last round."""
    absence: Floats
    """[N, C] rounds since a client took part, or since the episode began."""
    experience: Floats
    """[N, C] rounds in which a client took part."""
    aggregation_ratio: Floats
    """[N] phi of the last round."""
    latency_s: Floats
    """[N] of the last round, s."""
    second_cut: Ints
    """[N] of the last round in which any client took part, where it is decided."""
    client_codec: Ints
    """[N, C] with which a client took part last; 0 before that."""
    rounds_since_mean: Ints
    """[N] rounds since clients' parts were averaged, where that is not in every round."""
    client_batch_size: Ints
    """[N, C] samples of the mini-batch with which a client took part last, where they are decided; 0 before that."""
    placement: Ints
    """[N] of the last round in which any client took part, where there are several; -1 before that."""
    unit_node: Ints
    """[N, L] row of the node that holds each unit, `AT_CLIENTS` or `NONE_YET`, with placements; else [N, 0]."""
    elapsed_s: Floats
    """[N]"""
    energy_j: Floats
    """[N] spent by clients and servers in the episode, J."""
    reached: Bools
    """[N] whether the target accuracy has been reached in time."""
    first_reached: Bools
    """[N] whether that was in the last round."""
    terminated: Bools
    """[N]"""
    truncated: Bools
    """[N]"""
    limits: Limits

    @classmethod
    def empty(cls, limits: Limits, worlds: int, clients: int, placed_units: int = 0) -> Self:
        """Before the first round; `placed_units`: L with placements."""
        return cls(
            participated=np.zeros((worlds, clients), bool),
            absence=np.zeros((worlds, clients)),
            experience=np.zeros((worlds, clients)),
            aggregation_ratio=np.zeros(worlds),
            latency_s=np.zeros(worlds),
            second_cut=np.zeros(worlds, np.int64),
            client_codec=np.zeros((worlds, clients), np.int64),
            rounds_since_mean=np.zeros(worlds, np.int64),
            client_batch_size=np.zeros((worlds, clients), np.int64),
            placement=np.full(worlds, -1),
            unit_node=np.full((worlds, placed_units), NONE_YET),
            elapsed_s=np.zeros(worlds),
            energy_j=np.zeros(worlds),
            reached=np.zeros(worlds, bool),
            first_reached=np.zeros(worlds, bool),
            terminated=np.zeros(worlds, bool),
            truncated=np.zeros(worlds, bool),
            limits=limits,
        )

    def forget(self, which: Ints) -> None:
        """Starts episodes in the worlds with these indices."""
        _forget(self, which)

    def remember(
        self, handle: Handle, number: Ints, cost: RoundCost, aggregation_ratio: Floats, outcome: RoundOutcome
    ) -> None:
        """Adds a round of every world, but for its second cut.

        Args:
            handle: Of histories.
            number: [N] rounds of the episodes, this one included.
            cost: Of the round.
            aggregation_ratio: [N] phi.
            outcome: Of the round.
        """
        _remember(
            handle.of(self),
            number,
            cost.participants,
            cost.latency_s,
            cost.client_energy_j,
            cost.server_energy_j,
            aggregation_ratio,
            outcome.accuracy,
            outcome.evaluated,
        )

    def remember_second_cut(self, participants: Bools, decision: Decision) -> None:
        """Adds the second cuts of a round, where they are decided."""
        trained = participants.any(1)
        self.second_cut[trained] = np.maximum(decision.second_cut, decision.cut_layer)[trained]

    def remember_mean(self, outcome: RoundOutcome) -> None:
        """Adds whether a round ended with the mean of clients' parts: it trained, and then these have to be fetched."""
        averaged = outcome.trained & ~outcome.client_cut_layer.any(1)
        self.rounds_since_mean[:] = np.where(averaged, 0, self.rounds_since_mean + 1)

    def remember_codecs(self, participants: Bools, decision: Decision) -> None:
        """Adds the codecs of a round, where they are decided."""
        _keep(self.client_codec, participants, decision.codec)

    def remember_placement(self, participants: Bools, decision: Decision, holder: Ints) -> None:
        """Adds which node holds what after a round; `holder`: [K, L] of `splitgym.frameworks.placed.Placed`."""
        trained = participants.any(1)
        placement = np.broadcast_to(decision.placement, trained.shape)
        behind = np.arange(holder.shape[1]) >= np.reshape(decision.cut_layer, (-1, 1))
        self.placement[trained] = placement[trained]
        self.unit_node[trained] = np.where(behind, holder[placement], AT_CLIENTS)[trained]

    def remember_batch_sizes(self, participants: Bools, decision: Decision) -> None:
        """Adds the batch sizes of a round, where they are decided."""
        _keep(self.client_batch_size, participants, decision.batch_size)


def _keep(last: Ints, participants: Bools, decided: Any) -> None:
    """Writes a factor of the plan ([N, C], [N] or a number) where clients took part."""
    factor = np.asarray(decided)
    last[:] = np.where(participants, factor[:, None] if factor.ndim == 1 else factor, last)


@kernel(NO_REFCOUNT)
def _forget(history: History, which: Ints) -> None:
    for n in which:
        for i in range(history.absence.shape[1]):
            history.participated[n, i] = False
            history.absence[n, i] = history.experience[n, i] = 0.0
            history.client_codec[n, i] = history.client_batch_size[n, i] = 0
        history.aggregation_ratio[n] = history.latency_s[n] = history.elapsed_s[n] = history.energy_j[n] = 0.0
        history.second_cut[n] = history.rounds_since_mean[n] = 0
        history.placement[n] = -1
        for unit in range(history.unit_node.shape[1]):
            history.unit_node[n, unit] = NONE_YET
        history.reached[n] = history.first_reached[n] = history.terminated[n] = history.truncated[n] = False


@kernel(NO_REFCOUNT)
def _remember(
    handle: Any,
    number: Ints,
    participants: Bools,
    latency_s: Floats,
    client_energy_j: Floats,
    server_energy_j: Floats,
    aggregation_ratio: Floats,
    accuracy: Floats,
    evaluated: Bools,
) -> None:
    """`remember_round`; `handle`: of a `History`."""
    energies_j = client_energy_j, server_energy_j
    remember_round(handle.held, number, participants, latency_s, *energies_j, aggregation_ratio, accuracy, evaluated)


@kernel(NO_REFCOUNT)
def remember_round(
    history: History,
    number: Ints,
    participants: Bools,
    latency_s: Floats,
    client_energy_j: Floats,
    server_energy_j: Floats,
    aggregation_ratio: Floats,
    accuracy: Floats,
    evaluated: Bools,
) -> None:
    """An episode ends where the target is reached in time, or when its rounds or its time are spent."""
    limits = history.limits
    for n in range(participants.shape[0]):
        energy_j = history.energy_j[n] + server_energy_j[n]
        for i in range(participants.shape[1]):
            took_part = participants[n, i]
            history.participated[n, i] = took_part
            history.experience[n, i] += 1.0 if took_part else 0.0
            history.absence[n, i] = 0.0 if took_part else history.absence[n, i] + 1.0
            energy_j += client_energy_j[n, i]
        history.energy_j[n] = energy_j
        history.aggregation_ratio[n], history.latency_s[n] = aggregation_ratio[n], latency_s[n]
        history.elapsed_s[n] += latency_s[n]
        in_time = history.elapsed_s[n] <= limits.time_budget_s
        reaches = in_time and evaluated[n] and accuracy[n] >= limits.target_accuracy
        history.first_reached[n] = reaches and not history.reached[n]
        history.reached[n] |= reaches
        spent = number[n] >= limits.max_rounds or history.elapsed_s[n] >= limits.time_budget_s
        history.terminated[n] = reaches and limits.stop_at_target
        history.truncated[n] = spent and not history.terminated[n]
