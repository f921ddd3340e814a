"""What may be known at the start of a round, and what stays the same over all of them."""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splitgym.arrays import Bools, Floats, Ints
from splitgym.frameworks.exchange import ends_with_mean, way
from splitgym.frameworks.placed import NONE_YET
from splitgym.kernels import NO_REFCOUNT, kernel
from splitgym.types.flights import Flights
from splitgym.types.system import SystemParameters

OF_CLIENTS = (
    "client_codec",
    "client_second_cut",
    "prescribed_batch_size",
    "client_batch_size",
    "samples",
    "samples_left",
    "station",
    "interruption_s",
)
"""Fields of `RoundState` of which a number stands for that of every client."""


@dataclass(frozen=True)
class RoundState:
    """Everything that a scheduler may know (or, as truth, what the round will run on) at the start of a round.

    Rules decide on it, and the observation of a policy is a function of it: all schedulers know the same.

    Shapes are those of one world with C clients and M subchannels; a batch has a leading axis N on every array but
    `system`.
    """

    channel_gain: Floats
    """[C, M] linear power gain, antenna gains included."""
    client_hz: Floats
    """[C] cycles/s that each client has to spare."""
    server_hz: Any
    """Cycles/s of the server."""
    present: Bools
    """[C] whether the client belongs to the episode; the others are never available and hold no data."""
    data_share: Floats
    """[C] share of all training samples; sums to 1."""
    class_share: Floats
    """[C, K] share of each class in the client's data, known from the labels that travel with the smashed data; 0 for
    clients that are not present. [C, 0] where labels are private: there is nothing that could be read by accident."""
    client_loss: Floats
    """[C] mean training loss of the client's last mini-batch; ln(classes) before its first. [0] where labels are
    private."""
    accuracy: Any
    """Test accuracy after the last round that was evaluated, 0..1."""
    round: Any
    """Rounds done in this episode."""
    elapsed_s: Any
    """Simulated time spent in this episode, s."""
    cut_layer: Any
    """Cut layer of the last round that trained; 0 before the first."""
    client_cut_layer: Ints
    """[C] cut layer up to which each client's own part is valid; 0 before the first round."""
    available: Bools
    """[C] whether the client can be reached."""
    participated: Bools
    """[C] whether the client took part in the last round."""
    absence: Floats
    """[C] rounds since the client took part, or since the episode began."""
    experience: Floats
    """[C] rounds in which the client took part."""
    last_aggregation_ratio: Any
    """phi of the last round; 0 before the first."""
    last_latency_s: Any
    """Latency of the last round, s; 0 before the first."""
    subchannel_hz: Floats
    """[M] bandwidths B_k, Hz."""
    system: SystemParameters
    prescribed_ratio: Any = np.nan
    """phi that the framework prescribes for this round; NaN: whoever decides may choose it."""
    second_cut: Any = 0
    """Last unit at the edge server in the last round, where it may be decided and a server has those behind it; 0: that
    is not so, or no round was yet."""
    client_second_cut: Any = 0
    """[C] second cut behind which each client's own part is valid; 0 before the first round, and if it has none."""
    client_codec: Any = 0
    """[C] index of the codec with which each client took part last; before that 0."""
    prescribed_batch_size: Any = 0
    """[C] samples of each client's mini-batch, where they are settled before the rest of a decision; 0: as it says."""
    client_batch_size: Any = 0
    """[C] samples of the mini-batch with which each client took part last, where that is decided; before that 0."""
    samples: Any = 0
    """[C] training samples of each client; 0 of those not present, and with a surrogate, which has none."""
    samples_left: Any = 0
    """[C] those of them that the client has not trained on yet since it last began with all of them."""
    client_memory_bytes: Any = np.inf
    """[C] memory that each client has for training, bytes; inf: no limit."""
    energy_j: Any = 0.0
    """Energy that clients and servers have spent in this episode, J."""
    placement: Any = -1
    """Placement of the last round in which anybody took part, where placements are decided; -1: there was none."""
    unit_node: Any = NONE_YET
    """[L] row among the system's resources of the node that holds each unit, with placements; -1: the clients do, -2:
    nobody has trained it yet. [0] without placements."""
    rounds_since_mean: Any = 0
    """Rounds since clients' parts were averaged, or since the episode began, where that is not in every round."""
    station: Any = 0
    """[C] index of the base station that each client belongs to, towards which `channel_gain` is."""
    interruption_s: Any = 0.0
    """[C] seconds by which each client begins the round later, because it has just changed its station."""
    wired_s_per_bit: Any = 0.0
    """[C, F] seconds that a bit needs over wires between the client's station and each of F servers, one behind the
    other with the radio; links are shared evenly by all clients that are present and whose way they are on."""
    station_gain: Any = None
    """[C, S] gain of each client towards each station, mean over fading, where all stations use all subchannels; else
    [C, 0]."""
    uplink_interference: Any = None
    """[M] interference at each subchannel's station if all who sent in the last round did so again, W/Hz, in the same
    case; else [0]."""
    downlink_interference: Any = None
    """[C, M] interference at each client on each subchannel likewise, W/Hz; else [C, 0]."""
    flights: Flights | None = None
    """What is in flight, with an asynchronous framework; None: nothing is."""

    def __post_init__(self) -> None:
        if self.flights is None and self.system.asynchrony is not None:
            object.__setattr__(self, "flights", Flights.idle(*self.available.shape))
        for name in OF_CLIENTS:
            if np.ndim(getattr(self, name)) == 0:
                object.__setattr__(self, name, np.full(self.available.shape, getattr(self, name)))
        if np.ndim(self.wired_s_per_bit) == 0:
            shape = (*self.available.shape, self.system.ways.delay_s.shape[1])
            object.__setattr__(self, "wired_s_per_bit", np.full(shape, self.wired_s_per_bit))
        if np.ndim(self.client_memory_bytes) == 0:
            object.__setattr__(self, "client_memory_bytes", np.full(self.available.shape, self.client_memory_bytes))
        if np.ndim(self.unit_node) == 0:
            units = self.system.units if self.system.program.placed is not None else 0
            object.__setattr__(self, "unit_node", np.full((*self.available.shape[:-1], units), self.unit_node))
        self._without_interference()
        numbers = ("prescribed_ratio", "second_cut", "rounds_since_mean", "energy_j", "placement")
        for name in numbers if self.batched else ():
            if np.ndim(getattr(self, name)) == 0:
                object.__setattr__(self, name, np.full(len(self.channel_gain), getattr(self, name)))

    def _without_interference(self) -> None:
        """Fills in that nobody has sent yet, or that stations do not interfere."""
        reused = self.system.stations_on_a_subchannel > 1
        of_clients, band = self.available.shape, self.channel_gain.shape[-1] * reused
        usual = {
            "station_gain": (*of_clients, 0),
            "uplink_interference": (*of_clients[:-1], band),
            "downlink_interference": (*of_clients, band),
        }
        for name, shape in usual.items():
            if getattr(self, name) is None:
                object.__setattr__(self, name, np.zeros(shape))

    def ratio(self, choice: Any) -> Any:
        """Aggregation ratio of this round (of a batch: [N]): what the framework prescribes, else the choice."""
        if self.batched:
            # As nearly always; what stays the same object needs no new decision.
            if np.ndim(choice) and _are_free(self.prescribed_ratio):
                return choice
            return np.where(np.isnan(self.prescribed_ratio), choice, self.prescribed_ratio)
        return choice if np.isnan(self.prescribed_ratio) else float(self.prescribed_ratio)

    def way(self, averaging: Any) -> Any:
        """In which way models go between clients and fed server in this round, see `splitgym.frameworks.exchange`.

        Of a batch [N]; 0 where that is the same in all rounds.

        Args:
            averaging: As in `Decision`.
        """
        if not self.system.averages_later:
            return 0
        fetched, number = np.all(self.client_cut_layer == 0, axis=-1), np.asarray(self.round) + 1
        return way(fetched, ends_with_mean(averaging, number, self.system.averaging_interval))

    @property
    def held_cut_layer(self) -> Any:
        """Cut layer that stays, because clients keep their own parts until these are averaged; 0: it is free.

        Of a batch [N].
        """
        return self.client_cut_layer.max(-1) if self.system.averages_later else 0

    @property
    def in_flight(self) -> Bools:
        """[C] clients at work on a mini-batch that the server has not taken up, or whose smashed data wait there."""
        flights, asynchrony = self.flights, self.system.asynchrony
        if flights is None or asynchrony is None:
            return np.zeros(self.available.shape, bool)
        return flights.in_flight(asynchrony)

    @property
    def delivered(self) -> Bools:
        """[C] clients whose smashed data wait at the server."""
        flights, asynchrony = self.flights, self.system.asynchrony
        if flights is None or asynchrony is None:
            return np.zeros(self.available.shape, bool)
        return np.asarray(flights.row == asynchrony.server_row)

    def to_serve(self, selected: Bools) -> Bools:
        """[C] clients that need subchannels in this round: those selected and those in flight that have not delivered.

        Args:
            selected: [C], or [N, C] of N worlds.
        """
        return selected if self.flights is None else (selected | self.in_flight) & ~self.delivered

    def holding(self, codec: int, precision: int, batch_size: int | None = 0, placement: int = 0) -> "RoundState":
        """As `SystemParameters` does it, with the same arguments."""
        system, flights = self.system.holding(codec, precision, batch_size, placement), self.flights
        if system is self.system:
            return self
        wired_s_per_bit = np.take(self.wired_s_per_bit, [placement], axis=-1)
        if flights is None:
            return replace(self, system=system, wired_s_per_bit=wired_s_per_bit)
        # Asynchronous frameworks neither aggregate rows nor have a second cut.
        grid, held = self.system.program.plans, system.program.plans
        cut_layer, sizes = grid.cut_layer[flights.plan], grid.batch_size[flights.plan]
        plan = held.index(cut_layer, 0, batch_size=sizes if held.batches > 1 else held.smallest_batch)
        return replace(self, system=system, flights=flights._replace(plan=plan), wired_s_per_bit=wired_s_per_bit)

    def coordinated(self) -> "RoundState":
        """The state of a round in which each subchannel is used once in all cells together, so that nobody interferes.

        Its subchannels are those of one station.
        """
        stations = self.system.stations_on_a_subchannel
        if stations == 1:
            return self
        of_stations = self.channel_gain.reshape(*self.channel_gain.shape[:-1], stations, -1)
        own = np.take_along_axis(of_stations, self.station[..., None, None], -2)[..., 0, :]
        return replace(
            self,
            channel_gain=np.ascontiguousarray(own),
            subchannel_hz=np.ascontiguousarray(self.subchannel_hz[..., : own.shape[-1]]),
            system=self.system.coordinated(),
            station_gain=None,
            uplink_interference=None,
            downlink_interference=None,
        )

    @property
    def mean_gain(self) -> Any:
        """[C] mean of a client's gains over the subchannels that it may own: where all stations use all, its own's."""
        return self.channel_gain.mean(-1) * self.system.stations_on_a_subchannel

    def synchronous(self) -> "RoundState":
        """The state of a round that waits for all, with nothing in flight: what allocations are worked out for."""
        return self if self.flights is None else replace(self, system=self.system.synchronous(), flights=None)

    def part(self, subchannels: Ints, server_hz: float) -> "RoundState":
        """The state of a round that has only some of the subchannels, and so much of the server.

        Args:
            subchannels: [m] their indices, increasing.
            server_hz: Cycles/s, in all worlds.
        """
        return replace(
            self,
            channel_gain=np.ascontiguousarray(self.channel_gain[..., subchannels]),
            subchannel_hz=np.ascontiguousarray(self.subchannel_hz[..., subchannels]),
            server_hz=np.full(np.shape(self.server_hz), server_hz)[()],
            system=self.system.with_subchannels(len(subchannels)),
        )

    @property
    def batched(self) -> bool:
        """Whether the arrays have the leading axis of N worlds."""
        return self.channel_gain.ndim == 3

    def world(self, index: int) -> "RoundState":
        """One world of a batch."""
        return self._each(lambda array: array[index])

    def copy(self) -> "RoundState":
        """With arrays of its own, but the system."""
        return self._each(lambda array: np.copy(array)[()])

    def batch(self) -> "RoundState":
        """This one world as a batch of one."""
        return self._each(lambda array: np.array([array]))

    def repeat(self, worlds: int) -> "RoundState":
        """This one world as a batch of N equal ones."""
        return self._each(lambda array: np.repeat([array], worlds, axis=0))

    def _each(self, of: Callable[[Any], Any]) -> "RoundState":
        """With another array in the place of each."""
        arrays = {f.name: of(getattr(self, f.name)) for f in fields(self) if f.name not in ("system", "flights")}
        return replace(self, **arrays, flights=self.flights and self.flights.each(of))


@kernel(NO_REFCOUNT)
def _are_free(prescribed: Floats) -> bool:
    chosen = 0
    for ratio in prescribed:
        chosen += np.isnan(ratio)
    return chosen == prescribed.shape[0]


def with_axis(array: NDArray[Any], one: bool) -> NDArray[Any]:
    """The array of one world as that of a batch of one; that of a batch as it is."""
    return array[None] if one else array
