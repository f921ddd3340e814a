"""Rounds of an episode on real processes, and the same rounds in the simulator: are times, bits and weights equal?"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from splitgym.arrays import Bools
from splitgym.execution.averaged_training import AveragedTraining
from splitgym.execution.hierarchical_training import HierarchicalTraining
from splitgym.execution.link import Link
from splitgym.execution.measured import Measured, RemoteClient
from splitgym.execution.models import digest
from splitgym.execution.schedule import Schedule
from splitgym.execution.server_process import ServerProcess
from splitgym.execution.server_training import ServerTraining
from splitgym.execution.supported import AVERAGED, check_answers
from splitgym.execution.timeline import Span, spans
from splitgym.execution.u_shaped_training import UShapedTraining
from splitgym.frameworks import Framework
from splitgym.frameworks.snapshots import buffers_of
from splitgym.inputs import InputError
from splitgym.learning import Learner
from splitgym.scenario import Scenario
from splitgym.types import Decision, RoundState

SHORTEST_S, LONGEST_S = 0.05, 5.0
"""Real seconds of phases, by which the scale is chosen."""

Decide = Callable[[RoundState], Decision]


@dataclass(frozen=True)
class Played:
    """A round that was executed and simulated."""

    number: int
    schedule: Schedule
    measured: Measured
    weights_equal: bool
    """Whether server and clients have the weights that they have in the simulator, to the bit."""
    charged_bytes: float | None
    """What the simulator charges; None: that cannot be compared, as a client was dropped or lost in between."""
    spans: list[Span]
    ends_episode: bool

    @property
    def bytes_equal(self) -> bool:
        """Whether the payload is what is charged, and nothing but framing went over the sockets; true if unknown."""
        payload = self.measured.payload_bytes
        if self.charged_bytes is None:
            return True
        return abs(payload - self.charged_bytes) < 0.5 + 1e-9 * payload and self.measured.is_whole


def training_of(
    scenario: Scenario, framework: Framework, seed: int, samples: Any, behind: Sequence[Link]
) -> ServerTraining:
    """The server's side of a framework, with links to the nodes behind it."""
    if behind:
        (cloud,) = behind
        return HierarchicalTraining(scenario, framework, seed, samples, cloud)
    if framework.name in AVERAGED:
        return AveragedTraining(scenario, framework, seed, samples)
    kind = UShapedTraining if framework.has_tail else ServerTraining
    return kind(scenario, framework, seed, samples)


def scale_for(schedule: Schedule) -> float:
    """Real seconds for a simulated one: the shortest phase lasts 50 ms, unless the longest would last 5 s then."""
    cost = schedule.cost
    lasts = (cost.stop_s - cost.start_s)[:, cost.participants]
    lasts = lasts[np.isfinite(lasts) & (lasts > 0.0)]
    if not len(lasts):
        return 1.0
    return float(min(SHORTEST_S / lasts.min(), LONGEST_S / lasts.max()))


@dataclass
class Execution:
    """An episode that real processes play.

    Args:
        env: `SplitLearningEnv` with learner="train", whose episode has begun; it is the simulator.
        decide: Of a scheduler.
        remotes: [C] clients, which are ready.
        samples: [C] of them.
        behind: Links to the nodes behind the server.
        scale: Real seconds for a simulated one; None: chosen by the first round.
    """

    env: Any
    decide: Decide
    remotes: list[RemoteClient]
    samples: Any
    behind: Sequence[Link] = ()
    scale: float | None = None
    rounds: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self._learner = simulated(self.env)
        # A group of clients adds up in another order than a client by itself.
        for node in self._learner.nodes.clients:
            node.alone = True
        check_sharing(self.env)
        learner = self._learner
        self._training = training_of(learner.scenario, learner.framework, learner.seed, self.samples, self.behind)
        self._server: ServerProcess | None = None

    def play(self) -> Played:
        """Plays the next round, on the processes and then in the simulator.

        Raises:
            InputError: no client is left, or the models have diverged.
        """
        schedule = self.decided()
        server = self._server
        if server is None:
            self.scale = scale_for(schedule) if self.scale is None else self.scale
            server = self._server = ServerProcess(self.remotes, self._training, self.scale)
        self.rounds += 1
        measured = server.play(schedule, self.rounds)
        took_part = np.isin(np.arange(len(self.remotes)), measured.took_part)
        # On demand others would have what a lost client had, and who was late might not be so.
        began = schedule.cost.participants | (schedule.cost.timed_out if measured.lost else False)
        away = began & ~took_part
        self._learner.nodes.one_by_one = schedule.answers_apart
        *_, terminated, truncated, info = self.env.play(schedule.without(away))
        if not np.array_equal(info["participants"], took_part):
            raise InputError(f"round {self.rounds}: the simulator plays it with others than {measured.took_part}")
        complete = not measured.lost
        charged = float(info["traffic_bits"]) / 8 if complete and not info["timed_out"].any() else None
        return Played(
            self.rounds,
            schedule,
            measured,
            self._weights_are_equal(server, measured.took_part),
            charged,
            self._spans(schedule, measured, complete and not schedule.waits_for_units),
            terminated or truncated,
        )

    def end(self) -> None:
        """Tells all clients that it is over."""
        if self._server is None:
            self._server = ServerProcess(self.remotes, self._training, 1.0)
        self._server.end()

    @property
    def _there(self) -> Bools:
        """[C] clients that are not lost."""
        return np.array([remote.is_there for remote in self.remotes])

    def decided(self) -> Schedule:
        """The round that the scheduler makes of what it knows; lost clients are unavailable to it."""
        if not self._there.any():
            raise InputError(f"round {self.rounds + 1}: no client is left")
        state, truth, there = self.env.state, self.env.truth, self._there
        decision = self.decide(replace(state, available=state.available & there))
        decision = replace(decision, selected=decision.selected & there)
        decision.check(truth)
        return Schedule.of(truth, decision)

    def _weights_are_equal(self, server: ServerProcess, took_part: tuple[int, ...]) -> bool:
        nodes = self._learner.nodes
        if self._training.digest() != digest(nodes.server.units):
            return False
        if self._learner.framework.name in AVERAGED:
            return True
        found = server.reports(took_part)
        return all(found[i] == digest([u for node in nodes.at_client(i) for u in node.units]) for i in found)

    def _spans(self, schedule: Schedule, measured: Measured, complete: bool) -> list[Span]:
        cost = schedule.cost
        return spans(
            self.rounds,
            cost.stages,
            (cost.start_s, cost.stop_s, float(cost.latency_s)),
            (measured.start_s, measured.stop_s, measured.latency_s),
            measured.took_part,
            complete,
        )


def check_sharing(env: Any) -> None:
    """Raises a ScenarioError if the server could not answer as clients share the band; see `check_answers`."""
    learner, system = simulated(env), env.state.system
    if system.on_demand:
        has_batch_norm = any(buffers_of([unit]) for unit in learner.nodes.server.units)
        check_answers(system.program, learner.framework.name, has_batch_norm)


def simulated(env: Any) -> Learner:
    """The learner of an environment with one world."""
    learner: Learner = env.learners.learners[0]
    return learner
