"""Which clients participate in a round: interchangeable rules over what may be believed at its start.

Every rule selects only clients that are available and have the memory for some plan: all of these where they are fewer
than it asks for, nobody where there are none. "Own seconds" are those of all that a client does by itself with an even
share of band and power.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import inf
from typing import ClassVar

import numpy as np

from splitgym.allocation.selection.novelty import novelty
from splitgym.allocation.selection.utility import by_utility_per_second
from splitgym.allocation.workload import own_seconds
from splitgym.arrays import Bools, Floats, Ints
from splitgym.parts import Parts, suggest
from splitgym.timing import round_cost
from splitgym.types import Decision, RoundState
from splitgym.types.legal import check_arguments, check_plan
from splitgym.types.memory import clients_with_memory

DIVERSITY: Mapping[str, Callable[[RoundState], Floats]] = {"loss": lambda state: state.client_loss, "novelty": novelty}
"""Measures of how much is to be learnt from each client's data, [C], of one world."""

Allocation = Callable[[RoundState, Bools, float], Decision]
"""Cut layer, subchannels and powers for a selection [C] and an aggregation ratio; of one world."""


@dataclass(frozen=True)
class Prospect:
    """What a rule may look at: the round ahead, as the scheduler believes it."""

    state: RoundState
    """Of one world."""
    aggregation_ratio: float
    """phi."""
    allocation: Allocation
    """What a selection will be given; if it draws at random, it draws again for every set that a rule looks at."""
    rng: np.random.Generator
    """For rules that draw."""

    def __post_init__(self) -> None:
        check_arguments(self.state, aggregation_ratio=self.aggregation_ratio)

    @property
    def clients(self) -> Ints:
        """Indices of the clients that are available and have the memory for some plan."""
        return np.flatnonzero(self.state.available & clients_with_memory(self.state))

    def selection(self, clients: Ints) -> Bools:
        """[C] whether a client is one of these."""
        selected = np.zeros(len(self.state.available), bool)
        selected[clients] = True
        return selected

    def own_seconds(self, sharing: int) -> Floats:
        """Own seconds of the available clients if so many share the band, at the cut layer chosen for all of them."""
        everybody = self.allocation(self.state, self.selection(self.clients), self.aggregation_ratio)
        check_plan(self.state, everybody.plan)
        return own_seconds(self.state, everybody.plan, sharing)[self.clients]

    def latency_s(self, clients: Ints) -> float:
        """Expected latency T of these clients' round, s; infinite if it leaves one of them out that has rows in it.

        With an asynchronous framework that is a round of all that need subchannels, which waits for all of them.
        """
        decision = self.allocation(self.state, self.selection(clients), self.aggregation_ratio)
        cost = round_cost(self.state.synchronous(), decision)
        everybody = np.array_equal(cost.participants, self.state.to_serve(decision.selected) & self.state.available)
        return float(cost.latency_s) if everybody else inf


@dataclass(frozen=True)
class Selection(ABC):
    """A rule that says which clients participate. Its fields are its parameters, checked when it is made."""

    reads_labels: ClassVar[bool] = False
    """Whether it needs what comes from labels: losses or class shares of clients."""

    def __call__(self, prospect: Prospect) -> Bools:
        """[C] clients that shall participate."""
        clients = prospect.clients
        return prospect.selection(self.choose(prospect) if len(clients) else clients)

    @abstractmethod
    def choose(self, prospect: Prospect) -> Ints:
        """Indices of the selected clients, where at least one is available."""


@dataclass(frozen=True)
class Everybody(Selection):
    """All clients that are available."""

    def choose(self, prospect: Prospect) -> Ints:
        """All of them."""
        return prospect.clients


@dataclass(frozen=True)
class FirstK(Selection):
    """The k available clients that come first in an order.

    Raises:
        ValueError: k is not a whole number of 1 or more.
    """

    k: int | None = None
    """Clients to select; None: half of all clients, rounded up."""

    def __post_init__(self) -> None:
        _check_number("k", self.k)

    def choose(self, prospect: Prospect) -> Ints:
        """The first k of the order."""
        k = self.k or (len(prospect.state.available) + 1) // 2
        return self.order(prospect, min(k, len(prospect.clients)))[:k]

    @abstractmethod
    def order(self, prospect: Prospect, k: int) -> Ints:
        """Available clients, of which the first k will be selected."""


@dataclass(frozen=True)
class RandomK(FirstK):
    """k clients at random, every set of them with the same probability (FedAvg: McMahan et al. 2017)."""

    def order(self, prospect: Prospect, k: int) -> Ints:
        """A random permutation."""
        return prospect.rng.permutation(prospect.clients)


@dataclass(frozen=True)
class RoundRobinK(FirstK):
    """k clients, and in the next round the next k: as long as all are available, each takes part equally often."""

    def order(self, prospect: Prospect, k: int) -> Ints:
        """Round the indices, from where k clients of every earlier round end."""
        clients = prospect.clients
        return clients[np.argsort((clients - int(prospect.state.round) * k) % len(prospect.state.available))]


@dataclass(frozen=True)
class FastestK(FirstK):
    """The k clients that need the fewest own seconds, the band shared by k."""

    def order(self, prospect: Prospect, k: int) -> Ints:
        """By own seconds; ties by index."""
        return prospect.clients[_shortest_first(prospect.own_seconds(k))]


