"""What a round asks of each process: work and speed of every row of the timeline, from decision and framework."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import groupby
from typing import Any

import numpy as np

from splitgym.allocation.legalise import legalise_unchecked
from splitgym.arrays import Bools, Floats, Ints
from splitgym.frameworks import Program, Resource, aggregated_rows
from splitgym.frameworks.phases import Access
from splitgym.frameworks.program import MIGRATION_ROWS
from splitgym.frameworks.resources import Barrier
from splitgym.timing import RoundCost, round_cost
from splitgym.timing.barrier import deadline_barrier
from splitgym.timing.power import even_power
from splitgym.timing.rates import shannon_rates
from splitgym.types import Decision, RoundState, SystemParameters

MIGRATION = "migration"


@dataclass(frozen=True)
class Row:
    """A row of the timeline."""

    number: int
    stage: str
    resource: int
    """What is busy: a row of `splitgym.frameworks.Resources`."""
    in_pieces: bool = False
    """Whether the server works for one client after the other, as their data come."""
    is_common: bool = False
    """Whether all wait for each other before it."""


@dataclass(frozen=True)
class Slot:
    """Clients that work at the same time, and their links, bits/s."""

    members: tuple[int, ...]
    uplink: Floats
    """[C]."""
    downlink: Floats
    """[C]."""
    owner: Ints
    """[M] of each subchannel, -1: nobody."""
    psd: Floats
    """[M] of the owners, W/Hz."""


@dataclass(frozen=True)
class Schedule:
    """A round before it is played; all clients train by the same plan."""

    decision: Decision
    """As it is carried out."""
    state: RoundState
    """What the round runs on."""
    cost: RoundCost
    """What the simulator says of it."""

    @classmethod
    def of(cls, state: RoundState, decision: Decision) -> "Schedule":
        """The round that a decision makes of a state."""
        legal, _ = legalise_unchecked(decision, state)
        return cls(legal, state, round_cost(state, legal))

    def without(self, clients: Bools) -> Decision:
        """The decision as if these clients had been unavailable."""
        return replace(self.decision, selected=self.decision.selected & ~clients)

    @property
    def system(self) -> SystemParameters:
        """What is the same in all rounds."""
        return self.state.system

    @property
    def program(self) -> Program:
        """Of the framework."""
        return self.system.program

    @cached_property
    def rows(self) -> tuple[Row, ...]:
        """All rows with work; what moves is known to those who move it."""
        moves = (Row(0, MIGRATION, Resource.UNICAST), Row(1, MIGRATION, Resource.UPLINK))
        phases = enumerate(zip(self.program.stages, self.program.resource.tolist(), strict=True), MIGRATION_ROWS)
        rows = (*moves, *(self._row(Row(number, *phase)) for number, phase in phases))
        # With static shares all wait for each other also before a common row without work.
        waits = not self.system.on_demand
        return tuple(
            row for row in rows if row.resource == Resource.CLIENT or (row.is_common and waits) or self.moves_bits(row)
        )

    def _row(self, row: Row) -> Row:
        """A phase as the round's shares have it."""
        if row.resource < Resource.SERVER:
            return row
        in_pieces = self._in_pieces(row.number) and not self.waits_for_units
        return replace(row, in_pieces=in_pieces, is_common=not in_pieces or self._once(row.number) > 0.0)

    def _in_pieces(self, number: int) -> bool:
        """Whether the simulator's server works for one client after the other in a row."""
        return self.system.on_demand and self.program.barrier[number - MIGRATION_ROWS] == Barrier.NONE

    @cached_property
    def waits_for_units(self) -> bool:
        """Whether the server cannot answer a client before others have given up their units, as the simulator does."""
        numbers = np.flatnonzero(self.program.resource == Resource.SERVER) + MIGRATION_ROWS
        given = self.state.client_cut_layer[list(self.began)] > self.cut_layer
        return bool(np.any(given)) and any(self._in_pieces(number) for number in numbers.tolist())

    @cached_property
    def answers_apart(self) -> bool:
        """Whether the server answers each client before it has the data of all."""
        return any(row.in_pieces and not row.is_common for rows in self.segments for row in rows[:-1])

    def moves_bits(self, row: Row) -> bool:
        """Whether something is to be done in it, other than with units that move."""
        return row.stage == MIGRATION or self.amount(row, 1) > 0.0

    @cached_property
    def segments(self) -> list[list[Row]]:
        """Rows in which each client works by itself, then those that are common, and so on."""
        return [list(rows) for _, rows in groupby(self.rows, lambda row: row.is_common)]

    @property
    def deadline_row(self) -> int:
        """The row before which the timeout applies."""
        return MIGRATION_ROWS + deadline_barrier(self.program.resource)

    @property
    def cut_layer(self) -> int:
        """Of all clients."""
        return int(np.max(self.decision.cut_layer))

    @property
    def batch_size(self) -> int:
        """Of all clients."""
        return int(np.max(self.decision.plan.sizes(self.state)))

    @property
    def aggregated_rows(self) -> int:
        """Rows of a mini-batch whose gradients are averaged, m; with PSL on fewer rows those that are left out."""
        return int(aggregated_rows(float(self.decision.aggregation_ratio), self.batch_size))

    @property
    def participants(self) -> tuple[int, ...]:
        """Clients that take part if nothing goes wrong."""
        return tuple(np.flatnonzero(self.cost.participants).tolist())

    @property
    def began(self) -> tuple[int, ...]:
        """Likewise, and those that will be dropped at the timeout."""
        return tuple(np.flatnonzero(self.cost.participants | self.cost.timed_out).tolist())

    @cached_property
    def _plan(self) -> int:
        """Its place in the framework's tables."""
        return int(self.decision.plan.indices(self.state)[0])

    def amount(self, row: Row, members: int) -> float:
        """Cycles or bits of a row in which units do not move: of each client, or in common for so many."""
        plan, phase = self._plan, row.number - MIGRATION_ROWS
        once = self._once(row.number)
        if row.resource < Resource.SERVER:
            return once
        return once + members * float(self.program.per_participant[plan, phase])

    def _once(self, number: int) -> float:
        """Cycles or bits of a row beside those for each client that takes part."""
        return float(self.program.work[self._plan, number - MIGRATION_ROWS])

    def seconds(self, row: Row, client: int) -> float:
        """Seconds in which a client computes a row."""
        clock = np.broadcast_to(self.decision.clock, self.state.client_hz.shape)[client]
        device = self.program.device[client % len(self.program.device)]
        cycles = float(self.program.own_work[device, self._plan, row.number - MIGRATION_ROWS])
        return cycles / float(self.state.client_hz[client] * clock)

    def common_seconds(self, row: Row, members: int) -> float:
        """Seconds of a row that is common to so many: of the server, or of a node or a link behind it."""
        if row.resource == Resource.SERVER:
            return self.amount(row, members) / float(self.state.server_hz)
        behind, amount = self.program.resources, self.amount(row, members)
        return (amount / float(behind.speed[row.resource]) + float(behind.delay_s[row.resource])) if amount else 0.0

    def wire_rate(self, row: Row) -> float:
        """Bits/s of a link behind the server."""
        return float(self.program.resources.speed[row.resource])

    def broadcast_rate(self, members: Iterable[int]) -> float:
        """Bits/s over the whole band: of the worst of them."""
        system = self.system
        snr = self.state.channel_gain[list(members)] * (system.downlink_psd_w_per_hz / system.noise_psd_w_per_hz)
        return float(shannon_rates(self.state.subchannel_hz, snr).sum(-1).min())

    @cached_property
    def slots(self) -> tuple[Slot, ...]:
        """Slots one after the other; in one by one access each client has the whole band."""
        if self.program.access is Access.PARALLEL:
            return (self._slot(self.began, self.decision.assignment, self.decision.power_w_per_hz),)
        return tuple(self._alone(client) for client in self.began)

    def _alone(self, client: int) -> Slot:
        """The slot of a client by itself."""
        hz, system, decision = self.state.subchannel_hz, self.system, self.decision
        if decision.by_slot:
            return self._slot((client,), decision.assignment[client], decision.power_w_per_hz[client])
        power_w = even_power(system.client_power_max_w, system.total_power_max_w, 1)
        return self._slot((client,), np.full(len(hz), client), np.full(len(hz), power_w / hz.sum()))

    def _slot(self, members: tuple[int, ...], owner: Ints, psd: Floats) -> Slot:
        """A slot with subchannels and powers."""
        state, system = self.state, self.system
        mine = np.asarray(owner)[None] == np.arange(len(state.client_hz))[:, None]
        per_noise = state.channel_gain / system.noise_psd_w_per_hz

        def rates(psd_w_per_hz: Any) -> Floats:
            found = np.where(mine, shannon_rates(state.subchannel_hz, psd_w_per_hz * per_noise), 0.0)
            return np.asarray(found.sum(-1))

        own = np.where(np.isin(owner, members), owner, -1)
        return Slot(members, rates(psd), rates(system.downlink_psd_w_per_hz), own, np.asarray(psd, np.float64))
