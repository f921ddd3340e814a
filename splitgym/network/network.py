"""The cell that everybody uses: channels, devices and knowledge of N worlds, round after round."""

from dataclasses import dataclass

import numpy as np

from splitgym.network.channel import Channel, first_channel, next_channel
from splitgym.network.devices import Devices, first_devices, next_devices
from splitgym.network.knowledge import Belief, first_belief, next_belief
from splitgym.network.worlds import Bools, Floats, Generators, Ints, put, take
from splitgym.scenario import Scenario


@dataclass(frozen=True)
class _Round:
    """All that changes, at the start of a round; replaced as a whole, never written into."""

    channel: Channel
    devices: Devices
    belief: Belief


class Network:
    """The wireless cell of N worlds at once; world i depends on generator i only, to the bit.

    After `reset` and `advance` the attributes hold truth and belief of the coming round. Their arrays are never written
    again (a later round has new ones); treat them as read-only. A copy (`copy.deepcopy`, pickle) goes its own way.

    Args:
        scenario: What world.
        worlds: Number of worlds N.

    Raises:
        ValueError: No world, or arguments of `reset` or `advance` that do not fit N.
        RuntimeError: A world is used before the first `reset`.
    """

    def __init__(self, scenario: Scenario, worlds: int = 1) -> None:
        if worlds < 1:
            raise ValueError(f"worlds = {worlds} must be at least 1")
        self.scenario = scenario
        self.worlds = worlds
        self._round: _Round | None = None

    def reset(self, rngs: Generators, which: Bools | None = None) -> None:
        """Starts a new episode.

        Args:
            rngs: One generator per world; only those of marked worlds are used.
            which: [N] worlds to reset; absent: all. The first reset must be of all.
        """
        worlds = self._marked(rngs, which)
        if worlds is None:
            self._round = self._first_round(rngs)
        else:
            self._round = put(self._now, worlds, self._first_round([rngs[i] for i in worlds]))

    def advance(self, rngs: Generators, elapsed_s: Floats, which: Bools | None = None) -> None:
        """Goes on to the next round.

        Args:
            rngs: One generator per world; only those of marked worlds are used.
            elapsed_s: [N] duration of the last round, s: how long mobile clients have walked.
            which: [N] worlds that go on; absent: all. The others stay as they are.
        """
        elapsed_s = np.asarray(elapsed_s, dtype=np.float64)
        if elapsed_s.shape != (self.worlds,):
            raise ValueError(f"elapsed_s has shape {elapsed_s.shape}, not ({self.worlds},), one duration per world")
        worlds = self._marked(rngs, which)
        if worlds is None:
            self._round = self._next_round(rngs, self._now, elapsed_s)
        else:
            after = self._next_round([rngs[i] for i in worlds], take(self._now, worlds), elapsed_s[worlds])
            self._round = put(self._now, worlds, after)

    @property
    def channel_gain(self) -> Floats:
        """[N, C, M] linear power gain: antenna gains, path loss, shadowing and fading."""
        return self._now.channel.gain

    @property
    def client_hz(self) -> Floats:
        """[N, C] speed that other work leaves for training, cycles/s."""
        return self._now.devices.client_hz

    @property
    def available(self) -> Bools:
        """[N, C] who is there in this round."""
        return self._now.devices.available

    @property
    def position_m(self) -> Floats:
        """[N, C, 2] positions, m, with the base station in the origin."""
        return self._now.channel.position_m

    @property
    def line_of_sight(self) -> Bools:
        """[N, C] who sees the base station; as drawn at the start of the episode, also for clients that move."""
        return self._now.channel.line_of_sight

    @property
    def believed_channel_gain(self) -> Floats:
        """[N, C, M] `channel_gain` of `channel_delay_rounds` ago, times a log-normal error drawn each round."""
        return self._now.belief.channel_gain

    @property
    def believed_client_hz(self) -> Floats:
        """[N, C] `client_hz` of `compute_delay_rounds` ago, cycles/s."""
        return self._now.belief.client_hz

    @property
    def believed_available(self) -> Bools:
        """[N, C] who was there in the round before; everybody in the first."""
        return self._now.belief.available

    @property
    def _now(self) -> _Round:
        if self._round is None:
            raise RuntimeError("the network has no state yet: reset all worlds first")
        return self._round

    def _marked(self, rngs: Generators, which: Bools | None) -> Ints | None:
        """Indices of the marked worlds; None: all of them, which needs no copying."""
        if len(rngs) != self.worlds:
            raise ValueError(f"{len(rngs)} generators for {self.worlds} worlds: give one per world")
        if which is None:
            return None
        which = np.asarray(which)
        if which.shape != (self.worlds,) or which.dtype != np.bool_:
            raise ValueError(f"which must be {self.worlds} booleans, one per world, not {which.dtype} of {which.shape}")
        return None if which.all() else np.flatnonzero(which)

    def _first_round(self, rngs: Generators) -> _Round:
        channel = first_channel(rngs, self.scenario)
        devices = first_devices(rngs, self.scenario.clients)
        return _Round(channel, devices, first_belief(rngs, self.scenario.knowledge, channel, devices))

    def _next_round(self, rngs: Generators, before: _Round, elapsed_s: Floats) -> _Round:
        channel = next_channel(rngs, self.scenario, before.channel, elapsed_s)
        devices = next_devices(rngs, self.scenario.clients, before.devices)
        announced = before.devices.available
        belief = next_belief(rngs, self.scenario.knowledge, before.belief, announced, channel, devices)
        return _Round(channel, devices, belief)