@dataclass(frozen=True)
class HighestLossK(FirstK):
    """The k clients of highest training loss, of all or of d random candidates.

    Power of choice (Cho, Wang and Joshi 2020), with the loss of the last mini-batch for that of all the client's data.

    Raises:
        ValueError: k or d is not a whole number of 1 or more, or d is less than k.
    """

    reads_labels = True
    candidates: int | None = None
    """d, drawn without replacement with probabilities in proportion to the clients' data; None: all are candidates."""

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_number("candidates", self.candidates)
        if self.candidates is not None and self.candidates < (self.k or 1):
            raise ValueError(f"candidates = {self.candidates}, allowed: k = {self.k} or more")

    def order(self, prospect: Prospect, k: int) -> Ints:
        """By loss, highest first; ties by index."""
        clients, state = prospect.clients, prospect.state
        if self.candidates is not None:
            share = state.data_share[clients]
            drawn = min(max(self.candidates, k), len(clients))
            clients = np.sort(prospect.rng.choice(clients, drawn, replace=False, p=share / share.sum()))
        return clients[np.argsort(-state.client_loss[clients], kind="stable")]


@dataclass(frozen=True)
class LossPerSecondK(FirstK):
    """The k clients of highest training loss per own second, the band shared by k."""

    reads_labels = True

    def order(self, prospect: Prospect, k: int) -> Ints:
        """By loss per own second, highest first."""
        clients = prospect.clients
        return clients[by_utility_per_second(prospect.state.client_loss[clients], prospect.own_seconds(k))]


@dataclass(frozen=True)
class Deadline(Selection):
    """As many clients as finish the round by a deadline (after FedCS: Nishio and Yonetani 2019).

    For every n it looks at the n clients with the fewest own seconds. If not even one finishes in time, the fastest is
    selected all the same: a round of nobody teaches nothing.

    Raises:
        ValueError: the deadline is not above 0 and finite.
    """

    deadline_s: float | None = None
    """Latest expected end of the round, s after its start; None: the scenario's round timeout."""

    def __post_init__(self) -> None:
        _check_seconds("deadline_s", self.deadline_s)

    def choose(self, prospect: Prospect) -> Ints:
        """The longest prefix of the clients, fastest first, that finishes in time."""
        clients = prospect.clients
        deadline_s = self.deadline_s or prospect.state.system.round_timeout_s
        order = clients[_shortest_first(prospect.own_seconds(len(clients)))]
        in_time = (n for n in range(len(order), 1, -1) if prospect.latency_s(order[:n]) <= deadline_s)
        return order[: next(in_time, 1)]


@dataclass(frozen=True)
class Unified(Selection):
    """Number of clients and diversity of their data in one measure: the clients of highest utility per second.

    Selects the set S of the largest sum_{i in S} [(1 - w) + w q_i / mean q] / T(S), where q is a measure of diversity,
    T(S) the expected latency of the round, and the mean is over everybody available. For every n it looks at the n
    clients of highest utility per own second; a set of which a client is dropped, or that misses the deadline, does
    not count. If none is left, the first client is selected alone.

    Raises:
        ValueError: w is not within 0..1, the deadline not above 0 and finite, or the measure unknown.
    """

    reads_labels = True
    w: float = 0.5
    """0: clients per second; 1: diversity per second."""
    deadline_s: float | None = None
    """Latest expected end of the round, s after its start; None: any."""
    diversity: str = "loss"
    """The measure: "loss", training loss of the last mini-batch; "novelty", of the classes of the client's data (see
    `splitgym.allocation.selection.novelty`)."""

    def __post_init__(self) -> None:
        if not _is_real(self.w) or not 0 <= self.w <= 1:
            raise ValueError(f"w = {self.w!r}, allowed: 0..1")
        _check_seconds("deadline_s", self.deadline_s)
        if not isinstance(self.diversity, str) or self.diversity not in DIVERSITY:
            raise ValueError(f"diversity = {self.diversity!r}, {suggest(str(self.diversity), DIVERSITY)}")

    def choose(self, prospect: Prospect) -> Ints:
        """The best prefix of the clients, highest utility per own second first; ties: the shorter."""
        clients = prospect.clients
        measured = DIVERSITY[self.diversity](prospect.state)[clients]
        # Times the mean, which may be 0 and does not change which set is best.
        weight = (1 - self.w) * measured.mean() + self.w * measured
        order = by_utility_per_second(weight, prospect.own_seconds(len(clients)))
        latency_s = np.array([prospect.latency_s(clients[order[:n]]) for n in range(1, len(clients) + 1)])
        in_time = latency_s <= (self.deadline_s or np.finfo(float).max)
        best = int(np.where(in_time, np.cumsum(weight[order]) / latency_s, -inf).argmax())
        return clients[order[: best + 1]]


SELECTIONS: Parts[type[Selection]] = Parts(
    "Selection",
    lambda part: isinstance(part, type) and issubclass(part, Selection),
    {
        "everybody": Everybody,
        "random-k": RandomK,
        "round-robin-k": RoundRobinK,
        "fastest-k": FastestK,
        "highest-loss-k": HighestLossK,
        "loss-per-second-k": LossPerSecondK,
        "deadline": Deadline,
        "unified": Unified,
    },
)
"""Which clients participate, by name."""


def _shortest_first(seconds: Floats) -> Ints:
    return np.argsort(seconds, kind="stable")


def _is_real(value: object) -> bool:
    return isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)


def _check_number(name: str, value: int | None) -> None:
    """Raises a ValueError if the value is neither None nor a whole number of 1 or more."""
    if value is not None and (not isinstance(value, int | np.integer) or isinstance(value, bool) or value < 1):
        raise ValueError(f"{name} = {value!r}, allowed: a whole number of 1 or more")


def _check_seconds(name: str, value: float | None) -> None:
    """Raises a ValueError if the value is neither None nor a number of seconds above 0."""
    if value is not None and not (_is_real(value) and 0 < value < inf):
        raise ValueError(f"{name} = {value!r}, allowed: a number of seconds above 0")
