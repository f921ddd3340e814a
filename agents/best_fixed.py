"""`best-fixed`: the best decision that is the same in every round, found once per scenario on the surrogate.

`python -m agents.best_fixed --scenario iot` finds it and notes it in `agents/tuned/best-fixed.toml`.
"""

import tomllib
from collections.abc import Mapping, Sequence
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
from splitgym.rounds import Decision, RoundState

TABLE = Path(__file__).parent / "tuned" / "best-fixed.toml"
SELECTIONS = ("fastest-k", "round-robin-k")
STAGES = ((4, 32), (16, 8), (64, 1))
"""Episodes that every candidate plays, and how many candidates then stay in."""


class BestFixed(Heuristic):
    """Always the same cut layer, phi and number of clients; who they are and what they get follows from these.

    They are the k fastest, or k in turn; subchannels and powers are those of the descent. What is held was tuned on
    the surrogate for the shortest time to target.

    Args:
        env: The environment.
        scenario: For which it was tuned; None: the environment's.

    Raises:
        ValueError: it was tuned for no scenario of that name; the message says how to do it.
    """

    def __init__(self, env: gym.Env[Any, Any], scenario: str | None = None) -> None:
        super().__init__(env)
        name = scenario or self.env.scenario.name
        tuned = tomllib.loads(TABLE.read_text(encoding="utf-8"))
        if name not in tuned:
            raise ValueError(
                f"'best-fixed' is not tuned for scenario {name!r}, allowed: {', '.join(tuned)};"
                f" tune it with: python -m agents.best_fixed --scenario {name}"
            )
        self._rule = Rule(self.env, **tuned[name]["decision"])

    def decide(self, state: RoundState) -> Decision:
        """What is held, in this round."""
        return self._rule.decide(state)


@dataclass(frozen=True)
class Tuning:
    """Find the best fixed decision of a scenario on the surrogate, and note it in agents/tuned/best-fixed.toml."""

    scenario: str = "iot"
    """Preset name or path of a TOML file."""
    workers: int = 2
    """Processes."""

    def run(self) -> None:
        """Candidates play ever more episodes, and ever fewer of them stay in."""
        from splitgym.evaluation.processes import interrupts_ignored, worker_pool  # noqa: PLC0415

        env: Any = gym.make("splitgym:SplitLearning-v0", scenario=self.scenario, learner="surrogate").unwrapped
        candidates = _candidates(env)
        times: list[float] = []
        with worker_pool(self.workers) as pool:
            for episodes, stay in STAGES:
                with interrupts_ignored():
                    playing = pool.map(partial(_time_to_target_s, self.scenario, range(episodes)), candidates)
                times = list(playing)
                order = np.argsort(times, kind="stable")[:stay]
                candidates, times = [candidates[i] for i in order], [times[i] for i in order]
                print(f"{episodes} episodes: {times[0]:.1f} s with {candidates[0]}")
        table = tomllib.loads(TABLE.read_text(encoding="utf-8")) if TABLE.exists() else {}
        table[env.scenario.name] = {
            "command": f"python -m agents.best_fixed --scenario {self.scenario}",
            "time_to_target_s": round(times[0], 1),
            "episodes": STAGES[-1][0],
            "decision": candidates[0],
        }
        TABLE.write_text(tomli_w.dumps(dict(sorted(table.items()))), encoding="utf-8")


def _candidates(env: Any) -> list[dict[str, Any]]:
    """Options of all rules among which the best is sought."""
    clients = env.scenario.clients.count
    cuts, ratios = range(1, env.cut_layers + 1), env.aggregation_levels
    some = [
        {"selection": selection, "k": k, "cut_layer": cut, "aggregation_ratio": ratio}
        for selection, k, cut, ratio in product(SELECTIONS, range(1, clients), cuts, ratios)
    ]
    return some + [{"cut_layer": cut, "aggregation_ratio": ratio} for cut, ratio in product(cuts, ratios)]


def _time_to_target_s(scenario: str, seeds: Sequence[int], options: Mapping[str, Any]) -> float:
    """Mean simulated time to target, s; an episode that misses it counts with the time budget."""
    # Only a tuning needs pandas and what else the evaluation imports.
    from splitgym.evaluation import run_episodes  # noqa: PLC0415

    settings = {"scenario": scenario, "learner": "surrogate"}
    episodes = run_episodes("best-fixed", partial(Rule, **options), seeds, settings)
    return float(np.mean([episode.time_to_target_s for episode in episodes]))


if __name__ == "__main__":
    tyro.cli(Tuning).run()
