"""Clients in threads of this process, over pairs of sockets, and a server that plays rounds with them."""

import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from threading import Thread
from typing import Any

import gymnasium as gym
import torch

from splitgym import schedulers
from splitgym.execution.gathering import parties, welcome
from splitgym.execution.joining import PASSED_OVER, take_part
from splitgym.execution.link import Link
from splitgym.execution.run import Execution, Played, simulated

SMALL = {
    "clients": {"count": 3},
    "radio": {"subchannels": 3},
    "training": {"batch_size": 4, "local_steps": 2, "momentum": 0.9},
    "task": {"evaluation_samples": 20},
}
"""Sections over those of `toy`."""


class Cell:
    """An episode played over sockets.

    Args:
        framework: Its name.
        scenario: Name of a preset.
        seed: Of the episode.
        real_s: How long the first round shall take.
        sections: Over those of the preset.
        random: Whether decisions are drawn, and not those of the greedy rule.
    """

    def __init__(
        self,
        framework: str,
        scenario: str = "toy",
        seed: int = 0,
        real_s: float = 0.2,
        sections: Mapping[str, Mapping[str, Any]] = SMALL,
        random: bool = False,
    ) -> None:
        self.env: Any = gym.make(
            "splitgym:SplitLearning-v0", scenario=scenario, framework=framework, action="discrete", **sections
        ).unwrapped
        self.env.reset(seed=seed)
        self.env.action_space.seed(seed)
        greedy = schedulers.make("greedy", self.env)
        self.decide = (lambda state: self.env.decode(self.env.action_space.sample())) if random else greedy.decide
        self.learner = simulated(self.env)
        who = parties(self.learner.scenario, framework)
        pairs = [socket.socketpair() for _ in who]
        self.links, self.ends = [Link(own) for own, _ in pairs], [other for _, other in pairs]
        self.threads = [Thread(target=self._run, args=(end,), daemon=True) for end in self.ends]
        self.real_s = real_s

    def begin(self) -> None:
        for thread in self.threads:
            thread.start()
        told = self.learner.scenario, self.learner.framework.name, self.learner.seed
        self.execution = Execution(self.env, self.decide, *welcome(self.links, *told, print), 1.0)
        latency_s = float(self.execution.decided().cost.latency_s)
        self.execution.scale = self.real_s / latency_s

    def play(self) -> Played:
        return self.execution.play()

    def kill(self, client: int) -> None:
        """Its connection ends as that of a process that dies."""
        self.ends[client].shutdown(socket.SHUT_RDWR)

    def _run(self, end: socket.socket) -> None:
        torch.set_num_threads(1)
        with suppress(EOFError, OSError):  # The server has ended, or this client was killed.
            take_part(Link(end, PASSED_OVER))


@contextmanager
def cell(framework: str, **options: Any) -> Iterator[Cell]:
    """A cell whose clients are ready, and end with the block."""
    made = Cell(framework, **options)
    made.begin()
    try:
        yield made
    finally:
        made.execution.end()
        for thread in made.threads:
            thread.join(30)
        assert not any(thread.is_alive() for thread in made.threads)
