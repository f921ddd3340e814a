"""The cell that slices share: who has which part of it, and in which order their rounds begin and end."""

from collections.abc import Sequence

import numpy as np

from splitgym.arrays import Ints
from splitgym.slices.shares import NOBODY, ROUNDING, Shares, owners
from splitgym.slices.slice import Grant, Slice


class SharedCell:
    """Plays the rounds of all slices in the order of simulated time.

    A round keeps the shares with which it began. The next one begins as it ends, with what is free then of what the
    slice has got: what rounds of others still hold comes later. So no subchannel, and no part of the server, is used
    twice at a time, and nobody waits: what a slice has used and keeps is free.

    Args:
        slices: All of them, with the same band.

    Attributes:
        now_s: Simulated time.
        owner: [M] the slice that each subchannel belongs to.
    """

    def __init__(self, slices: Sequence[Slice]) -> None:
        self.slices = slices
        self.now_s = 0.0
        self.owner = np.full(slices[0].env.scenario.radio.subchannels, NOBODY)

    def give(self, shares: Shares) -> None:
        """Says what the slices have from now on."""
        self.owner = owners(shares.subchannels, self.owner, self._users())
        for index, each in enumerate(self.slices):
            each.grant = Grant(np.flatnonzero(self.owner == index), float(shares.server[index]))

    def play(self, until_s: float) -> None:
        """Plays until that time; rounds that are on their way then end later."""
        while self.now_s < until_s:
            for each in self.slices:
                if each.running is None and not each.progress.ended:
                    each.begin(self.now_s, self._free(each))
            ends = [each.running.end_s for each in self.slices if each.running is not None]
            self.now_s = min([until_s, *ends])
            for each in self.slices:
                if each.running is not None and each.running.end_s == self.now_s:
                    each.end()

    def _users(self) -> Ints:
        """[M] the slice whose round uses each subchannel; NOBODY: none."""
        users = np.full(len(self.owner), NOBODY)
        for index, each in enumerate(self.slices):
            if each.running is not None:
                users[each.running.grant.subchannels] = index
        return users

    def _free(self, beginning: Slice) -> Grant:
        """What no round uses of what a slice has got."""
        got = beginning.grant
        used = sum(each.running.grant.server_share for each in self.slices if each.running is not None)
        share = got.server_share if used + got.server_share <= 1 + ROUNDING else 1 - used
        return Grant(got.subchannels[self._users()[got.subchannels] == NOBODY], share)
