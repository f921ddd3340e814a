"""What a round costs: seconds, joules and bits, of N worlds at once."""

from dataclasses import dataclass, fields
from functools import lru_cache
from operator import itemgetter
from threading import get_ident
from typing import Any

import numpy as np

from splitgym.arrays import Bools, Floats, Ints
from splitgym.frameworks.program import MIGRATION_ROWS
from splitgym.frameworks.resources import Barrier, Resource
from splitgym.kernels import NO_REFCOUNT, Handle, kernel
from splitgym.timing.amounts import work_of
from splitgym.timing.barrier import Rows, kinds_of, rows_of
from splitgym.timing.cell import Constants, backbone_of
from splitgym.timing.flight_board import Course, empty_board
from splitgym.timing.records import Decided, Memories, Rounds, Rules, Walked, Walker, Workspace, Worlds
from splitgym.timing.relocation import relocation_of
from splitgym.timing.slots import walk_slots
from splitgym.timing.updates import Updates, walk_updates
from splitgym.timing.wires import attached_of
from splitgym.types import Decision, Flights, RoundState, SystemParameters
from splitgym.types.legal import check_decision
from splitgym.types.plan import of_worlds


@dataclass(frozen=True)
class RoundCost:
    """What a round costs. Shapes are those of one world; a batch has a leading axis N on every array.

    The timeline has R = 2 + P rows: parts of the network that move down and up, then the framework's phases. With an
    asynchronous framework a row that was begun before the step starts at 0, and one that goes on ends with the step.
    """

    stages: tuple[str, ...]
    """R names of the timeline's rows."""
    latency_s: Any
    """Duration of the round."""
    participants: Bools
    """[C] clients that really participated."""
    without_subchannel: Bools
    """[C] selected and available, but without a subchannel."""
    unavailable: Bools
    """[C] selected, but gone."""
    timed_out: Bools
    """[C] dropped because the uplink was not finished at the timeout."""
    without_memory: Bools
    """[C] selected and available, but the client lacks the memory for its plan, or a node that of one more client."""
    start_s: Floats
    """[R, C] start of each client's phases, from the round's start; a common phase stands at every participant, on
    demand from when the server takes up that client's part."""
    stop_s: Floats
    """[R, C] end of each client's phases."""
    stage_s: Floats
    """[R] seconds of each row on the critical path; they sum to the latency."""
    client_energy_j: Floats
    """[C] xi f^2 per cycle of computing, plus transmit power times uplink time."""
    server_energy_j: Any
    """xi f_s^2 per cycle of computing, likewise at nodes behind the server, plus the base station's transmit
    energy; what wired links spend is not counted."""
    traffic_bits: Any
    """All bits sent: up, down, broadcast (once), to the cloud and back, moved parts of the network; with several
    stations again for each link between station and server."""
    migration_bits: Any
    """Model bits moved because the cut moved (part of traffic_bits)."""
    flights: Flights | None = None
    """What is in flight at the end, with an asynchronous framework; None: nothing is."""

    def world(self, index: int) -> "RoundCost":
        """One world of a batch."""
        arrays = {f.name: getattr(self, f.name)[index] for f in fields(self) if f.name not in ("stages", "flights")}
        return RoundCost(stages=self.stages, **arrays, flights=self.flights and self.flights.each(itemgetter(index)))

    def seconds_by_stage(self) -> dict[str, Any]:
        """Seconds on the critical path by stage name (of a batch: [N] each); they sum to the latency."""
        names, totals = self.stage_totals()
        return dict(zip(names, totals if self.stage_s.ndim > 1 else totals[:, 0], strict=True))

    def stage_totals(self) -> tuple[tuple[str, ...], Floats]:
        """The names of the stages, and [names, N] the same seconds; N = 1 of one world."""
        names, places = _places(self.stages)
        totals = np.zeros((len(names), self.stage_s.size // len(places)))
        _add_up(self.stage_s.reshape(-1, len(places)), places, totals)
        return names, totals


@lru_cache(maxsize=128)
def _places(stages: tuple[str, ...]) -> tuple[tuple[str, ...], Ints]:
    """Names without those that come again, and [R] where among them the name of each row stands."""
    names = tuple(dict.fromkeys(stages))
    return names, np.array([names.index(stage) for stage in stages])


@kernel(NO_REFCOUNT)
def _add_up(stage_s: Floats, places: Ints, totals: Floats) -> None:
    """Adds [N, R] seconds to [names, N]."""
    for n in range(stage_s.shape[0]):
        for row in range(stage_s.shape[1]):
            totals[places[row], n] += stage_s[n, row]


def round_cost(state: RoundState, decision: Decision) -> RoundCost:
    """What a decision costs in a state: the truth for what happens, a belief for what a scheduler expects.

    Args:
        state: Of one world or of N.
        decision: Of as many worlds.

    Returns:
        The cost, of as many worlds. The latency is finite for every decision.

    Raises:
        InputError: a field of the decision does not fit the state; the message names it.
    """
    check_decision(decision, state)
    return round_cost_unchecked(state, decision)


def round_cost_unchecked(state: RoundState, decision: Decision) -> RoundCost:
    """`round_cost` of a decision that is known to fit."""
    if not state.batched:
        return round_cost_unchecked(state.batch(), decision.batch()).world(0)
    return clock_of_thread(state, timeline=True).cost(state, decision)


def clock_of_thread(state: RoundState, timeline: bool = False) -> "Clock":
    """A clock for a state of N worlds, whose workspace is that of the thread."""
    worlds, clients = state.client_hz.shape
    walker = _walker_of_thread(state.system, clients, get_ident())
    return Clock(state.system, worlds, clients, timeline, walker)


def synchronous_cost(state: RoundState, decision: Decision) -> RoundCost:
    """`round_cost_unchecked` of a round that waits for all, also with an asynchronous framework."""
    return round_cost_unchecked(state.synchronous(), decision)


class Clock:
    """Works out round costs of N worlds, again and again into the same arrays.

    Args:
        system: Of the states.
        worlds: N.
        clients: C.
        timeline: Whether costs have `start_s` and `stop_s`; else these are of no row.
        walker: Of the system, with workspace that nothing else uses at the same time; None: one of its own.

    Attributes:
        last: The cost of the last round.
    """

    def __init__(
        self, system: SystemParameters, worlds: int, clients: int, timeline: bool, walker: Walker | None = None
    ) -> None:
        stages = _stages(system)
        self._walker = _walker(system, clients) if walker is None else walker
        self._walked = _nothing(worlds, len(stages), clients, len(stages) if timeline else 0)
        self._after = None if system.asynchrony is None else Flights.idle(worlds, clients)
        self.last = RoundCost(stages, *self._walked, self._after)
        self._state: RoundState | None = None
        self._rounds: Rounds | Updates | None = None
        self._handle = Handle()

    def cost(self, state: RoundState, decision: Decision) -> RoundCost:
        """`round_cost` of N worlds with a decision that is known to fit; valid until the next call."""
        rounds, asynchrony = self._handle.of(self.rounds(state)), state.system.asynchrony
        decided = decided_of(decision, state)
        if asynchrony is None:
            walk_slots(rounds, state.system.on_demand, decided)
        else:
            walk_updates(rounds, decided, asynchrony.quorum_of(decision.quorum, len(decided.owner)))
        return self.last

    def rounds(self, state: RoundState) -> Any:
        """What kernels need of the rounds of a state, the same object for the same state; they fill in `last`."""
        if self._state is not state:
            self._state, self._rounds = state, self._of(state)
        return self._rounds

    def _of(self, state: RoundState) -> Rounds | Updates:
        """What the kernel needs of the rounds of a state."""
        walker, worlds, walked = self._walker, _worlds_of(state), self._walked
        if state.flights is None or self._after is None:
            return Rounds(walker, worlds, walked)
        board = empty_board(state.client_hz.shape[1], state.system.subchannels)
        of_system = _course(state.system, walker.rows), walker.constants, walker.rules
        slot, client_hz, wires = walker.workspace.slot, walker.workspace.client_hz, walker.workspace.wires
        return Updates(*of_system, worlds, state.flights, self._after, walked, slot, client_hz, wires, board)


def decided_of(decision: Decision, state: RoundState) -> Decided:
    """A decision of N worlds that fits their state, for the kernel."""
    by_slot = decision.by_slot
    owner, psd = np.asarray(decision.assignment, np.int64), np.asarray(decision.power_w_per_hz, np.float64)
    return Decided(
        decision.plan.indices(state),
        decision.selected,
        np.asarray(decision.cluster, np.int64),
        owner if by_slot else owner[:, None],
        psd if by_slot else psd[:, None],
        by_slot,
        of_worlds(decision.clock, len(owner), np.float64),
    )


def _stages(system: SystemParameters) -> tuple[str, ...]:
    """The names of the timeline's rows."""
    return ("migration",) * MIGRATION_ROWS + system.program.stages


def _worlds_of(state: RoundState) -> Worlds:
    """A state of N worlds for the kernel."""
    return Worlds(
        state.subchannel_hz,
        state.channel_gain,
        state.client_hz,
        np.asarray(state.server_hz, np.float64),
        state.client_cut_layer,
        np.asarray(state.second_cut, np.int64),
        state.client_second_cut,
        state.available,
        state.client_memory_bytes,
        state.absence,
        state.unit_node,
        state.station_gain,
        attached_of(state),
    )


def _course(system: SystemParameters, rows: Rows) -> Course:
    """What an asynchronous system says for the kernel; `rows`: of its timeline."""
    asynchrony = system.asynchrony
    assert asynchrony is not None
    at_server = system.program.barrier[system.program.resource == Resource.SERVER]
    return Course(
        rows.kind,
        asynchrony.server_row,
        asynchrony.return_row,
        rows.waiting_row,
        asynchrony.patience_s,
        rows.timeout_s,
        in_pieces=system.on_demand and bool(np.all(at_server == Barrier.NONE)),
        on_demand=system.on_demand,
    )


@lru_cache(maxsize=32)
def _walker_of_thread(system: SystemParameters, clients: int, thread: int) -> Walker:
    """A walker that only one thread uses."""
    return _walker(system, clients)


def _walker(system: SystemParameters, clients: int) -> Walker:
    """What a system says for the kernel, with workspace."""
    program = system.program
    constants = Constants(
        system.noise_psd_w_per_hz,
        system.downlink_psd_w_per_hz,
        system.client_power_max_w,
        system.total_power_max_w,
        system.client_capacitance,
        system.server_capacitance,
        backbone_of(program.resources),
        system.ways,
    )
    rules = Rules(
        program.resource,
        work_of(program),
        program.plans.cut_layer,
        program.plans.second_cut,
        np.array(system.energy_factors)[program.plans.precision],
        system.prefix_bits,
        program.plans.precision,
        system.moved_bits,
        int(program.access),
        program.uses_own_subchannels,
        _memories(system),
        kinds_of(program),
        relocation_of(program),
    )
    rows = rows_of(program, system.round_timeout_s)
    workspace = Workspace.empty(len(_stages(system)), clients, system.subchannels)
    return Walker(rows, constants, rules, program.barrier, workspace)


def _memories(system: SystemParameters) -> Memories:
    """What plans need of memory, as far as it is limited."""
    memory, plans = system.memory, len(system.program.work)
    if memory is None:
        nothing = np.zeros((0, plans))
        return Memories(np.zeros(plans), nothing, nothing, np.zeros(0))
    return Memories(memory.client, memory.once, memory.per_participant, memory.limit)


def _nothing(worlds: int, rows: int, clients: int, shown: int) -> Walked:
    """N worlds with R rows and C clients in which nothing has happened; `shown` rows have a start and a stop."""
    latency_s, server_energy_j, traffic_bits, migration_bits = np.zeros((4, worlds))
    participants, without_subchannel, unavailable, timed_out, without_memory = np.zeros((5, worlds, clients), np.bool_)
    start_s, stop_s = np.zeros((2, worlds, shown, clients))
    return Walked(
        latency_s,
        participants,
        without_subchannel,
        unavailable,
        timed_out,
        without_memory,
        start_s,
        stop_s,
        np.zeros((worlds, rows)),
        np.zeros((worlds, clients)),
        server_energy_j,
        traffic_bits,
        migration_bits,
    )
