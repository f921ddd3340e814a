"""Should the units behind the cut follow vehicles along the road? Time to target over speed, for rules and policies.

    python -m experiments mobility

On `highway`: a platoon passes five stations, each with an edge node that can train the units behind the cut; all
vehicles of an episode have the same speed. Rules take everybody, cut behind the first unit, and differ in the node
alone. A policy also chooses clients and cut; it learns on all speeds up to the highest, for each rate of the links.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure

import agents
from agents.training.jobs import EXACT
from experiments.learning import Step, learned
from experiments.running import Case, Experiment, Row
from experiments.running.experiment import at_least
from experiments.tables import markdown, percent, with_interval
from splitgym.evaluation import HELD_OUT
from splitgym.evaluation.look import COLOURS
from splitgym.evaluation.statistics import Bootstrap, Estimate
from splitgym.scenario import Scenario, build, load

PRESET = load("highway")
SPEEDS = (0.0, 10.0, 20.0, 30.0, 40.0)
RATES = (10e6, 2e6)
"""Bits/s of each link, the preset's first."""
ALGORITHM, LEARNED = "ppo-equivariant", "learned"
MIDDLE, STAYS, BEST = "middle", "stays", "best"
THRESHOLD = "threshold"
RULES: Mapping[str, str] = {
    MIDDLE: "placement=0",
    STAYS: "placement=stays",
    BEST: "placement=best",
    **{f"{THRESHOLD} {rounds}": f"placement=threshold,placement_rounds={rounds}" for rounds in (3, 10)},
}
"""Options of greedy."""
EPISODES = 10
"""Held-out episodes at each speed, for each seed; a policy of each seed plays those of its seed."""


@dataclass(frozen=True)
class Cases:
    """Methods, for each rate of the links."""

    learner: str = "surrogate"
    """train: real training."""
    speeds: tuple[float, ...] = SPEEDS
    """Of the vehicles, m/s."""
    rates: tuple[float, ...] = RATES
    """Of the links, bits/s."""
    methods: tuple[str, ...] = (*RULES, LEARNED)
    """Who decides the placement."""
    episodes: int = EPISODES
    """Of each seed, at each speed."""
    steps: int = 81_920
    """Rounds of the surrogate that a policy learns from."""

    def __call__(self, quick: bool) -> list[Case]:
        """All of them; in the short form an untrained policy and one short episode at two speeds."""
        at_least(1, episodes=self.episodes)
        return [
            {
                "bits_per_s": rate,
                "method": method,
                "learner": self.learner,
                "speeds": " ".join(f"{speed:g}" for speed in (self.speeds[::4] if quick else self.speeds)),
                "episodes": 1 if quick else self.episodes,
                "steps": self.steps if method == LEARNED and not quick else 0,
                "quick": quick,
            }
            for rate in self.rates
            for method in self.methods
        ]


def measure(case: Case, seed: int) -> list[Row]:
    """A row for each speed and episode of the seed."""
    torch.set_num_threads(1)
    speeds = [float(speed) for speed in case["speeds"].split()]
    step = None
    if case["method"] == LEARNED:
        on_all = road(case["bits_per_s"], min(speeds), max(speeds), case["quick"])
        step = learned(ALGORITHM, case["steps"], seed, "surrogate", _environment(on_all))
    rows: list[Row] = []
    for speed in speeds:
        scenario = road(case["bits_per_s"], speed, speed, case["quick"])
        made = gym.make("SplitLearning-v0", disable_env_checker=True, learner=case["learner"], **_environment(scenario))
        env: Any = made.unwrapped
        plays = step or _rule(env, RULES[case["method"]])
        first = HELD_OUT + case["episodes"] * seed
        for episode in range(first, first + case["episodes"]):
            rows.append({"speed": speed, "episode": episode, **play(env, plays, episode)})
    return rows


def road(bits_per_s: float, slowest: float, fastest: float, short: bool = False) -> Scenario:
    """The preset with links of that rate and vehicles of these speeds, and the units on any one of the nodes."""
    links = [{**row.model_dump(), "bits_per_s": bits_per_s} for row in PRESET.links]
    nodes = [each.node for each in PRESET.stations]
    names = ["server", *(name for name in nodes if name != "server")]
    return build(
        PRESET,
        {
            "road": {"speed_min_m_per_s": slowest, "speed_max_m_per_s": fastest},
            "links": links,
            "placement": {"candidates": [{"nodes": [name]} for name in names]},
            "episode": {"max_rounds": 8} if short else {},
        },
    )


def _environment(scenario: Scenario) -> dict[str, Any]:
    given = {"scenario": scenario, "framework": "multi-hop", "action": "priority", "reward": "time-to-target"}
    return {**given, **EXACT}


def _rule(env: Any, options: str) -> Step:
    name, chosen = agents.parse(f"greedy:cut_layer=1,{options}")
    rule: Any = agents.make(name, env, **chosen)
    return lambda env, observation: env.play(rule.decide(env.state))


def play(env: Any, step: Step, seed: int) -> Row:
    """One episode until the target or a budget; who misses the target counts with the time budget."""
    env.action_space.seed(seed)
    observation, _ = env.reset(seed=seed)
    ended, moves, moved_s, moved_bits, held = False, 0, 0.0, 0.0, -1
    while not ended:
        observation, _, terminated, truncated, info = step(env, observation)
        ended = terminated or truncated
        moves += held >= 0 and info["placement"] != held
        held = info["placement"]
        moved_s += info["stages"].get("relocation", 0.0)
        moved_bits += info["migration_bits"]
    goal = env.scenario.episode
    reached = bool(info["accuracy"] >= goal.target_accuracy and info["elapsed_s"] <= goal.time_budget_s)
    return {
        "target_s": float(info["elapsed_s"]) if reached else goal.time_budget_s,
        "reached": reached,
        "rounds": int(info["round"]),
        "moves": int(moves),
        "moved_s": float(moved_s),
        "moved_bits": float(moved_bits),
    }


