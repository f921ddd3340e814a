"""The cell that everybody uses: channels, devices and knowledge of N worlds, round after round."""

import numpy as np

from splitgym.arrays import Bools, Floats, Ints
from splitgym.kernels import Handle
from splitgym.network.devices import fill_memory
from splitgym.network.geometry import drive, ground_distance_m, walk
from splitgym.network.path_loss import line_of_sight_probability, path_loss_db
from splitgym.network.path_loss.compiled import OWN
from splitgym.network.shadowing import next_shadow
from splitgym.network.state import ALWAYS, PROBABILISTIC, Cells, NetworkState, parameters_of
from splitgym.network.trace import Trace
from splitgym.network.wired import Ways
from splitgym.network.worlds import advance_worlds, begin_channels, begin_episodes, draw_cells, lose
from splitgym.random import Purpose, Streams, fill_normals_of_worlds, room_for
from splitgym.scenario import Scenario


class Network:
    """The wireless cell of N worlds at once; world i depends on its own stream only, to the bit.

    After `reset` and `advance` the attributes hold truth and belief of the coming round. Treat their arrays as
    read-only; later calls write into the same ones. A copy (`copy.deepcopy`, pickle) goes its own way.

    Args:
        scenario: What world.
        worlds: Number of worlds N.
        ways: From base stations to servers; None: to the edge server.

    Attributes:
        client_memory_bytes: [N, C] memory that each client has for training, bytes; inf: no limit.

    Raises:
        ValueError: No world, or arguments of `reset` or `advance` that do not fit N.
        RuntimeError: A world is used before the first `reset`.
    """

    def __init__(self, scenario: Scenario, worlds: int = 1, ways: Ways | None = None) -> None:
        if worlds < 1:
            raise ValueError(f"worlds = {worlds} must be at least 1")
        self.scenario = scenario
        self.worlds = worlds
        clients = scenario.clients.count
        stations = max(len(scenario.stations), 1)
        numbers = np.zeros(room_for(max(4, 3, stations - 1, 2 * scenario.radio.subchannels) * clients))
        ways = Ways.of(scenario) if ways is None else ways
        state = NetworkState.empty(scenario, worlds, ways.links.shape[1])
        self._cells = Cells(state, parameters_of(scenario, ways), numbers)
        self._state, self._parameters, _ = self._cells
        self._handle = Handle()
        self._begun = False
        self._trace = Trace.of(scenario)
        least, most = scenario.clients.memory_min_bytes, scenario.clients.memory_max_bytes
        self._memory_bytes = None if least is None or most is None else (least, most)
        self.client_memory_bytes = np.full((worlds, clients), np.inf)

    def reset(self, streams: Streams, which: Ints | None = None) -> None:
        """Starts new episodes.

        Args:
            streams: Of N worlds, at round 0 in these.
            which: [W] indices of the worlds to reset; absent: all. The first reset must be of all.
        """
        self._expect("streams", len(streams.key))
        which = np.arange(self.worlds) if which is None else which
        if not self._begun and len(which) < self.worlds:
            raise RuntimeError("the network has no state yet: reset all worlds first")
        cells = self._handle.of(self._cells)
        if self._parameters.path_loss == OWN:
            draw_cells(cells, streams, which)
            self._lose(which, at_first=True)
            begin_channels(cells, streams, which)
        else:
            begin_episodes(cells, streams, which)
        self._follow_trace(streams, which)
        if self._memory_bytes is not None:
            fill_memory(which, streams, self._memory_bytes, self.client_memory_bytes, self._cells.numbers)
        self._begun = True

    def advance(self, streams: Streams, elapsed_s: Floats) -> None:
        """Goes on to the next round.

        Args:
            streams: Of N worlds, at the round that comes.
            elapsed_s: [N] duration of the last round, s: how long mobile clients have walked.
        """
        self._expect("streams", len(streams.key))
        self._expect("elapsed_s", len(elapsed_s))
        if not self._begun:
            raise RuntimeError("the network has no state yet: reset all worlds first")
        if self._parameters.moves:
            self._walk(streams, elapsed_s)
        advance_worlds(self._handle.of(self._cells), streams, np.asarray(elapsed_s, np.float64))
        if self._trace is not None:
            self._follow_trace(streams, np.arange(self.worlds))

    @property
    def subchannel_hz(self) -> Floats:
        """[N, M] bandwidths, Hz."""
        return self._state.subchannel_hz

    @property
    def present(self) -> Bools:
        """[N, C] clients that belong to the episode; the others never become available."""
        return self._state.present

    @property
    def channel_gain(self) -> Floats:
        """[N, C, M] linear power gain: antenna gains, path loss, shadowing and fading."""
        return self._state.channel_gain

    @property
    def client_hz(self) -> Floats:
        """[N, C] speed that other work leaves for training, cycles/s."""
        return self._state.client_hz

    @property
    def available(self) -> Bools:
        """[N, C] clients that are there in this round."""
        return self._state.available

    @property
    def position_m(self) -> Floats:
        """[N, C, 2] positions, m; without rows of stations the base station is in the origin."""
        return self._state.position_m

    @property
    def radius_m(self) -> Floats:
        """[N] radius of the cell, m."""
        return self._state.radius_m

    @property
    def line_of_sight(self) -> Bools:
        """[N, C] clients with line of sight to their own station.

        Without a road, and with one station, it stays as drawn at the start of the episode, also while they move.
        """
        return self._state.line_of_sight

    @property
    def station(self) -> Ints:
        """[N, C] index of the station that each client belongs to."""
        return self._state.attachment.station

    @property
    def station_gain(self) -> Floats:
        """[N, C, S] large-scale gain of each client towards each station, linear, antenna gains included."""
        return self._state.gain.transpose(0, 2, 1)

    @property
    def handed_over(self) -> Bools:
        """[N, C] clients that begin the round with another station than the one before."""
        return self._state.attachment.handed_over

    @property
    def interruption_s(self) -> Floats:
        """[N, C] seconds by which they begin it later, s."""
        return self._state.attachment.interruption_s

    @property
    def wired_s_per_bit(self) -> Floats:
        """[N, C, F] seconds that a bit needs over wires between the client's station and each of F servers, s/bit."""
        return self._state.wired_s_per_bit

    @property
    def believed_channel_gain(self) -> Floats:
        """[N, C, M] `channel_gain` of `channel_delay_rounds` ago, times a log-normal error drawn each round."""
        return self._state.believed_channel_gain

    @property
    def believed_client_hz(self) -> Floats:
        """[N, C] `client_hz` of `compute_delay_rounds` ago, cycles/s."""
        return self._state.believed_client_hz

    @property
    def believed_available(self) -> Bools:
        """[N, C] clients that were there in the round before; everybody in the first."""
        return self._state.believed_available

    def _follow_trace(self, streams: Streams, which: Ints) -> None:
        """The gains of the trace, if there is one, in the place of those that were drawn."""
        if self._trace is not None:
            self._trace.fill(streams, which, self._state.channel_gain)

    def _walk(self, streams: Streams, elapsed_s: Floats) -> None:
        """Moves the clients, and what depends on where they are."""
        state, cell = self._state, self.scenario.cell
        before_m = state.position_m.copy()
        if self._parameters.road.length_m > 0:
            state.driven_s[:] += elapsed_s
            travelled_m = state.speed_m_per_s * state.driven_s[:, None]
            state.position_m[:] = drive(state.start_m, state.heading_rad, travelled_m, self._parameters.road.length_m)
        else:
            state.travelled_m[:] += cell.speed_m_per_s * elapsed_s
            state.position_m[:] = walk(
                state.start_m, state.heading_rad, state.travelled_m, cell.min_distance_m, state.radius_m
            )
        if self._parameters.is_shadowed:
            moved_m = ground_distance_m(state.position_m - before_m)[:, None]
            state.shadow[:] = next_shadow(state.shadow, self._new_shadows(streams), moved_m, state.sees)
        every = np.arange(self.worlds)
        if self._parameters.path_loss == OWN:
            self._lose(every, at_first=False)
        else:
            lose(self._handle.of(self._cells), every)

    def _new_shadows(self, streams: Streams) -> Floats:
        """[N, S, C] standard normal numbers."""
        worlds, stations, clients = self._state.shadow.shape
        first = np.empty((worlds, clients))
        fill_normals_of_worlds(streams, int(Purpose.SHADOWING), first, self._cells.numbers)
        if stations == 1:
            return first[:, None]
        others = np.empty((worlds, (stations - 1) * clients))
        fill_normals_of_worlds(streams, int(Purpose.STATION_SHADOWING), others, self._cells.numbers)
        return np.concatenate([first, others], axis=1).reshape(worlds, stations, clients)

    def _lose(self, which: Ints, at_first: bool) -> None:
        """Large-scale gains in some worlds, by a model of one's own for arrays; and the sight."""
        state, cell, radio = self._state, self.scenario.cell, self.scenario.radio
        away_m = state.position_m[which][:, None] - self._parameters.stations_m[:, None]
        distance_m = np.maximum(ground_distance_m(away_m), self._parameters.nearest_m)
        if at_first or self._parameters.sight_follows:
            state.sees[which] = self._parameters.sight == ALWAYS
            if self._parameters.sight == PROBABILISTIC:
                chance = line_of_sight_probability(cell.path_loss, distance_m)
                state.sees[which] = state.sight_chance[which] < chance
        sees = state.sees[which]
        shadow_db = np.where(sees, *self._parameters.deviation_db) * state.shadow[which]
        loss_db = path_loss_db(cell, radio.carrier_hz, distance_m, sees)
        antenna_gain = radio.antenna_gain * self._parameters.station_gain[:, None]
        state.gain[which] = antenna_gain * 10 ** (-(loss_db + shadow_db) / 10)

    def _expect(self, name: str, length: int) -> None:
        if length != self.worlds:
            raise ValueError(f"{name} of {length} worlds, allowed: of {self.worlds}")
