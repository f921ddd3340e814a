"""Compares schedulers on common held-out seeds: `splitgym compare --help`."""

import signal

if __name__ == "__main__" and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    # Imports take seconds: until the command runs, Ctrl-C ends it without a trace.
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from splitgym import command_line
from splitgym.inputs import InputError

from .registry import names

SEEDS = 10_000
"""Held-out seeds of one `--seed`; the next one has others."""
LARGEST_SEED = 10**9

DEAR = ("look-ahead", "rollout")
"""What is not compared unless it is named: they try many rules, on a copy of the world or on the surrogate."""
LOOK_AHEADS = ("look-ahead:horizon=1", "look-ahead:horizon=5", "look-ahead:horizon=20", "look-ahead:until=target")
"""Of which the oracle is made, beside the rules."""


@dataclass(frozen=True)
class Settings:
    """Compare schedulers on common held-out seeds: the same cells, data and initial weights for all of them.

    Prints a table of interquartile means with 95 % intervals and paired comparisons with a baseline, and writes a
    folder: episodes.csv, table.md, table.csv, paired.csv, plots, and report.html, one file that holds everything.
    The same settings and seed give the same table. Episodes are kept as they end: after a stop the same command goes
    on.
    """

    scenarios: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME [NAME ...]")] = ("iot",)
    """Preset names or paths of TOML files."""
    agents: Annotated[
        tuple[str, ...],
        tyro.conf.arg(
            metavar="AGENT [AGENT ...]",
            help="Schedulers to compare, each as NAME or NAME:OPTION=VALUE,OPTION=VALUE, for example "
            f"highest-loss-k:k=3,allocation=equal-shares, or your own as module:CLASS. Names: {', '.join(names())}. "
            f"None given: all that need no option in any of the scenarios, but {' and '.join(DEAR)}; of trained "
            "policies those that are shipped for each scenario or in general; and the rules that are tuned to all "
            "scenarios.",
        ),
    ] = ()
    baseline: Annotated[str, tyro.conf.arg(metavar="AGENT")] = "greedy"
    """The scheduler with which the others are compared; it runs even if it is not among them."""
    reference: Annotated[str | None, tyro.conf.arg(metavar="AGENT")] = None
    """The scheduler whose saving counts as the whole head-room; it runs, too. `oracle`: of each episode the best of
    look-aheads with several horizons, which run, and of all rules that are compared."""
    learner: Literal["surrogate", "train"] = "surrogate"
    """What a round teaches: surrogate, a model of the training (milliseconds an episode), or train, real training
    (seconds an episode)."""
    framework: str = "epsl"
    """Learning framework: centralised, fl, sl, sfl-v1, sfl-v2, psl, epsl, psl-drop, epsl-pt, cpsl, hierarchical,
    multi-hop, u-shaped, async-psl or async-sfl; or your own as module:NAME, for which that module is imported: whatever
    code it holds is executed."""
    action: str = "schedule"
    """Action encoding of the environment: all decisions are played exactly, whatever the encoding of a policy; but
    those that learnt with discrete see more and need it, and the others need another one."""
    until: Literal["target", "budget"] = "target"
    """When an episode ends: at the target accuracy, or only when time or rounds are spent, for accuracy curves."""
    episodes: int = 100
    """Held-out seeds on which every scheduler runs in every scenario."""
    seed: int = 0
    """Of the comparison: another one has other episodes and other bootstrap resamples."""
    rounds: bool = False
    """Also write every round of every episode, and every client in it, as packed CSV into the folder `rounds`."""
    workers: int = 2
    """Processes; the table does not depend on them."""
    device: Annotated[str | None, tyro.conf.arg(metavar="NAME")] = None
    """Torch device of real training; None: cuda if there is one, else cpu."""
    out: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    """Folder of the results; None: the last runs/compare-SCENARIO-n if it holds this comparison unfinished, or else the
    next one."""

    def check(self) -> None:
        """Raises an InputError that names the first setting which is not allowed."""
        from splitgym.evaluation.processes import check_workers  # noqa: PLC0415 - help need not import torch

        check_workers(self.workers)
        if not 1 <= self.episodes <= SEEDS:
            raise InputError(f"--episodes {self.episodes}, allowed: 1..{SEEDS}")
        if not 0 <= self.seed <= LARGEST_SEED:
            raise InputError(f"--seed {self.seed}, allowed: 0..{LARGEST_SEED}")
        if not self.scenarios:
            raise InputError("--scenarios names none, allowed: preset names or paths of TOML files")

    @property
    def environment(self) -> dict[str, Any]:
        """Keyword arguments of the environment, without the scenario."""
        return {name: getattr(self, name) for name in ("learner", "framework", "action", "device")}

    def deciding(self) -> dict[str, Any]:
        """What decides the episodes and their table."""
        return {name: value for name, value in asdict(self).items() if name not in ("scenarios", "workers", "out")}

    @property
    def seeds(self) -> range:
        """Of the episodes."""
        from splitgym.evaluation import HELD_OUT  # noqa: PLC0415 - help need not import torch

        first = HELD_OUT + SEEDS * self.seed
        return range(first, first + self.episodes)

    def run(self) -> None:
        """Plays what is not finished, writes the folder, prints the table."""
        from .comparing import run  # noqa: PLC0415 - help need not import torch

        run(self)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit status."""
    return command_line.run(_command, arguments)


def _command(arguments: list[str]) -> None:
    command_line.parsed(Settings, "splitgym compare", arguments).run()


if __name__ == "__main__":
    sys.exit(main())