def report(rows: pd.DataFrame) -> str:
    """Time to target by speed, what is spent on moving, and what following gains, for each rate of the links."""
    learner = "the surrogate" if rows["learner"].eq("surrogate").all() else "real training"
    count = len(rows[["seed", "episode"]].drop_duplicates())
    parts = [
        f"Simulated seconds to 80 % on {learner}, mean over {count} held-out episodes and 95 % interval; who misses "
        "the target counts with the time budget. `middle`: always at the middle node. `stays`: where the first round "
        "is shortest. `best`: where each round is shortest, moving included. `threshold n`: elsewhere only if n rounds "
        "make up for moving. These take everybody; `learned` chooses clients and cut as well."
    ]
    for rate, own in rows.groupby("bits_per_s", sort=False):
        chosen = _chosen(own)
        parts += [f"## Links of {rate / 1e6:g} Mbit/s", markdown(_times(own)), "Moves of an episode:"]
        parts += [markdown(_moves(own)), "Less time:\n\n" + "\n".join(f"- {line}" for line in _gains(own, chosen))]
    return "\n\n".join(parts)


def _times(own: pd.DataFrame) -> list[dict[str, str]]:
    return [
        {
            "placement": method,
            **{f"{speed:g} m/s": with_interval(_mean(each), 1) for speed, each in of.groupby("speed")},
        }
        for method, of in own.groupby("method", sort=False)
    ]


def _moves(own: pd.DataFrame) -> list[dict[str, str]]:
    lines = []
    for method, of in own.groupby("method", sort=False):
        cells = {}
        for speed, each in of.groupby("speed"):
            mean = each[["moves", "moved_s", "moved_bits"]].mean()
            cells[f"{speed:g} m/s"] = f"{mean.moves:.1f}: {mean.moved_s:.2f} s, {mean.moved_bits / 1e6:.1f} Mbit"
        lines.append({"placement": method, **cells})
    return lines


def _chosen(own: pd.DataFrame) -> list[str]:
    """Methods that are drawn and compared: of thresholds the one with the least time over all speeds."""
    means = own.groupby("method", sort=False)["target_s"].mean()
    thresholds = means[[name for name in means.index if name.startswith(THRESHOLD)]]
    left_out = set(thresholds.index) - ({thresholds.idxmin()} if len(thresholds) else set())
    return [name for name in means.index if name not in left_out]


def _gains(own: pd.DataFrame, chosen: list[str]) -> list[str]:
    lines = []
    for method in chosen:
        for other in (MIDDLE, STAYS):
            if other in chosen and method not in (MIDDLE, other):
                gains = {speed: percent(_gain(of, method, other)) for speed, of in own.groupby("speed")}
                lines.append(
                    f"{method} against {other}: " + ", ".join(f"{gain} at {s:g} m/s" for s, gain in gains.items())
                )
    return lines


def _gain(own: pd.DataFrame, method: str, against: str) -> Estimate:
    """How much less time a method needs than another, as a fraction, on the same episodes."""
    one, other = (_seconds(own[own["method"] == name]) for name in (method, against))
    return Bootstrap([len(one[0])], seed=0).estimate(lambda a, b: 1 - a[0].mean(-1) / b[0].mean(-1), one, other)


def _mean(own: pd.DataFrame) -> Estimate:
    seconds = _seconds(own)
    return Bootstrap([len(seconds[0])], seed=0).estimate(lambda each: each[0].mean(-1), seconds)


def _seconds(own: pd.DataFrame) -> list[np.ndarray]:
    return [own.sort_values("episode")["target_s"].to_numpy()]


def plot(rows: pd.DataFrame, figure: Figure) -> None:
    """Mean time to target over speed with its interval, a line for each method and a panel for each rate."""
    rates = rows["bits_per_s"].unique()
    figure.set_size_inches(5 * len(rates), 4.2)
    panels = figure.subplots(1, len(rates), sharey=True, squeeze=False)[0]
    for axes, rate in zip(panels, rates, strict=True):
        own = rows[rows["bits_per_s"] == rate]
        for colour, method in zip(COLOURS, _chosen(own), strict=False):
            found = {speed: _mean(of) for speed, of in own[own["method"] == method].groupby("speed")}
            means = [each.value for each in found.values()]
            ends = [[e.value - e.low for e in found.values()], [e.high - e.value for e in found.values()]]
            name = THRESHOLD if method.startswith(THRESHOLD) else method
            axes.errorbar([*found], means, ends, marker="o", markersize=4, capsize=2, color=colour, label=name)
        axes.set(title=f"links of {rate / 1e6:g} Mbit/s", xlabel="speed (m/s)")
        axes.grid(alpha=0.3)
    panels[0].set(ylabel="simulated time to 80 % (s)", ylim=(0, None))
    figure.suptitle(f"Mean and 95 % interval over {rows['episode'].nunique()} episodes", fontsize="medium")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=5)


EXPERIMENT = Experiment(
    title="Should the units behind the cut follow vehicles along the road?",
    cases=Cases(),
    measure=measure,
    report=report,
    plots={"mobility": plot},
    seeds=2,
)
