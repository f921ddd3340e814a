"""A slice: an ordinary environment with a scheduler of its own, on the part of the cell that it has."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from splitgym import schedulers
from splitgym.allocation import descent
from splitgym.arrays import Bools, Ints
from splitgym.envs import SplitLearningEnv
from splitgym.inputs import InputError
from splitgym.scenario import Scenario
from splitgym.slices.setup import SliceRow
from splitgym.types import Decision, RoundState

Decide = Callable[[RoundState], Decision]


class Grant(NamedTuple):
    """A slice's part of the cell."""

    subchannels: Ints
    """[m] indices, increasing."""
    server_share: float


class Running(NamedTuple):
    """A round on its way."""

    decision: Decision
    grant: Grant
    """With which it began, and which it keeps to its end."""
    begin_s: float
    end_s: float


@dataclass
class Progress:
    """What a slice has done in the episode."""

    rounds: int = 0
    violations: int = 0
    latency_s: float = 0.0
    """Of the last round."""
    ended: bool = False
    reached: bool = False
    """Whether the end is that of the target."""
    end_s: list[float] = field(default_factory=list)
    """[R] when rounds ended."""
    latencies_s: list[float] = field(default_factory=list)
    """[R] as `latency_s`."""
    accuracy: list[float] = field(default_factory=list)
    """[R + 1] test accuracy at first and after each round."""


class Slice:
    """A slice of a cell.

    Args:
        row: What it is.
        scenario: Of its task, see `SlicedCell.scenarios`.
        learner: "train" or "surrogate".
        device: Where to train.

    Attributes:
        row: What it is.
        env: Its environment.
        grant: What it has got last.
        running: The round on its way; None: the episode has ended.
        progress: What it has done.
        played: What `info` says of each round that ended in this period.
    """

    def __init__(self, row: SliceRow, scenario: Scenario, learner: str, device: str | None = None) -> None:
        self.row = row
        # Nobody plays actions; those of "schedule" fit every number of subchannels.
        self.env = SplitLearningEnv(scenario, row.framework, learner, action="schedule", device=device)
        self.grant = Grant(np.arange(scenario.radio.subchannels), 1.0)
        self.running: Running | None = None
        self.progress = Progress()
        self.played: list[dict[str, Any]] = []
        self._decide = self._made(row.scheduler)

    def reset(self, generator: np.random.Generator) -> None:
        """Starts an episode that is drawn from a generator; what the scheduler draws comes from a child of it."""
        (own,) = generator.spawn(1)
        self.env.np_random = generator
        _, info = self.env.reset()
        self.env.action_space.seed(int(own.integers(2**31)))
        self._decide = self._made(self.row.scheduler)
        self.running, self.played = None, []
        self.progress = Progress(accuracy=[float(info["accuracy"])])

    @property
    def name(self) -> str:
        """As its row says."""
        return self.row.name

    @property
    def is_critical(self) -> bool:
        """Whether it has a deadline."""
        return self.row.deadline_s is not None

    @property
    def accuracy(self) -> float:
        """Test accuracy after the last round that has ended."""
        return self.progress.accuracy[-1]

    @property
    def violation_rate(self) -> float:
        """Share of its rounds that were late; 0 before the first."""
        return self.progress.violations / max(self.progress.rounds, 1)

    def begin(self, now_s: float, free: Grant) -> None:
        """Begins a round with what is free of what it has got: decides it, and works out when it will end."""
        self.env.restrict(free.subchannels, free.server_share * self.env.scenario.server.compute_hz)
        decision = self._decide(self.env.state)
        self.running = Running(decision, free, now_s, now_s + self.env.latency_s(decision))

    def end(self) -> None:
        """Ends the round on its way: only now it is learnt from, and seen."""
        running, progress = self.running, self.progress
        assert running is not None
        _, _, terminated, truncated, info = self.env.play(running.decision)
        progress.latency_s = info["round_latency_s"]
        progress.rounds += 1
        progress.violations += self.is_late(progress.latency_s)
        progress.ended, progress.reached = terminated or truncated, terminated
        progress.end_s.append(running.end_s)
        progress.latencies_s.append(progress.latency_s)
        progress.accuracy.append(float(info["accuracy"]))
        self.played.append(info)
        self.running = None

    def is_late(self, latency_s: float) -> bool:
        """Whether a round of that latency breaks the deadline."""
        return self.row.deadline_s is not None and latency_s > self.row.deadline_s

    def expected_latency_s(self, subchannels: int, server_share: float) -> float:
        """Latency of a round of everybody on so many subchannels, by the descent on what is believed now.

        It has those that it has got, and the first of the others. A round that leaves clients out takes the timeout.

        Args:
            subchannels: At least 1.
            server_share: Above 0.
        """
        whole = self.env.whole_state
        first = np.argsort(~np.isin(np.arange(len(whole.subchannel_hz)), self.grant.subchannels), kind="stable")
        server_hz = server_share * self.env.scenario.server.compute_hz
        state = whole.part(np.sort(first[:subchannels]), server_hz).synchronous().holding(0, 0)
        everybody: Bools = state.available & state.present
        if not everybody.any():
            return state.system.round_timeout_s
        ratio = min(self.env.scenario.training.aggregation_ratio, state.system.highest_ratio)
        found = descent(state, everybody, state.ratio(ratio), search=False)
        whole_round = found.participants == everybody.sum()
        return float(found.latency_s) if whole_round else max(float(found.latency_s), state.system.round_timeout_s)

    def _made(self, scheduler: Any) -> Decide:
        """How the scheduler decides.

        Raises:
            InputError: it is none.
        """
        if isinstance(scheduler, str):
            return schedulers.factory(scheduler)(self.env).decide
        makes = isinstance(scheduler, type) or (callable(scheduler) and not hasattr(scheduler, "decide"))
        made = scheduler(self.env) if makes else scheduler
        decide = getattr(made, "decide", None)
        if not callable(decide):
            raise InputError(
                f"slice {self.name!r}: scheduler = {scheduler!r}, allowed: 'name:option=value', an object with "
                "decide(state), or a function that makes one for an environment"
            )
        decides: Decide = decide
        return decides
