"""Episodes with real training: how soon a scheduler reaches the target."""

import json
from dataclasses import dataclass
from time import process_time
from typing import Any

import gymnasium as gym
import numpy as np

import agents
from experiments.headroom.methods import SETTINGS, Method

FIRST_SEED = 1_000_000
"""Those of `train_agent.py` for its comparisons; no policy is trained on seeds from here on."""
LASTING = 5
"""Accuracy is lastingly at the target when its mean over so many measurements is."""


Row = dict[str, Any]
KEY = ("preset", "method", "seed", "settings")
"""Columns that tell one episode from another."""


@dataclass(frozen=True)
class Job:
    """One episode."""

    preset: str
    method: Method
    seed: int
    quick: bool

    @property
    def key(self) -> Row:
        """What tells this episode from others."""
        known = (self.preset, self.method.name, self.seed, json.dumps(self.settings))
        return dict(zip(KEY, known, strict=True))

    @property
    def settings(self) -> dict[str, Any]:
        """Keyword arguments of the environment, without those of the presets."""
        settings: dict[str, dict[str, Any]] = {name: dict(part) for name, part in SETTINGS[self.preset].items()}
        settings.setdefault("episode", {})["stop_at_target"] = False
        if self.quick:
            settings["episode"] |= {"max_rounds": 12, "target_accuracy": 0.15}
        if self.method.aggregation_ratio is not None:
            settings.setdefault("training", {})["aggregation_ratio"] = self.method.aggregation_ratio
        if self.method.is_oracle:
            settings["actions"] = {"aggregation_levels": self.method.levels}
        return settings


def run(job: Job) -> list[Row]:
    """Plays an episode until accuracy is lastingly at the target, or a budget is spent; one row."""
    began_s = process_time()
    env: Any = gym.make("SplitLearning-v0", scenario=job.preset, **job.settings).unwrapped
    name, options = agents.parse(job.method.agent)
    agent: Any = agents.make(name, env, **options, **job.method.options)
    env.action_space.seed(job.seed)
    env.reset(seed=job.seed)
    goal = env.scenario.episode
    elapsed_s: list[float] = []
    accuracy: list[float] = []
    done = lasting = False
    while not done and not lasting:
        *_, terminated, truncated, info = env.play(agent.decide(env.state))
        done = terminated or truncated
        if info["evaluated"] and info["elapsed_s"] <= goal.time_budget_s:
            elapsed_s.append(info["elapsed_s"])
            accuracy.append(info["accuracy"])
            lasting = len(accuracy) >= LASTING and bool(np.mean(accuracy[-LASTING:]) >= goal.target_accuracy)
    reached = np.flatnonzero(np.array(accuracy) >= goal.target_accuracy)
    row = {
        **job.key,
        "oracle": job.method.is_oracle,
        "reached": bool(len(reached)),
        # Who misses the target counts with the whole time budget.
        "target_s": elapsed_s[reached[0]] if len(reached) else goal.time_budget_s,
        "lasting_s": elapsed_s[-1] if lasting else goal.time_budget_s,
        "elapsed_s": info["elapsed_s"],
        "accuracy": info["accuracy"],
        "rounds": info["round"],
        "cpu_s": round(process_time() - began_s, 1),
    }
    return [row]
