"""Looks at rounds of split learning, measures devices, and compiles the simulator: `python -m splitgym --help`."""

import signal

if __name__ == "__main__" and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    # Imports take seconds: until the command runs, Ctrl-C ends it without a trace.
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import inspect
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any, Literal

import gymnasium as gym

from splitgym import command_line
from splitgym.commands.agents import named
from splitgym.commands.profile import Profile
from splitgym.commands.replay import Replay
from splitgym.inputs import InputError, MissingExtraError
from splitgym.warm_up import ACTIONS, SHARING, Action, Sharing, warm_up


@dataclass(frozen=True)
class Render:
    """Play an episode and make an animated GIF of it, a frame for every round; or print the rounds as text.

    Every frame shows the cell with the links of the round, what was done when and whom the others waited for, the
    decision, and test accuracy over simulated time.
    """

    agent: str = "greedy"
    """The scheduler, as NAME or NAME:OPTION=VALUE,OPTION=VALUE, for example fastest-k:k=4; an unknown name is answered
    with the nearest one. Learned schedulers are known in splitgym's repository only."""
    scenario: str = "iot"
    """Preset name or path of a TOML file."""
    framework: str = "epsl"
    """Learning framework: centralised, fl, sl, sfl-v1, sfl-v2, psl, epsl, psl-drop, epsl-pt, cpsl, hierarchical,
    u-shaped, async-psl or async-sfl; or your own as module:NAME, for which that module is imported: whatever code it
    holds is executed."""
    learner: Literal["train", "surrogate"] = "train"
    """What a round teaches: train, real training, or surrogate, a model of it."""
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


@dataclass(frozen=True)
class Execute:
    """Play rounds on real processes and sockets, and compare times, bytes and weights with the simulator.

    A process for each client and this one for the server train the rounds; every sender paces its bits at the rate that
    the decision gives it, and every computation lasts as long as its cycles. The simulator plays the same rounds here.
    """

    agent: str = "greedy"
    """The scheduler, as NAME or NAME:OPTION=VALUE,OPTION=VALUE."""
    scenario: str = "iot"
    """Preset name or path of a TOML file, with static sharing."""
    framework: str = "psl"
    """Learning framework: psl, epsl, psl-drop, epsl-pt, sl, sfl-v1 or fl."""
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
    """File with the secret that parties on several machines share; None: the environment variable SPLITGYM_SECRET."""

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
        if self.join is not None:
            from splitgym.execution.party_client import join  # noqa: PLC0415 - imports torch

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
        agent = _agent(self.agent, env)
        env.action_space.seed(self.seed)

        from splitgym.execution.session import Session  # noqa: PLC0415 - as above

        Session(env, agent.decide, self.seed, self.scale, self.out).play(self.rounds, self.listen, self.secret_file)


@dataclass(frozen=True)
class WarmUp:
    """Compile the loops of the simulator now, so that no environment has to compile them at its first step.

    The compiled code is kept in the user's cache folder, or in the folder that SPLITGYM_CACHE names. It is the same for
    every scenario, framework and number of environments. What is there already is not compiled again.
    """

    actions: tuple[Action, ...] = ACTIONS
    """Encodings of decisions, the `action` of an environment."""
    sharing: tuple[Sharing, ...] = SHARING
    """How clients share the band."""

    def check(self) -> None:
        """Every combination is allowed."""

    def run(self) -> None:
        """Compiles, and says what and how long it took."""
        from splitgym.kernels import cache_folder  # noqa: PLC0415 - help need not import numba

        what = f"actions {', '.join(self.actions)}; sharing {', '.join(self.sharing)}"
        print(f"compiling kernels for {what}; about a minute if none is compiled yet", flush=True)
        begin_s = perf_counter()
        warm_up(self.actions, self.sharing)
        print(f"done in {perf_counter() - begin_s:.1f} s; compiled kernels are in {cache_folder()}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit status."""
    return command_line.run(_command, arguments)


def _command(arguments: list[str]) -> None:
    """Parses the command line and runs the command that it names."""
    try:
        import tyro  # noqa: PLC0415 - of an extra
    except ImportError as error:
        raise MissingExtraError("the command line needs tyro, pip install 'splitgym[render]'") from error
    app = tyro.extras.SubcommandApp()
    app.command(name="render")(Render)
    app.command(name="execute")(Execute)
    app.command(name="warm-up")(WarmUp)
    app.command(name="profile")(Profile)
    app.command(name="replay")(Replay)
    about = command_line.about(inspect.getdoc(sys.modules[__name__]))
    with command_line.parsing():
        command = app.cli(prog="python -m splitgym", description=about, args=arguments)
    command.check()
    command.run()


if __name__ == "__main__":
    sys.exit(main())
