"""`splitgym execute`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium as gym

from splitgym.commands.agents import named
from splitgym.inputs import InputError


@dataclass(frozen=True)
class Execute:
    """Play rounds on real processes and sockets, and compare times, bytes and weights with the simulator.

    A process for each client and this one for the server train the rounds; every sender paces its bits at the rate that
    the decision gives it, and every computation lasts as long as its cycles. The simulator plays the same rounds here.
    """

    agent: str = "greedy"
    """The scheduler, as NAME or NAME:OPTION=VALUE,OPTION=VALUE, or your own as module:CLASS."""
    scenario: str = "iot"
    """Preset name or path of a TOML file."""
    framework: str = "psl"
    """Learning framework: psl, epsl, psl-drop, epsl-pt, u-shaped, hierarchical, sl, sfl-v1 or fl."""
    rounds: int | None = 10
    """How many rounds at most; the episode ends sooner if it reaches its target or spends its budgets. None: all."""
    seed: int = 0
    """Of the episode."""
    scale: float | None = None
    """Real seconds for a simulated one; None: the shortest phase of the first round lasts 50 ms, or the longest 5 s if
    that is less. What is computed must be ready within its phase."""
    out: Path | None = None
    """Folder for timeline.csv and timeline.png; None: they are not written."""
    listen: str | None = None
    """HOST:PORT where clients of other machines join; None: they are processes of this machine."""
    join: str | None = None
    """HOST:PORT of a server: this process is a client of it, and all other settings are the server's."""
    secret_file: Path | None = None
    """File with the secret that several machines share; None: the environment variable SPLITGYM_SECRET."""

    def check(self) -> None:
        """Raises an InputError that names the first setting which is not allowed."""
        if self.rounds is not None and self.rounds < 1:
            raise InputError(f"--rounds {self.rounds}, allowed: 1 or more")
        if self.seed < 0:
            raise InputError(f"--seed {self.seed}, allowed: 0 or more")
        if self.scale is not None and not 1e-6 <= self.scale <= 1e6:
            raise InputError(f"--scale {self.scale:g}, allowed: 1e-6 to 1e6")
        if self.listen is not None and self.join is not None:
            raise InputError(f"--listen {self.listen} and --join {self.join}, allowed: one of them")

    def run(self) -> None:
        """Plays rounds, or takes part in those of a server."""
        self.check()
        if self.join is not None:
            from splitgym.execution.joining import join  # noqa: PLC0415 - imports torch

            join(self.join, self.secret_file)
            return
        from splitgym.execution.supported import supported  # noqa: PLC0415 - imports torch
        from splitgym.scenario import build  # noqa: PLC0415 - help need not know scenarios

        supported(build(self.scenario), self.framework)
        env: Any = gym.make(
            "splitgym:SplitLearning-v0",
            scenario=self.scenario,
            framework=self.framework,
            action="schedule",
            device="cpu",
        ).unwrapped
        agent = named(self.agent, env)
        env.action_space.seed(self.seed)

        from splitgym.execution.session import Session  # noqa: PLC0415 - as above

        Session(env, agent.decide, self.seed, self.scale, self.out).play(self.rounds, self.listen, self.secret_file)
