"""Trains a scheduler, then compares it with the heuristics on held-out seeds with real split learning."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from splitgym import command_line, schedulers
from splitgym.inputs import InputError
from splitgym.parts import suggest

from . import algorithms
from .registry import names

if TYPE_CHECKING:
    from .training.hyperparameters import Hyperparameters

SEEDS = 100_000
"""Number of allowed seeds of a run.

Environment i of a run starts with a seed of at most 99,999 + i, of a resumed run of at most 899,999 + i: below those of
comparisons.
"""

ALLOWED = {
    "steps": (1, 10**12),
    "environments": (1, 10**6),
    "seeds": (1, SEEDS),
    "tune": (0, 10**6),
    "episodes": (1, 10_000),
}
"""Least and most of a number."""

USUAL = ("greedy", "best-fixed", "unified", "tuned:rule=index", "random", "untrained")
"""With whom a policy is compared: rules, one of them sees what it sees, and a policy without training."""


@dataclass(frozen=True)
class Settings:
    """Train a scheduler, then compare it with the heuristics on held-out seeds with real split learning.

    Everything goes to a run folder: settings, scenario, versions and command; of each training seed the TensorBoard
    log, the best policy and the last state; the best policy of all, comparison table and plot. Ctrl-C keeps what is
    saved, of the comparison every finished episode; --resume goes on.
    """

    scenario: str = "iot"
    """Preset name or path of a TOML file."""
    algorithm: Annotated[str, tyro.conf.arg(metavar="NAME", help=f"One of: {', '.join(algorithms.ALGORITHMS)}.")] = (
        "ppo-equivariant"
    )
    learner: Literal["surrogate", "train"] = "surrogate"
    """What the policy learns on: the surrogate, or real training in a process for each environment."""
    framework: str = "epsl"
    """Learning framework: centralised, fl, sl, sfl-v1, sfl-v2, psl, epsl, psl-drop, epsl-pt, cpsl, hierarchical,
    multi-hop, u-shaped, async-psl or async-sfl; or your own as module:NAME, for which that module is imported: whatever
    code it holds is executed."""
    action: str | None = None
    """Action encoding of the policy: schedule, priority, continuous, discrete or rule; None: the algorithm's own."""
    reward: str = "gain-latency"
    """Reward of the policy: gain-latency, time-to-target or gain-latency-energy."""
    settings: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Settings of the algorithm, in RL Zoo's format; None: agents/training/settings/ALGORITHM.yml."""
    steps: int | None = None
    """Environment steps, which are training rounds, to learn from, rounded up to whole rollouts; None: as in the
    settings."""
    environments: int | None = None
    """Environments in parallel; None: as in the settings."""
    start: Annotated[str | None, tyro.conf.arg(metavar="POLICY")] = None
    """Policy whose weights the training begins with: scenario of a shipped one, or path of a run folder or of a
    safetensors file; None: they are drawn."""
    imitate: Annotated[str | None, tyro.conf.arg(metavar="AGENT")] = None
    """Rule, as for --compare, that the policy learns to act like before it learns by itself, for example
    tuned:rule=index; None: it begins with the weights that it has."""
    seed: int = 0
    """First seed of policy and training episodes."""
    seeds: int = 2
    """Policies to train from scratch, with seeds one after the other; the best in validation is compared."""
    tune: int = 0
    """Trials of a search for better settings, of so many steps each, instead of a training; writes tuned.yml."""
    compare: Annotated[
        tuple[str, ...],
        tyro.conf.arg(
            metavar="AGENT [AGENT ...]",
            help="Schedulers to compare with, each as NAME or NAME:OPTION=VALUE,OPTION=VALUE, for example "
            f"highest-loss-k:k=3,allocation=equal-shares, or your own as module:CLASS. Names: {', '.join(names())}. "
            f"None given: {', '.join(USUAL)}, but those that are not tuned to the scenario or do not fit the "
            "environment.",
        ),
    ] = USUAL
    episodes: int = 5
    """Held-out seeds on which each of them runs."""
    workers: int = 2
    """Processes of the training, one for each policy, and of the comparison."""
    device: Annotated[str | None, tyro.conf.arg(metavar="NAME")] = None
    """Torch device that trains the split network; None: cuda if there is one, else cpu."""
    out: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    """Run folder; None: the next free runs/ALGORITHM-SCENARIO-n."""
    resume: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    """Go on with the run in this folder; its own settings hold. They may name a framework as module:NAME, which is
    imported, so that its code runs: resume only folders that you trust, or whose run.json you have read."""

    def check(self) -> None:
        """Raises an InputError that names the first setting which is not allowed."""
        for name, (least, most) in ALLOWED.items():
            value = getattr(self, name)
            if value is not None and not least <= value <= most:
                raise InputError(f"--{name} {value}, allowed: {least}..{most}")
        from splitgym.evaluation.processes import check_workers  # noqa: PLC0415 - help need not import torch

        from .training.comparison import scheduler  # noqa: PLC0415 - likewise

        check_workers(self.workers)
        if self.tune and self.learner != "surrogate":
            raise InputError(f"--tune {self.tune} with --learner {self.learner}, allowed: --learner surrogate")
        for option in ("start", "imitate"):
            if self.tune and (beginning := getattr(self, option)):
                raise InputError(f"--tune {self.tune} with --{option} {beginning}, allowed: one of them")
        if not self.compare:
            raise InputError(f"--compare names none, allowed: {', '.join(names())}")
        for agent in self.compare:
            scheduler(agent)
        if self.imitate is not None:
            self._check_imitated(self.imitate)
        if not 0 <= self.seed <= SEEDS - self.seeds:
            raise InputError(f"--seed {self.seed}, allowed: 0..{SEEDS - self.seeds}")
        algorithm = algorithms.get(self.algorithm)
        allowed = algorithm.actions
        if self.action is not None and self.action not in allowed:
            raise InputError(f"--action {self.action} with {self.algorithm}, {suggest(self.action, allowed)}")

    def _check_imitated(self, rule: str) -> None:
        """Raises an InputError if no policy could imitate it."""
        from .registry import factory  # noqa: PLC0415 - help need not import torch

        algorithm = algorithms.get(self.algorithm)
        if not algorithm.imitates:
            able = ", ".join(name for name, each in algorithms.ALGORITHMS.items() if each.imitates)
            raise InputError(f"--imitate {rule} with --algorithm {self.algorithm}, allowed: {able}")
        if rule.partition(":")[0] in set(names()) - set(schedulers.names()):
            raise InputError(f"--imitate {rule}, allowed: a rule; --start begins with the weights of a policy")
        try:
            factory(rule)
        except ValueError as error:
            raise InputError(f"--imitate {rule}: {error}") from error

    def environment(self) -> dict[str, Any]:
        """Keyword arguments of the environment, but scenario and learner."""
        action = self.action or algorithms.get(self.algorithm).actions[0]
        return {"framework": self.framework, "action": action, "reward": self.reward, "device": self.device}

    def hyperparameters(self) -> "Hyperparameters":
        """The settings of the algorithm, with what the command line says of them."""
        from .training.hyperparameters import Hyperparameters  # noqa: PLC0415 - help need not import torch

        chosen = Hyperparameters.read(algorithms.get(self.algorithm), self.learner, self.settings)
        steps = self.steps or (chosen.least_steps // 4 if self.tune else chosen.least_steps)
        return replace(chosen, least_steps=steps, environments=self.environments or chosen.environments)

    def run(self) -> None:
        """Trains and compares, or goes on with a run; an interrupted one says how to go on."""
        from .training.run import run  # noqa: PLC0415 - help need not import torch

        run(self)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit status."""
    return command_line.run(_command, arguments)


def _command(arguments: list[str]) -> None:
    command_line.parsed(Settings, "splitgym train", arguments).run()


if __name__ == "__main__":
    sys.exit(main())
