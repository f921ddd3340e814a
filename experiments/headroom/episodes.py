"""Episodes with real training: how soon a scheduler reaches the target."""

from typing import Any

import gymnasium as gym
import numpy as np

import agents
from experiments.headroom.methods import SETTINGS, Method, methods
from experiments.running import Case, Row

LASTING = 5
"""Accuracy is lastingly at the target when its mean over so many measurements is."""


def settings_of(preset: str, method: Method, quick: bool) -> dict[str, Any]:
    """Keyword arguments of the environment, without those of the presets."""
    settings: dict[str, dict[str, Any]] = {name: dict(part) for name, part in SETTINGS[preset].items()}
    settings.setdefault("episode", {})["stop_at_target"] = False
    if quick:
        settings["episode"] |= {"max_rounds": 12, "target_accuracy": 0.15}
    if method.aggregation_ratio is not None:
        settings.setdefault("training", {})["aggregation_ratio"] = method.aggregation_ratio
    if method.is_oracle:
        settings["actions"] = {"aggregation_levels": method.levels}
    return settings


def measure(case: Case, seed: int) -> list[Row]:
    """Plays an episode until accuracy is lastingly at the target, or a budget is spent; one row."""
    (method,) = (each for each in methods(case["preset"]) if each.name == case["method"])
    settings = settings_of(case["preset"], method, case["quick"])
    env: Any = gym.make("SplitLearning-v0", scenario=case["preset"], **settings).unwrapped
    name, options = agents.parse(method.agent)
    agent: Any = agents.make(name, env, **options, **method.options)
    env.action_space.seed(seed)
    env.reset(seed=seed)
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
        "reached": bool(len(reached)),
        # Who misses the target counts with the whole time budget.
        "target_s": elapsed_s[reached[0]] if len(reached) else goal.time_budget_s,
        "lasting_s": elapsed_s[-1] if lasting else goal.time_budget_s,
        "elapsed_s": info["elapsed_s"],
        "accuracy": info["accuracy"],
        "rounds": info["round"],
    }
    return [row]
