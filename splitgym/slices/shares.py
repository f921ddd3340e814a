"""What each slice gets: whole subchannels of the band, and a share of the server."""

from dataclasses import dataclass

import numpy as np

from splitgym.arrays import Bools, Floats, Ints
from splitgym.inputs import InputError

BASE = 8.0
"""An entry a of an action is the weight BASE^a, so from an eighth to eight."""
ROUNDING = 1e-9
"""By so much may shares of the server miss 1 together."""
NOBODY = -1


@dataclass(frozen=True)
class Shares:
    """What each of S slices gets, until the controller decides again."""

    subchannels: Ints
    """[S] numbers of whole subchannels; they sum to M."""
    server: Floats
    """[S] shares of the server's speed; they sum to 1."""

    def check(self, running: Bools, subchannels: int) -> None:
        """Raises an InputError if a slice that runs gets nothing, or they do not give exactly all there is.

        Args:
            running: [S] slices whose episodes have not ended.
            subchannels: M.
        """
        counts, server = np.asarray(self.subchannels), np.asarray(self.server)
        if counts.shape != running.shape or not np.issubdtype(counts.dtype, np.integer):
            raise InputError(f"Shares.subchannels = {counts!r}, allowed: {len(running)} whole numbers")
        if np.any(counts < running) or counts.sum() != subchannels:
            raise InputError(
                f"Shares.subchannels = {counts.tolist()}, allowed: at least 1 for each slice that runs, "
                f"{subchannels} together"
            )
        if server.shape != running.shape or not np.all(np.isfinite(server)):
            raise InputError(f"Shares.server = {server!r}, allowed: {len(running)} numbers")
        if np.any(server < 0) or np.any(server[running] == 0) or abs(server.sum() - 1) > ROUNDING:
            raise InputError(
                f"Shares.server = {server.tolist()}, allowed: above 0 for each slice that runs, 1 together"
            )


def shares_of(weights: Floats, running: Bools, subchannels: int) -> Shares:
    """Shares in proportion to weights; slices that do not run get nothing, unless none runs.

    Args:
        weights: [2, S] above 0, for subchannels and for the server.
        running: [S].
        subchannels: M.
    """
    chosen = running if running.any() else np.ones_like(running)
    counts, server = np.zeros(len(running), np.int64), np.zeros(len(running))
    counts[chosen] = whole_shares(weights[0, chosen], subchannels)
    server[chosen] = weights[1, chosen] / weights[1, chosen].sum()
    return Shares(counts, server)


def whole_shares(weights: Floats, total: int) -> Ints:
    """[S] whole numbers from 1 that sum to the total, by the largest remainder; of equals the first.

    Where a quota is below 1, what is missing comes from those that are the most above theirs.

    Args:
        weights: [S] above 0.
        total: At least S.
    """
    quota = total * weights / weights.sum()
    whole = np.maximum(np.floor(quota).astype(np.int64), 1)
    while whole.sum() > total:
        whole[np.argmax(np.where(whole > 1, whole - quota, -np.inf))] -= 1
    while whole.sum() < total:
        whole[np.argmax(quota - whole)] += 1
    return whole


def weights_of(shares: Shares) -> Floats:
    """[2 S] the action in -1..1 that says these shares; what is too small or too large for it is cut off."""
    entries = []
    for parts in (np.asarray(shares.subchannels, float), np.asarray(shares.server, float)):
        given = parts > 0
        logarithms = np.full(len(parts), -1.0)
        logarithms[given] = np.log(parts[given]) / np.log(BASE)
        # The middle of the largest and the smallest, so that as many as can be are said exactly.
        logarithms[given] -= (logarithms[given].max() + logarithms[given].min()) / 2
        entries.append(np.clip(logarithms, -1.0, 1.0))
    return np.concatenate(entries)


def owners(counts: Ints, before: Ints, users: Ints) -> Ints:
    """[M] the slice that has each subchannel, so that as many as can stay where they are.

    Each keeps the first of those that its round uses, then the first of the others that it had; what is missing are the
    first that nobody keeps, the first slice first.

    Args:
        counts: [S] how many each gets; they sum to M.
        before: [M] slices that had them; NOBODY: none.
        users: [M] slices whose rounds use them, likewise.
    """
    after = np.full(len(before), NOBODY)
    for index, count in enumerate(counts):
        own = np.flatnonzero(before == index)
        after[own[np.argsort(users[own] != index, kind="stable")][:count]] = index
    for index, count in enumerate(counts):
        free = np.flatnonzero(after == NOBODY)
        after[free[: count - np.count_nonzero(after == index)]] = index
    return after
