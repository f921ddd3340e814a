"""Who sends and receives at which rate with a band that is shared on demand: the simulator's law, at real events."""

import numpy as np

from splitgym.arrays import Bools
from splitgym.execution.schedule import Schedule, Slot
from splitgym.timing.cell import Spectrum
from splitgym.timing.dynamic_sharing import Loans, band_as_decided, lend


class SharedBand:
    """The band of a slot; subchannels that nobody needs are lent, see `splitgym.timing.dynamic_sharing.lend`.

    Times are simulated seconds. What somebody has still to send is what its rates so far have left of it.

    Args:
        schedule: Of the round.
        slot: Whose members share the band.

    Attributes:
        rate: [C] bits/s of those that send or receive now.
    """

    def __init__(self, schedule: Schedule, slot: Slot) -> None:
        state, system, clients = schedule.state, schedule.system, len(slot.uplink)
        self._spectrum = Spectrum(
            np.asarray(state.subchannel_hz, np.float64),
            system.noise_psd_w_per_hz,
            system.downlink_psd_w_per_hz,
            system.client_power_max_w,
            system.total_power_max_w,
        )
        members = np.isin(np.arange(clients), slot.members)
        self._band = band_as_decided(state.channel_gain, slot.owner, slot.psd, members, self._spectrum)
        subchannels = len(slot.owner)
        self._loans = Loans(np.full(subchannels, -1), np.zeros(subchannels), np.zeros(clients))
        self._sends, self._receives = np.zeros((2, clients), np.bool_)
        self._left_bits, self._since_s = np.zeros(clients), 0.0
        self.rate = self._loans.rate
        self._lend()  # What has to be compiled or loaded is so before somebody waits for it.

    def begin(self, client: int, bits: float, sends: bool, now_s: float) -> Bools:
        """A client begins to send so many bits, or to receive them; [C] whose rates are others from now on."""
        self._go_on(now_s)
        (self._sends if sends else self._receives)[client] = True
        self._left_bits[client] = bits
        return self._lend()

    def end(self, client: int, now_s: float) -> Bools:
        """A client has nothing more to send or to receive; likewise."""
        self._go_on(now_s)
        self._sends[client] = self._receives[client] = False
        return self._lend()

    def _go_on(self, now_s: float) -> None:
        """All have sent at their rates until now."""
        sent_bits = self.rate * (now_s - self._since_s)
        self._left_bits, self._since_s = np.maximum(self._left_bits - sent_bits, 0.0), now_s

    def _lend(self) -> Bools:
        before = self.rate.copy()
        lend(self._band, self._sends, self._receives, self._left_bits, self._spectrum, self._loans)
        return (self.rate != before) & (self._sends | self._receives)
