"""`splitgym render`."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import gymnasium as gym

from splitgym.commands.agents import named
from splitgym.inputs import InputError


@dataclass(frozen=True)
class Render:
    """Play an episode and make an animated GIF of it, a frame for every round; or print the rounds as text.

    Every frame shows the cell with the links of the round, what was done when and whom the others waited for, the
    decision, and test accuracy over simulated time.
    """

    agent: str = "greedy"
    """The scheduler, as NAME or NAME:OPTION=VALUE,OPTION=VALUE, for example fastest-k:k=4; an unknown name is answered
    with the nearest one. Your own as module:CLASS, for which that module is imported: whatever code it holds is
    executed."""
    scenario: str = "iot"
    """Preset name or path of a TOML file."""
    framework: str = "epsl"
    """Learning framework: centralised, fl, sl, sfl-v1, sfl-v2, psl, epsl, psl-drop, epsl-pt, cpsl, hierarchical,
    multi-hop, u-shaped, async-psl or async-sfl; or your own as module:NAME, for which that module is imported: whatever
    code it holds is executed."""
    learner: Literal["train", "surrogate"] = "train"
    """What a round teaches: train, real training, or surrogate, a model of it, the default of `splitgym compare` and
    `splitgym train`."""
    rounds: int = 40
    """How many rounds at most; the episode ends sooner if it reaches its target or spends its budgets."""
    seed: int = 0
    """Of the episode."""
    fps: float = 4.0
    """Frames a second."""
    out: Path | None = None
    """The GIF to write; None: print every round as text."""

    def check(self) -> None:
        """Raises an InputError that names the first setting which is not allowed."""
        if self.rounds < 1:
            raise InputError(f"--rounds {self.rounds}, allowed: 1 or more")
        if self.seed < 0:
            raise InputError(f"--seed {self.seed}, allowed: 0 or more")
        if not 0.1 <= self.fps <= 50:
            raise InputError(f"--fps {self.fps:g}, allowed: 0.1 to 50")
        if self.out is not None and self.out.suffix.lower() != ".gif":
            raise InputError(f"--out {self.out}, allowed: a name that ends in .gif")
        if self.out is not None and not self.out.parent.is_dir():
            raise InputError(f"--out {self.out}: there is no folder {self.out.parent}")

    def run(self) -> None:
        """Plays and writes."""
        self.check()
        frames = self._frames("ansi" if self.out is None else "rgb_array")
        if self.out is None:
            for number, frame in enumerate(frames):
                print(frame if number == 0 else f"\n{frame}", flush=True)
            return
        from splitgym.rendering.gif import write_gif  # noqa: PLC0415 - only drawing needs Pillow

        count = write_gif(self.out, frames, self.fps)
        print(f"{self.out}: {count} frames, {self.out.stat().st_size / 1e3:.0f} kB")

    def _frames(self, render_mode: str) -> Iterator[Any]:
        """The frame before the first round, then one of each."""
        env = gym.make(
            "splitgym:SplitLearning-v0",
            scenario=self.scenario,
            framework=self.framework,
            learner=self.learner,
            action="schedule",
            render_mode=render_mode,
        )
        agent = named(self.agent, env)
        world: Any = env.unwrapped
        env.action_space.seed(self.seed)
        env.reset(seed=self.seed)
        yield env.render()
        for _ in range(self.rounds):
            *_, terminated, truncated, _ = world.play(agent.decide(world.state))
            yield env.render()
            if terminated or truncated:
                return
