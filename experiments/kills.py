"""Processes of executed rounds that are killed at random: does each round end without them, as a dropout does?

    python -m experiments kills

In each case four clients play rounds of a framework, with static shares or on demand, as processes of their own; one of
them, or the cloud, is killed with `kill -9` at a moment of a round, both drawn from the seed; then the next one. 30
processes are killed in all. Weights are compared with the simulator's after each round.
"""

import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Timer
from time import monotonic
from typing import Any

import gymnasium as gym
import numpy as np
import pandas as pd
import torch

from experiments.running import Case, Experiment, Row
from experiments.tables import markdown
from splitgym import schedulers
from splitgym.execution.gathering import gather, parties, started_here, welcome
from splitgym.execution.hierarchical_training import LostCloudError
from splitgym.execution.run import Execution, simulated
from splitgym.execution.secret import new_secret

FRAMEWORKS = (
    ("psl", "static"),
    ("psl", "on-demand"),
    ("epsl", "static"),
    ("epsl", "on-demand"),
    ("u-shaped", "static"),
    ("hierarchical", "static"),
    ("sl", "static"),
    ("sfl-v1", "static"),
    ("sfl-v1", "on-demand"),
    ("fl", "static"),
)
CLIENTS, KILLS = 4, 3
"""Of a case."""
ROUND_S = 2.0
"""Real seconds of the first round."""
HUNG_S = 30.0
"""Real seconds beyond those of a round after which it is said to have hung."""
MOST_ROUNDS = 20
"""Within which a process that was killed has to be missed."""
LATE = 1.2
"""Moments are drawn up to here, as a share of what a round lasts: some fall between rounds, or into the next."""


def cases(quick: bool) -> list[Case]:
    """Frameworks and sharing."""
    chosen = FRAMEWORKS[1:2] if quick else FRAMEWORKS
    return [{"framework": name, "sharing": sharing, "kills": 1 if quick else KILLS} for name, sharing in chosen]


def measure(case: Case, seed: int) -> list[Row]:
    """A row for each process that is killed."""
    torch.set_num_threads(1)
    # The same for all frameworks would be the same moments.
    chance = np.random.default_rng([seed, *case["framework"].encode(), len(case["sharing"])])
    rows: list[Row] = []
    while len(rows) < case["kills"]:
        with _playing(case, seed) as run:
            while len(rows) < case["kills"] and not run.ended:
                rows.append(run.kill(int(chance.integers(len(run.alive))), float(chance.uniform(0.0, LATE))))
    return rows


@dataclass
class _Run:
    """An episode whose processes are killed one by one."""

    execution: Execution
    alive: list["subprocess.Popen[bytes]"]
    ended: bool = field(default=False, init=False)

    def kill(self, place: int, share: float) -> Row:
        """Kills one of those that are alive within a round; plays until it has been missed, and a round more."""
        victim, round_s = self.alive.pop(place), self._round_s()
        before, killed_s = self._there(), monotonic() + share * round_s
        Timer(share * round_s, victim.send_signal, [signal.SIGKILL]).start()
        said: dict[str, Any] = {"moment": share, "equal": 1, "longest_s": 0.0}
        try:
            for _ in range(MOST_ROUNDS):
                lost = self._play(said)
                if self._there() != before and monotonic() > killed_s:
                    break
            self._play(said)
        except LostCloudError as error:
            self.ended = True
            return {
                **said,
                "party": "cloud",
                "stage": "",
                "end": f"the run ends: {error}",
                "as_expected": said["equal"],
            }
        missed = set(before) - set(self._there())
        if len(missed) != 1:
            self.ended = True
            return {**said, "party": "?", "stage": "", "end": f"{len(missed)} clients are missed", "as_expected": 0}
        (gone,) = missed
        counted = "counts it" if gone in lost[1] else "is played without it" if lost[1] else "counts for nobody"
        expected = int(said["equal"] and said["longest_s"] < HUNG_S)
        stage = self.execution.remotes[gone].lost_in
        return {
            **said,
            "party": f"client {gone}",
            "stage": stage,
            "end": f"the round {counted}",
            "as_expected": expected,
        }

    def _play(self, said: dict[str, Any]) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Plays a round; who was lost in it, and who took part."""
        begin_s, planned_s = monotonic(), self._round_s()
        played = self.execution.play()
        said["longest_s"] = max(said["longest_s"], monotonic() - begin_s - planned_s)
        said["equal"] = int(said["equal"] and played.weights_equal)
        return tuple(played.measured.lost), played.measured.took_part

    def _round_s(self) -> float:
        """Real seconds of the next round, by what the simulator says."""
        return float(self.execution.decided().cost.latency_s) * (self.execution.scale or 1.0)

    def _there(self) -> tuple[int, ...]:
        return tuple(i for i, remote in enumerate(self.execution.remotes) if remote.is_there)


@contextmanager
def _playing(case: Case, seed: int) -> Iterator[_Run]:
    """An episode of a case on processes of this machine."""
    env: Any = gym.make(
        "splitgym:SplitLearning-v0",
        scenario="toy",
        framework=case["framework"],
        action="schedule",
        clients={"count": CLIENTS},
        radio={"subchannels": CLIENTS + 1, "sharing": case["sharing"]},
        # A whole cnn does not come through within the timeout.
        task={"model": "mlp" if case["framework"] == "fl" else "cnn", "evaluation_samples": 20},
        training={"momentum": 0.9},
        # Long enough for all kills, and for whole networks on their way.
        episode={"max_rounds": 10_000, "time_budget_s": 1e5, "target_accuracy": 1.0, "round_timeout_s": 10.0},
    ).unwrapped
    rule = schedulers.make("greedy", env)
    env.reset(seed=seed)
    learner, secret = simulated(env), new_secret()
    count = len(parties(learner.scenario, learner.framework.name))
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        started_here(count, listener.getsockname()[1], secret) as processes,
    ):
        links = gather(listener, count, secret.encode(), print, processes)
        told = learner.scenario, learner.framework.name, learner.seed
        execution = Execution(env, rule.decide, *welcome(links, *told, print), 1.0)
        execution.scale = ROUND_S / float(execution.decided().cost.latency_s)
        try:
            execution.play()
            yield _Run(execution, list(processes))
        finally:
            execution.end()


def report(rows: pd.DataFrame) -> str:
    """A line for each process that was killed."""
    fine, longest_s = int(rows["as_expected"].sum()), rows["longest_s"].max()
    lines = [_line(row) for row in rows.to_dict("records")]
    return "\n\n".join(
        [
            f"{len(rows)} processes were killed; {fine} of them left behind what the manual says, with the "
            "simulator's weights to the bit in all rounds. Nothing hung: the longest round lasted "
            f"{longest_s:.1f} s longer than it should have. Moments are shares of what the round lasts; behind 1 they "
            "fall between two rounds or into the next.",
            markdown(lines),
        ]
    )


def _line(row: dict[Any, Any]) -> Row:
    return {
        "framework": row["framework"],
        "sharing": row["sharing"],
        "killed": row["party"],
        "moment": f"{row['moment']:.2f}",
        "lost in": row["stage"] or "-",
        "what happens": row["end"],
        "weights equal": "yes" if row["equal"] else "NO",
        "longer by (s)": f"{row['longest_s']:.2f}",
    }


EXPERIMENT = Experiment(
    title="Does a round end without a process that is killed, whenever that is?",
    cases=cases,
    measure=measure,
    report=report,
    seeds=1,
)
