"""How much the clients of an update count in it."""

from typing import Any

import numpy as np

from splitgym.arrays import Floats, Ints
from splitgym.scenario import Training


class ClientWeights:
    """Weights lambda_i s_i of the clients that take part, that sum to 1.

    lambda_i is the client's share of the data; or, by `training.weigh_by`, of the rows of the update, so that every row
    counts as much as any other, whoever has it.

    With tau_i updates since client i last took part (or since the first one; where it fetches what it trains, since it
    did), and participations out of all updates, s_i is

    | `training.client_weights` | s_i |
    |---|---|
    | "none" | 1 |
    | "fed-async" | (1 + tau_i)^-a |
    | "stale-up" | (1 + tau_i)^a |
    | "inverse-participation" | (1 + updates) / (1 + participations) |

    (1 + tau)^-a is that of FedAsync (arXiv 1903.03934), where what comes late is stale. Where clients have units of
    their own it is not: a client that came seldom has only been heard less, which the last two make up for.

    Args:
        data_share: [C] share of all training samples.
        training: Says s and a, and what lambda_i is a share of.
        rows_differ: Whether clients may have batch sizes of their own.
    """

    def __init__(self, data_share: Floats, training: Training, rows_differ: bool = False) -> None:
        self._data_share = data_share
        self._by_rows = (training.weigh_by or ("rows" if rows_differ else "data")) == "rows"
        self._kind, self._exponent = training.client_weights, training.weight_exponent
        self._updates = 0
        self._last: Ints = np.zeros(len(data_share), np.int64)
        self._participations: Ints = np.zeros(len(data_share), np.int64)

    def of(self, participants: Any, rows: Any = 1) -> Floats:
        """[n] weights of clients in an update that comes now.

        Args:
            participants: n indices.
            rows: [n] rows that each of them has in it; or as many for all.
        """
        which = list(participants)
        share = np.full(len(which), rows, np.float64) if self._by_rows else self._data_share[which]
        if self._kind != "none":
            share = share * self._factor(which)
        return np.asarray(share / share.sum())

    def count(self, participants: Any) -> None:
        """Notes an update that these clients took part in."""
        which = list(participants)
        self._updates += 1
        self._last[which] = self._updates
        self._participations[which] += 1

    def forget_age(self, clients: Any) -> None:
        """Notes that these clients fetched what they train: it is of now."""
        self._last[list(clients)] = self._updates

    def state_dict(self) -> dict[str, Any]:
        """What `count` changes, as plain values."""
        return {
            "updates": self._updates,
            "last": self._last.tolist(),
            "participations": self._participations.tolist(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes back to what `state_dict` gave."""
        self._updates = state["updates"]
        self._last, self._participations = np.array(state["last"]), np.array(state["participations"])

    def _factor(self, which: list[int]) -> Floats:
        """[n] s_i."""
        if self._kind == "inverse-participation":
            return np.asarray((1 + self._updates) / (1 + self._participations[which]))
        staleness = 1.0 + self._updates - self._last[which]
        return np.asarray(staleness ** (self._exponent if self._kind == "stale-up" else -self._exponent))
