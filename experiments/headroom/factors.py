"""How much a scheduler gains by a decision that a scenario opens: fixed values, rules, learned policies; real training.

    python -m experiments headroom.factors

Rules run with each fixed value of the decision, and with it decided. A policy is trained without the decision and with
it, everything else alike: on the surrogate, where it imitates the tuned index first, or, where there is none, on real
rounds, from drawn weights. All play the same held-out episodes with real training.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Any

import gymnasium as gym
import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

import agents
from agents.training.cross_entropy import Search
from agents.training.jobs import EXACT
from experiments.headroom.factor_methods import ALGORITHM, FIXED, INDEX, KINDS, PRESETS, RULE, TUNED, UNTRAINED
from experiments.learning import Step, learned
from experiments.running import Case, Experiment, Row
from experiments.tables import markdown, percent
from splitgym.evaluation import HELD_OUT
from splitgym.evaluation.look import COLOURS
from splitgym.evaluation.statistics import Bootstrap, Estimate
from splitgym.scenario import build

STEPS, REAL_STEPS = 1_000_000, 10_240
"""Rounds that a policy learns from, of the surrogate and of real training."""
GENERATIONS = 60
"""Of the search for the index, on training seeds of the surrogate; with twice as many it is no better in `iot`."""
EPISODES = 10
"""Held-out episodes for each seed; a policy of each seed plays those of its seed."""
PAIRS = (
    *((RULE, FIXED), (KINDS[3], FIXED), (KINDS[4], FIXED)),
    *((KINDS[4], RULE), (KINDS[4], KINDS[3]), (KINDS[4], KINDS[2])),
    *((KINDS[3], TUNED), (KINDS[4], TUNED)),
)
"""Whose best is compared with whose best."""


@dataclass(frozen=True)
class Cases:
    """Methods in presets."""

    presets: tuple[str, ...] = tuple(name for name, setting in PRESETS.items() if setting.by_default)
    """Of `PRESETS`; in narrowband a policy learns on real rounds, which takes minutes."""
    plays: str = "train"
    """Learner of the held-out episodes; surrogate: those that take seconds."""
    steps: int = STEPS
    """Rounds of the surrogate that a policy learns from."""
    real_steps: int = REAL_STEPS
    """The same of real training, where there is no surrogate."""

    def __call__(self, quick: bool) -> list[Case]:
        """All of them; in the short form policies stay untrained and episodes have twelve rounds."""
        return [
            {
                "preset": preset,
                "kind": method.kind,
                "method": method.name,
                "steps": 0 if quick or UNTRAINED in method.kind else self._steps_of(preset),
                "plays": self.plays,
                "quick": quick,
            }
            for preset in self.presets
            for method in PRESETS[preset].methods()
        ]

    def _steps_of(self, preset: str) -> int:
        return self.steps if PRESETS[preset].learner == "surrogate" else self.real_steps


def measure(case: Case, seed: int) -> list[Row]:
    """Trains the policy, if it is one, then plays the episodes of the seed; a row for each."""
    torch.set_num_threads(1)
    setting = PRESETS[case["preset"]]
    (method,) = (each for each in setting.methods() if (each.kind, each.name) == (case["kind"], case["method"]))
    environment: dict[str, Any] = {
        "scenario": case["preset"],
        "framework": setting.framework,
        "action": "priority",
        "reward": "time-to-target",
        "episode": {**setting.episode, **({"max_rounds": 12} if case["quick"] else {})},
        **EXACT,
        **method.sections,
    }
    env: Any = gym.make("SplitLearning-v0", disable_env_checker=True, learner=case["plays"], **environment).unwrapped
    if method.agent == ALGORITHM:
        can_imitate = case["steps"] and setting.learner == "surrogate"
        index = _named(_tuned(env, case["preset"], seed)) if can_imitate else None
        step = learned(ALGORITHM, case["steps"], seed, setting.learner, environment, index)
    else:
        name, options = agents.parse(method.agent)
        if method.kind == TUNED:
            options |= _tuned(env, case["preset"], seed, 1 if case["quick"] else GENERATIONS)
        step = _ruled(agents.make(name, env, **options))
    first = HELD_OUT + EPISODES * seed
    return [{"episode": episode, **play(env, step, episode)} for episode in range(first, first + EPISODES)]


def play(env: Any, step: Step, seed: int) -> Row:
    """One episode until the target or a budget; who misses the target counts with the time budget."""
    env.action_space.seed(seed)
    observation, info = env.reset(seed=seed)
    ended = False
    while not ended:
        observation, _, terminated, truncated, info = step(env, observation)
        ended = terminated or truncated
    goal = env.scenario.episode
    reached = bool(info["accuracy"] >= goal.target_accuracy and info["elapsed_s"] <= goal.time_budget_s)
    return {
        "reached": reached,
        "target_s": info["elapsed_s"] if reached else goal.time_budget_s,
        "rounds": info["round"],
        "accuracy": info["accuracy"],
    }


def _tuned(env: Any, preset: str, seed: int, generations: int = GENERATIONS) -> dict[str, Any]:
    """Options of the index for an environment; where placements are decided, it takes that of the shortest round."""
    placement = {"placement": "best"} if env.system.program.plans.placements > 1 else {}
    return dict(_searched(preset, seed, generations)) | placement


@cache
def _searched(preset: str, seed: int, generations: int) -> Mapping[str, Any]:
    """Options of the index, which every method of a preset and a seed uses; a search takes minutes."""
    setting = PRESETS[preset]
    sections = {"episode": setting.episode, **setting.searched}
    return MappingProxyType(Search(build(preset, sections), generations, seed, setting.framework).best())


def _named(options: Mapping[str, Any]) -> str:
    """The index with these options, as `agents.factory` reads it."""
    return f"{INDEX}:{','.join(f'{name}={value}' for name, value in options.items())}"


def _ruled(rule: Any) -> Step:
    """What plays the rounds that a rule decides."""
    return lambda env, observation: env.play(rule.decide(env.state))


def summary(rows: pd.DataFrame) -> pd.DataFrame:
    """Of one preset: a row for each method, fastest first."""
    means = rows.groupby(["kind", "method"], sort=False).agg(
        target_s=("target_s", "mean"),
        reached=("reached", "sum"),
        episodes=("reached", "size"),
        rounds=("rounds", "mean"),
    )
    return means.sort_values("target_s").reset_index()


def gain(rows: pd.DataFrame, method: tuple[str, str], against: tuple[str, str]) -> Estimate:
    """How much less time a method needs than another, as a fraction, over the episodes of all seeds."""
    seconds = []
    for kind, name in (method, against):
        own = rows[(rows["kind"] == kind) & (rows["method"] == name)]
        seconds.append([own.sort_values("episode")["target_s"].to_numpy()])
    return Bootstrap([len(seconds[0][0])], seed=0).estimate(
        lambda own, other: 1 - own[0].mean(-1) / other[0].mean(-1), *seconds
    )


def report(rows: pd.DataFrame) -> str:
    """A table for each preset, and what the decision gains."""
    played = "real training" if rows["plays"].eq("train").all() else "on the surrogate"
    parts = [
        f"Means over {rows['seed'].nunique()} seeds of {EPISODES} held-out episodes each, {played}, accuracy on the "
        "whole test set. For each seed the index is tuned anew, on the surrogate, and a policy is trained anew: first "
        "it imitates that index, then it learns by itself, and its last weights play. In narrowband, which has no "
        "surrogate, policies learn on real rounds from drawn weights. An episode that misses the target counts with "
        "the time budget. The best fixed value and the best rule are chosen on these same episodes, which favours "
        "them. Gains: 95 % interval over all episodes."
    ]
    for preset, own in rows.groupby("preset", sort=False):
        table = summary(own)
        best = {kind: of_kind.iloc[0] for kind, of_kind in table.groupby("kind", sort=False)}
        lines = [
            {
                "decision": row.kind,
                "scheduler": row.method,
                "time to target (s)": f"{row.target_s:.1f}",
                "reached": f"{row.reached} of {row.episodes}",
                "rounds": f"{row.rounds:.0f}",
            }
            for row in table.itertuples()
        ]
        gains = [
            f"{one} ({best[one]['method']}) against {other} ({best[other]['method']}): "
            + percent(gain(own, (one, best[one]["method"]), (other, best[other]["method"])))
            for one, other in PAIRS
            if one in best and other in best
        ]
        parts += [f"## {preset}", markdown(lines), "Less time:\n\n" + "\n".join(f"- {each}" for each in gains)]
    return "\n\n".join(parts)


def plot(rows: pd.DataFrame, figure: Figure) -> None:
    """Time to target of all methods, coloured by who decides."""
    presets = rows["preset"].unique()
    figure.set_size_inches(7.5, 4.6 * len(presets))
    for axes, preset in zip(np.ravel(figure.subplots(len(presets), 1)), presets, strict=True):
        own = rows[rows["preset"] == preset]
        table = summary(own)[::-1].reset_index(drop=True)
        for place, row in table.iterrows():
            colour = COLOURS[KINDS.index(row["kind"])]
            episodes = own[(own["kind"] == row["kind"]) & (own["method"] == row["method"])]["target_s"]
            axes.plot(episodes, np.full(len(episodes), place), ".", color=colour, alpha=0.4)
            axes.plot(row["target_s"], place, "|", color=colour, markersize=14, markeredgewidth=3)
        axes.set_yticks(range(len(table)), table["method"], fontsize=7)
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter("{x:g}")
        axes.set_xlabel("simulated time to target (s); line: mean")
        axes.set_title(preset)
        axes.grid(axis="x", alpha=0.3)
    handles = [Line2D([], [], color=COLOURS[k], marker="|", linestyle="", label=kind) for k, kind in enumerate(KINDS)]
    figure.legend(handles=handles, loc="outside lower center", ncols=3)


EXPERIMENT = Experiment(
    title="What does a scheduler gain by a decision that a scenario opens?",
    cases=Cases(),
    measure=measure,
    report=report,
    plots={"factors": plot},
    seeds=3,
)
