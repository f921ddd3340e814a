"""`splitgym replay`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import gymnasium as gym

from splitgym.commands.agents import named
from splitgym.inputs import InputError


@dataclass(frozen=True)
class Replay:
    """Play the same episode with several schedulers and write a page that shows them side by side.

    One HTML file, which needs no network: cell and timeline of each scheduler in every round, with a slider over the
    rounds, accuracy over simulated time, and the numbers where the mouse is.
    """

    out: Path
    """The page to write, FILE.html."""
    agents: tuple[str, ...] = ("greedy", "unified")
    """Schedulers, each as NAME or NAME:OPTION=VALUE,OPTION=VALUE, or your own as module:CLASS."""
    scenario: str = "iot"
    """Preset name or path of a TOML file."""
    framework: str = "epsl"
    """Learning framework, or your own as module:NAME, for which that module is imported: whatever code it holds is
    executed."""
    learner: Literal["train", "surrogate"] = "train"
    """What a round teaches: train, real training, or surrogate, a model of it, the default of `splitgym compare` and
    `splitgym train`."""
    rounds: int = 40
    """How many rounds at most; an episode ends sooner if it reaches its target or spends its budgets."""
    seed: int = 0
    """Of all episodes: the same cell, data and initial weights for all."""

    def check(self) -> None:
        """Raises an InputError that names the first setting which is not allowed."""
        if not 1 <= self.rounds <= 1000:
            raise InputError(f"--rounds {self.rounds}, allowed: 1..1000")
        if self.seed < 0:
            raise InputError(f"--seed {self.seed}, allowed: 0 or more")
        if not 1 <= len(set(self.agents)) == len(self.agents) <= 6:
            raise InputError(f"--agents {' '.join(self.agents)}, allowed: 1 to 6 different ones")
        if self.out.suffix.lower() != ".html" or not self.out.parent.is_dir():
            raise InputError(f"--out {self.out}, allowed: a name that ends in .html, in a folder that is there")

    def run(self) -> None:
        """Plays and writes."""
        self.check()
        from splitgym.evaluation import replay  # noqa: PLC0415 - help need not import it

        script = replay.plotly()
        logs = {name: self._played(name) for name in self.agents}
        replay.write_replay(self.out, logs, self.seed, script)
        counts = ", ".join(f"{name} {len(log.rounds)}" for name, log in logs.items())
        print(f"{self.out}: rounds of {counts}; {self.out.stat().st_size / 1e6:.1f} MB")

    def _played(self, name: str) -> Any:
        """The log of an episode."""
        from splitgym.evaluation import EpisodeLog  # noqa: PLC0415 - as above

        log = EpisodeLog(
            gym.make(
                "splitgym:SplitLearning-v0",
                scenario=self.scenario,
                framework=self.framework,
                learner=self.learner,
                action="schedule",
            )
        )
        agent = named(name, log.env)
        log.action_space.seed(self.seed)
        log.reset(seed=self.seed)
        for _ in range(self.rounds):
            *_, terminated, truncated, _ = log.play(agent.decide(log.world.state))
            if terminated or truncated:
                break
        return log
