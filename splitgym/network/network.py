"""The cell that everybody uses: channels, devices and knowledge of N worlds, round after round."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from splitgym.arrays import Bools, Floats, Ints
from splitgym.network import channel, devices, knowledge
from splitgym.network.channel import Channel, first_channel, next_channel
from splitgym.network.devices import Devices, first_devices, next_devices
from splitgym.network.knowledge import Belief, first_belief, next_belief
from splitgym.network.worlds import put
from splitgym.random import Generators, NormalBlock
from splitgym.scenario import Scenario


@dataclass(frozen=True)
class _Round:
    """All that changes, at the start of a round; replaced as a whole, never written into."""

    channel: Channel
    devices: Devices
    belief: Belief


class Network:
    """The wireless cell of N worlds at once; world i depends on generator i only, to the bit.

    After `reset` and `advance` the attributes hold truth and belief of the coming round. Treat their arrays as
    read-only; they are valid until the next call. A copy (`copy.deepcopy`, pickle) goes its own way.

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

    def reset(self, rngs: Generators | NormalBlock, which: Sequence[int] | Ints | None = None) -> None:
        """Starts new episodes.

        Args:
            rngs: One generator for each of these worlds, or `numbers_per_reset` numbers.
            which: Indices of the worlds to reset; absent: all. The first reset must be of all.
        """
        worlds = self.worlds if which is None else len(which)
        if len(rngs) != worlds:
            raise ValueError(f"{len(rngs)} generators for {worlds} worlds to reset: give one per world")
        if worlds == self.worlds:
            self._round = self._first_round(rngs)
        else:
            put(self._now, np.asarray(which), self._first_round(rngs))

    def advance(self, rngs: Generators | NormalBlock, elapsed_s: Floats) -> None:
        """Goes on to the next round.

        Args:
            rngs: One generator per world, or `numbers_per_round` numbers of each.
            elapsed_s: [N] duration of the last round, s: how long mobile clients have walked.
        """
        elapsed_s = np.asarray(elapsed_s, dtype=np.float64)
        if elapsed_s.shape != (self.worlds,):
            raise ValueError(f"elapsed_s has shape {elapsed_s.shape}, not ({self.worlds},), one duration per world")
        if len(rngs) != self.worlds:
            raise ValueError(f"{len(rngs)} generators for {self.worlds} worlds: give one per world")
        self._round = self._next_round(rngs, self._now, elapsed_s)

    @property
    def numbers_per_round(self) -> int:
        """Standard normal numbers that `advance` needs for each world."""
        scenario = self.scenario
        return (
            channel.numbers_per_round(scenario)
            + devices.numbers_per_round(scenario.clients)
            + knowledge.numbers_per_round(scenario)
        )

    @property
    def numbers_per_reset(self) -> int:
        """Standard normal numbers that `reset` needs for each world."""
        scenario = self.scenario
        return (
            channel.numbers_at_first(scenario)
            + devices.numbers_at_first(scenario.clients, scenario.family)
            + knowledge.numbers_per_round(scenario)
        )

    @property
    def subchannel_hz(self) -> Floats:
        """[N, M] bandwidths, Hz."""
        return self._now.channel.subchannel_hz

    @property
    def present(self) -> Bools:
        """[N, C] clients that belong to the episode; the others never become available."""
        return self._now.devices.present

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
        """[N, C] clients that are there in this round."""
        return self._now.devices.available

    @property
    def position_m(self) -> Floats:
        """[N, C, 2] positions, m, with the base station in the origin."""
        return self._now.channel.position_m

    @property
    def radius_m(self) -> Floats:
        """[N] radius of the cell, m."""
        return self._now.channel.radius_m

    @property
    def line_of_sight(self) -> Bools:
        """[N, C] clients with line of sight; as drawn at the start of the episode, also while they move."""
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
        """[N, C] clients that were there in the round before; everybody in the first."""
        return self._now.belief.available

    @property
    def _now(self) -> _Round:
        if self._round is None:
            raise RuntimeError("the network has no state yet: reset all worlds first")
        return self._round

    def _first_round(self, rngs: Generators | NormalBlock) -> _Round:
        first = first_channel(rngs, self.scenario)
        there = first_devices(rngs, self.scenario.clients, self.scenario.family)
        return _Round(first, there, first_belief(rngs, self.scenario.knowledge, first, there))

    def _next_round(self, rngs: Generators | NormalBlock, before: _Round, elapsed_s: Floats) -> _Round:
        later = next_channel(rngs, self.scenario, before.channel, elapsed_s)
        there = next_devices(rngs, self.scenario.clients, before.devices)
        announced = before.devices.available
        belief = next_belief(rngs, self.scenario.knowledge, before.belief, announced, later, there)
        return _Round(later, there, belief)
