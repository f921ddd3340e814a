"""Rules whose parameters were tuned to a scenario on training seeds of the surrogate: what has to be beaten.

`python -m agents.tuned_rule --scenario iot` tunes them and notes what it found in `agents/tuned/rules.toml`.
"""

import signal

if __name__ == "__main__" and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    # Imports take seconds: until the command runs, Ctrl-C ends it without a trace.
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import inspect
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import tomli_w
import tyro

from agents.agent import Heuristic
from agents.rule import Rule
from splitgym import command_line
from splitgym.files import read_toml
from splitgym.inputs import InputError, reading
from splitgym.outputs import write_text
from splitgym.parts import suggest
from splitgym.scenario import in_commands
from splitgym.types import Decision, RoundState

TABLE = Path(__file__).parent / "tuned" / "rules.toml"
FIXED = "best-fixed"
"""The rule that holds the cut layer, too, and looks at nobody's loss."""
RULES = (FIXED, "fastest-k", "highest-loss-k", "loss-per-second-k", "deadline", "unified")
STAGES = ((2, 48), (8, 12), (24, 4), (64, 1))
"""Episodes that every candidate plays, and how many candidates then stay in."""


class TunedRule(Heuristic):
    """A rule with the parameters, cut layer and phi that take the shortest time to the target on the surrogate.

    Args:
        env: The environment.
        rule: One of `RULES`. `best-fixed`: the same cut layer, phi and number of clients in every round, who are the
            fastest or have slots. The others choose as their names say, at a cut layer that is held or searched.
            Subchannels and powers are those of the descent.
        scenario: For which it was tuned; None: the environment's.

    Raises:
        ValueError: there is no such rule.
        InputError: it was not tuned for a scenario of that name, the message says how to; or the table is broken.
    """

    def __init__(self, env: gym.Env[Any, Any], rule: str, scenario: str | None = None) -> None:
        super().__init__(env)
        _check_rule(rule)
        name = scenario or self.env.scenario.name
        tuned = {of: rules for of, rules in _table().items() if rule in rules}
        if name not in tuned:
            raise InputError(
                f"{rule!r} is not tuned for scenario {name!r} in {str(TABLE)!r}, allowed: {', '.join(tuned) or 'none'};"
                f" tune it with: python -m agents.tuned_rule --scenario {in_commands(name)} --rules {rule}"
            )
        with reading(f"rule {rule!r} of scenario {name!r} in {str(TABLE)!r}"):
            self._rule = Rule(self.env, **tuned[name][rule]["options"])

    def decide(self, state: RoundState) -> Decision:
        """What the rule says."""
        return self._rule.decide(state)


@dataclass(frozen=True)
class Tuning:
    """Tune rules to a scenario on the surrogate, and note what was found in agents/tuned/rules.toml."""

    scenario: str = "iot"
    """Preset name or path of a TOML file."""
    rules: tuple[str, ...] = RULES
    """Which of them."""
    workers: int = 2
    """Processes."""

    def run(self) -> None:
        """Candidates play ever more episodes, and ever fewer of them stay in."""
        # Only a tuning needs pandas and what else the evaluation imports.
        from splitgym.evaluation.processes import check_workers  # noqa: PLC0415

        with command_line.checking_input():
            check_workers(self.workers)
            if not self.rules:
                raise InputError(f"--rules names none, allowed: {', '.join(RULES)}")
            for rule in self.rules:
                _check_rule(rule)
            _table()
            env: Any = gym.make("splitgym:SplitLearning-v0", scenario=self.scenario, learner="surrogate").unwrapped
        for rule in self.rules:
            options, time_s = self._best(list(_candidates(rule, env)))
            print(f"{rule}: {time_s:.1f} s with {options}", flush=True)
            table = _table()
            table.setdefault(env.scenario.name, {})[rule] = {
                "command": f"python -m agents.tuned_rule --scenario {self.scenario} --rules {rule}",
                "time_to_target_s": round(time_s, 1),
                "episodes": STAGES[-1][0],
                "options": options,
            }
            ordered = {name: dict(sorted(rules.items())) for name, rules in sorted(table.items())}
            write_text(TABLE, tomli_w.dumps(ordered))

    def _best(self, candidates: list[dict[str, Any]]) -> tuple[dict[str, Any], float]:
        """Options of the best candidate and its mean time to target, s."""
        # As above.
        from splitgym.evaluation.processes import interrupts_ignored, worker_pool  # noqa: PLC0415

        with worker_pool(self.workers) as pool:
            for episodes, stay in STAGES:
                with interrupts_ignored():
                    playing = pool.map(partial(_time_to_target_s, self.scenario, range(episodes)), candidates)
                times = list(playing)
                order = np.argsort(times, kind="stable")[:stay]
                candidates, times = [candidates[i] for i in order], [times[i] for i in order]
        return candidates[0], times[0]


def _candidates(rule: str, env: Any) -> Iterator[dict[str, Any]]:
    """Options of `Rule` among which the best is sought."""
    clients, ratios = env.scenario.clients.count, env.aggregation_levels
    held = tuple(range(1, env.cut_layers + 1))
    if rule == FIXED:
        yield from _grid(cut_layer=held, aggregation_ratio=ratios)
        choices = {"selection": ("fastest-k", "round-robin-k"), "k": range(1, clients)}
        yield from _grid(**choices, cut_layer=held, aggregation_ratio=ratios)
        return
    parameters: Mapping[str, Mapping[str, Sequence[Any]]] = {
        "deadline": {"deadline_s": [_rounded(env.scenario.episode.round_timeout_s / 1.5**n) for n in range(16)]},
        "unified": {"w": [n / 10 for n in range(11)]},
    }
    own = parameters.get(rule, {"k": range(1, clients + 1)})
    yield from _grid(selection=(rule,), **own, aggregation_ratio=ratios)
    yield from _grid(selection=(rule,), **own, cut_layer=held, aggregation_ratio=ratios)


def _grid(**values: Sequence[Any]) -> Iterator[dict[str, Any]]:
    """Every combination."""
    for chosen in product(*values.values()):
        yield dict(zip(values, chosen, strict=True))


def _rounded(seconds: float) -> float:
    return float(f"{seconds:.2g}")


def _time_to_target_s(scenario: str, seeds: Sequence[int], options: Mapping[str, Any]) -> float:
    """Mean simulated time to target, s; an episode that misses it counts with the time budget."""
    # As above.
    from splitgym.evaluation import run_episodes  # noqa: PLC0415

    settings = {"scenario": scenario, "learner": "surrogate"}
    episodes = run_episodes("tuned", partial(Rule, **options), seeds, settings)
    return float(np.mean([episode.time_to_target_s for episode in episodes]))


def _check_rule(rule: str) -> None:
    if rule not in RULES:
        raise ValueError(f"rule = {rule!r} is unknown, {suggest(rule, RULES)}")


def _table() -> dict[str, Any]:
    """What was tuned: by scenario, by rule."""
    if not TABLE.exists():
        return {}
    with reading(f"table of rules {str(TABLE)!r}"):
        table = read_toml(TABLE)
        for scenario, rules in table.items():
            for rule, found in rules.items():
                if not isinstance(found, dict):
                    raise TypeError(f"{scenario}.{rule} = {found!r}, allowed: a table")
    return table


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit status."""
    return command_line.run(_command, arguments)


def _command(arguments: list[str]) -> None:
    about = command_line.about(inspect.getdoc(Tuning))
    with command_line.parsing():
        tuning = tyro.cli(Tuning, prog="python -m agents.tuned_rule", args=arguments, description=about)
    tuning.run()


if __name__ == "__main__":
    sys.exit(main())
