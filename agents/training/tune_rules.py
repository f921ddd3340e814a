"""Tunes rules to a scenario on training seeds of the surrogate, and writes what it finds to their table."""

import signal

if __name__ == "__main__" and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    # Imports take seconds: until the command runs, Ctrl-C ends it without a trace.
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from operator import itemgetter
from typing import Any

import gymnasium as gym
import numpy as np
import tomli_w

from splitgym import command_line
from splitgym.inputs import InputError
from splitgym.outputs import write_text
from splitgym.schedulers import tuned_rule
from splitgym.schedulers.rule import Rule
from splitgym.schedulers.tuned_rule import FIXED, INDEX, NOVELTY, RULES

STAGES = ((4, 64), (16, 16), (32, 4), (64, 1))
"""Episodes that every candidate plays, and how many candidates are then left."""
GENERATIONS, SEARCHES = 120, 3
"""Of a search for the index, and how many there are, each from a seed of its own: they end a few percent apart."""
DENSE = 16
"""Clients up to which every number of them is tried, and every phi; beyond it candidates take longer."""


@dataclass(frozen=True)
class Tuning:
    """Tune rules to a scenario on the surrogate, and write what was found to the table of tuned rules."""

    scenario: str = "iot"
    """Preset name or path of a TOML file."""
    rules: tuple[str, ...] = RULES
    """Which of them."""
    workers: int = 2
    """Processes."""
    generations: int = GENERATIONS
    """Of a search for the index; fewer where cells are so large that each takes minutes."""
    searches: int = SEARCHES
    """How many searches there are for the index, each from a seed of its own; the best of what they find is noted."""

    def run(self) -> None:
        """Candidates play ever more episodes, and ever fewer of them are left."""
        from splitgym.evaluation.processes import check_workers  # noqa: PLC0415 - help need not import torch

        with command_line.checking_input():
            check_workers(self.workers)
            for name in ("generations", "searches"):
                if getattr(self, name) < 1:
                    raise InputError(f"--{name} {getattr(self, name)}, allowed: at least 1")
            if not self.rules:
                raise InputError(f"--rules names none, allowed: {', '.join(RULES)}")
            for rule in self.rules:
                tuned_rule.check_rule(rule)
            tuned_rule.table()
            env: Any = gym.make("splitgym:SplitLearning-v0", scenario=self.scenario, learner="surrogate").unwrapped
        for rule in self.rules:
            options, time_s = self._tuned(rule, env)
            print(f"{rule}: {time_s:.1f} s with {options}", flush=True)
            table = tuned_rule.table()
            table.setdefault(env.scenario.name, {})[rule] = {
                "command": self._command(rule),
                "time_to_target_s": round(time_s, 1),
                "episodes": STAGES[-1][0],
                "options": options,
            }
            ordered = {name: dict(sorted(rules.items())) for name, rules in sorted(table.items())}
            write_text(tuned_rule.TABLE, tomli_w.dumps(ordered))

    def _command(self, rule: str) -> str:
        """That tunes the rule alone."""
        usual = {"generations": GENERATIONS, "searches": SEARCHES} if rule == INDEX else {}
        own = "".join(f" --{name} {getattr(self, name)}" for name in usual if getattr(self, name) != usual[name])
        return f"python -m splitgym.agents.training.tune_rules --scenario {self.scenario} --rules {rule}{own}"

    def _tuned(self, rule: str, env: Any) -> tuple[dict[str, Any], float]:
        """Options of a rule and its mean time to target, s."""
        if rule == INDEX:
            return self._searched()
        return self._best(list(_candidates(rule, env)))

    def _searched(self) -> tuple[dict[str, Any], float]:
        """Options of the best index of all searches and its mean time to target, s."""
        from splitgym.evaluation.processes import interrupts_ignored, worker_pool  # noqa: PLC0415 - likewise

        from .cross_entropy import Search  # noqa: PLC0415 - likewise

        with worker_pool(self.workers) as pool:
            with interrupts_ignored():
                searching = pool.map(partial(_index, self.scenario, self.generations), range(self.searches))
            options, _ = min(searching, key=itemgetter(1))
        return options, Search(self.scenario, self.generations).time_to_target_s(options, range(STAGES[-1][0]))

    def _best(self, candidates: list[dict[str, Any]]) -> tuple[dict[str, Any], float]:
        """Options of the best candidate and its mean time to target, s."""
        from splitgym.evaluation.processes import interrupts_ignored, worker_pool  # noqa: PLC0415 - likewise

        with worker_pool(self.workers) as pool:
            for episodes, stay in STAGES:
                with interrupts_ignored():
                    playing = pool.map(partial(_time_to_target_s, self.scenario, range(episodes)), candidates)
                times = list(playing)
                order = np.argsort(times, kind="stable")[:stay]
                candidates, times = [candidates[i] for i in order], [times[i] for i in order]
        return candidates[0], times[0]


