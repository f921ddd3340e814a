"""The band of a network in which every station uses all subchannels: one behind the other, with what interferes."""

import numpy as np

from splitgym.allocation.own_station import owners_that_send
from splitgym.arrays import Bools, Ints
from splitgym.network import Network
from splitgym.scenario import Scenario, stations_on_a_subchannel
from splitgym.timing.reuse import fill_interference
from splitgym.types import Decision

NO_GAIN = 1e-150
"""Of clients towards subchannels of stations that they do not belong to: nothing comes through, and it has a log."""


INTERFERENCE = ("station_gain", "uplink_interference", "downlink_interference")
"""Of `RoundState`, as below."""


class ReusedBand:
    """N worlds with S stations of M subchannels: arrays over S M subchannels, those of the first station first.

    Args:
        scenario: Of the worlds.
        network: Which they see.

    Attributes:
        channel_gain: [N, C, S M] linear; `NO_GAIN` towards stations that a client does not belong to.
        believed_channel_gain: [N, C, S M] likewise.
        subchannel_hz: [N, S M].
        station_gain: [N, C, S] mean over fading, linear.
        uplink_interference: [N, S M] W/Hz, as `RoundState` has it.
        downlink_interference: [N, C, S M] W/Hz, likewise.
    """

    def __init__(self, scenario: Scenario, network: Network) -> None:
        worlds, clients, subchannels = network.channel_gain.shape
        self._stations = stations_on_a_subchannel(scenario)
        self._downlink_psd = scenario.radio.downlink_psd_w_per_hz
        band = self._stations * subchannels
        self.channel_gain = np.full((worlds, clients, band), NO_GAIN)
        late_or_wrong = network.believed_channel_gain is not network.channel_gain
        self.believed_channel_gain = self.channel_gain.copy() if late_or_wrong else self.channel_gain
        self.subchannel_hz = np.zeros((worlds, band))
        self.station_gain = np.zeros((worlds, clients, self._stations))
        self.uplink_interference = np.zeros((worlds, band))
        self.downlink_interference = np.zeros((worlds, clients, band))
        self._owner = np.full((worlds, band), -1)
        self._psd = np.zeros((worlds, band))

    def forget(self, which: Ints) -> None:
        """Episodes start in the worlds with these indices: nobody has sent yet."""
        self._owner[which] = -1

    def remember(self, decision: Decision, available: Bools) -> None:
        """Keeps who sent in a round, of the clients that were there, [N, C]."""
        self._owner[:] = owners_that_send(decision, available)
        self._psd[:] = decision.power_w_per_hz

    def see(self, network: Network) -> None:
        """Shows the network as it is now, with interference as if all who sent last did so again."""
        self.subchannel_hz[:] = np.tile(network.subchannel_hz, self._stations)
        self.station_gain[:] = network.station_gain
        self._spread(network.channel_gain, network.station, self.channel_gain)
        if self.believed_channel_gain is not self.channel_gain:
            self._spread(network.believed_channel_gain, network.station, self.believed_channel_gain)
        fill_interference(
            self.station_gain,
            self._owner,
            self._psd,
            self._downlink_psd,
            self.uplink_interference,
            self.downlink_interference,
        )

    def _spread(self, gain: np.ndarray, station: Ints, over: np.ndarray) -> None:
        """Writes [N, C, M] gains to where each client's station has its subchannels, in [N, C, S M]."""
        of_stations = over.reshape(*gain.shape[:2], self._stations, gain.shape[2])
        of_stations[:] = NO_GAIN
        np.put_along_axis(of_stations, station[..., None, None], gain[:, :, None], 2)
