"""The cell that everybody uses: channels, devices and knowledge of N worlds, round after round."""

import numpy as np

from splitgym.arrays import Bools, Floats, Ints
from splitgym.kernels import Handle
from splitgym.network.devices import fill_memory
from splitgym.network.geometry import ground_distance_m, walk
from splitgym.network.path_loss import line_of_sight_probability, path_loss_db
from splitgym.network.path_loss.compiled import OWN
from splitgym.network.shadowing import next_shadow
from splitgym.network.state import ALWAYS, PROBABILISTIC, Cells, NetworkState, parameters_of
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

    Attributes:
        client_memory_bytes: [N, C] memory that each client has for training, bytes; inf: no limit.

    Raises:
        ValueError: No world, or arguments of `reset` or `advance` that do not fit N.
        RuntimeError: A world is used before the first `reset`.
    """

    def __init__(self, scenario: Scenario, worlds: int = 1) -> None:
        if worlds < 1:
            raise ValueError(f"worlds = {worlds} must be at least 1")
        self.scenario = scenario
        self.worlds = worlds
        clients = scenario.clients.count
        numbers = np.zeros(room_for(max(4, 3 * clients, 2 * clients * scenario.radio.subchannels)))
        self._cells = Cells(NetworkState.empty(scenario, worlds), parameters_of(scenario), numbers)
        self._state, self._parameters, _ = self._cells
        self._handle = Handle()
        self._begun = False
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
        advance_worlds(self._handle.of(self._cells), streams)

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
        """[N, C, 2] positions, m, with the base station in the origin."""
        return self._state.position_m

    @property
    def radius_m(self) -> Floats:
        """[N] radius of the cell, m."""
        return self._state.radius_m

    @property
    def line_of_sight(self) -> Bools:
        """[N, C] clients with line of sight; as drawn at the start of the episode, also while they move."""
        return self._state.line_of_sight

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

    def _walk(self, streams: Streams, elapsed_s: Floats) -> None:
        """Moves the clients, and what depends on where they are."""
        state, cell = self._state, self.scenario.cell
        state.travelled_m[:] += cell.speed_m_per_s * elapsed_s
        before_m = state.position_m.copy()
        state.position_m[:] = walk(
            state.start_m, state.heading_rad, state.travelled_m, cell.min_distance_m, state.radius_m
        )
        if self._parameters.is_shadowed:
            new, moved_m = np.empty_like(state.shadow), ground_distance_m(state.position_m - before_m)
            fill_normals_of_worlds(streams, int(Purpose.SHADOWING), new, self._cells.numbers)
            state.shadow[:] = next_shadow(state.shadow, new, moved_m, state.line_of_sight)
        every = np.arange(self.worlds)
        if self._parameters.path_loss == OWN:
            self._lose(every, at_first=False)
        else:
            lose(self._handle.of(self._cells), every)

    def _lose(self, which: Ints, at_first: bool) -> None:
        """Large-scale gains in some worlds, by a model of one's own for arrays; at first the sight, too."""
        state, cell, radio = self._state, self.scenario.cell, self.scenario.radio
        distance_m = ground_distance_m(state.position_m[which])
        if at_first:
            state.line_of_sight[which] = self._parameters.sight == ALWAYS
            if self._parameters.sight == PROBABILISTIC:
                chance = line_of_sight_probability(cell.path_loss, distance_m)
                state.line_of_sight[which] = state.sight_chance[which] < chance
        sees = state.line_of_sight[which]
        shadow_db = np.where(sees, *self._parameters.deviation_db) * state.shadow[which]
        loss_db = path_loss_db(cell, radio.carrier_hz, distance_m, sees)
        state.large_scale_gain[which] = radio.antenna_gain * 10 ** (-(loss_db + shadow_db) / 10)

    def _expect(self, name: str, length: int) -> None:
        if length != self.worlds:
            raise ValueError(f"{name} of {length} worlds, allowed: of {self.worlds}")