def _index(scenario: str, generations: int, seed: int) -> tuple[dict[str, Any], float]:
    """Options of the best index of a search, and its mean time to target in episodes that no search has used, s."""
    from .cross_entropy import FINAL_SEEDS, SEEDS, Search  # noqa: PLC0415 - help need not import torch

    search = Search(scenario, generations, seed)
    options = search.best()
    first = SEEDS * generations + FINAL_SEEDS
    return options, search.time_to_target_s(options, range(first, first + FINAL_SEEDS))


def _candidates(rule: str, env: Any) -> Iterator[dict[str, Any]]:
    """Options of `Rule` among which the best is sought."""
    clients = env.scenario.clients.count
    ratios = env.aggregation_levels[:: 1 if clients <= DENSE else 2]
    held = tuple(range(1, env.cut_layers + 1))
    if rule == FIXED:
        yield from _grid(cut_layer=held, aggregation_ratio=ratios)
        choices = {"selection": ("fastest-k", "round-robin-k"), "k": _numbers(clients - 1)}
        yield from _grid(**choices, cut_layer=held, aggregation_ratio=ratios)
        return
    fixed = {"diversity": ("novelty",)} if rule == NOVELTY else {}
    name = "unified" if rule == NOVELTY else rule
    parameters: Mapping[str, Mapping[str, Sequence[Any]]] = {
        "deadline": {"deadline_s": [_rounded(env.scenario.episode.round_timeout_s / 1.5**n) for n in range(16)]},
        "unified": {"w": [n / 10 for n in range(11)]},
    }
    own = {**fixed, **parameters.get(name, {"k": _numbers(clients)})}
    yield from _grid(selection=(name,), **own, aggregation_ratio=ratios)
    yield from _grid(selection=(name,), **own, cut_layer=held, aggregation_ratio=ratios)


def _numbers(most: int) -> Sequence[int]:
    """Numbers of clients up to the most: all of them or, of many, a geometric series."""
    if most <= DENSE:
        return range(1, most + 1)
    return sorted({round(most / 1.5**n) for n in range(16)} - {0})


def _grid(**values: Sequence[Any]) -> Iterator[dict[str, Any]]:
    """Every combination."""
    for chosen in product(*values.values()):
        yield dict(zip(values, chosen, strict=True))


def _rounded(seconds: float) -> float:
    return float(f"{seconds:.2g}")


def _time_to_target_s(scenario: str, seeds: Sequence[int], options: Mapping[str, Any]) -> float:
    """Mean simulated time to target, s; an episode that misses it counts with the time budget."""
    from splitgym.evaluation import run_episodes  # noqa: PLC0415 - help need not import torch

    settings = {"scenario": scenario, "learner": "surrogate"}
    episodes = run_episodes("tuned", partial(Rule, **options), seeds, settings)
    return float(np.mean([episode.time_to_target_s for episode in episodes]))


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit status."""
    return command_line.run(_command, arguments)


def _command(arguments: list[str]) -> None:
    command_line.parsed(Tuning, "python -m splitgym.agents.training.tune_rules", arguments).run()


if __name__ == "__main__":
    sys.exit(main())
