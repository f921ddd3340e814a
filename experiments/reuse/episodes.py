"""Episodes on `highway` and `campus` with coordinated stations and with reuse, by rules."""

from typing import Any

import gymnasium as gym

from experiments.running import Case, Row
from splitgym import schedulers
from splitgym.evaluation import HELD_OUT

PLACES = ("highway", "campus")
REUSES = ("coordinated", "universal")
RULES = ("greedy", "greedy:placement=best", "unified:placement=best", "equal-shares:placement=best")
EPISODES = 10
"""Held-out episodes of each seed."""


def cases(quick: bool) -> list[Case]:
    """Rules at all places; in the short form the first rules, and one episode of eight rounds."""
    short = {"episodes": 1, "most_rounds": 8}
    whole = {"episodes": EPISODES, "most_rounds": 0}
    return [
        {"place": place, "reuse": reuse, "rule": rule, **(short if quick else whole)}
        for place in PLACES
        for rule in (RULES[:2] if quick else RULES)
        for reuse in REUSES
    ]


def measure(place: str, reuse: str, rule: str, episodes: int, most_rounds: int, seed: int) -> list[Row]:
    """A row for each episode of the seed."""
    made = gym.make(
        "SplitLearning-v0",
        disable_env_checker=True,
        scenario=place,
        framework="multi-hop",
        learner="surrogate",
        radio={"frequency_reuse": reuse},
        episode={"max_rounds": most_rounds} if most_rounds else {},
    )
    name, options = schedulers.parse(rule)
    env: Any = made.unwrapped
    plays = schedulers.make(name, env, **options)
    first = HELD_OUT + episodes * seed
    return [{"episode": episode, **_play(env, plays, episode)} for episode in range(first, first + episodes)]


def _play(env: Any, rule: Any, seed: int) -> Row:
    """One episode until the target or a budget; who misses the target counts with the time budget."""
    env.action_space.seed(seed)
    env.reset(seed=seed)
    ended, energy_j, uses = False, 0.0, 0.0
    while not ended:
        *_, terminated, truncated, info = env.play(rule.decide(env.state))
        ended = terminated or truncated
        energy_j += float(info["energy_j"])
        uses += float((env.played.assignment >= 0).sum())
    goal = env.scenario.episode
    reached = bool(info["accuracy"] >= goal.target_accuracy and info["elapsed_s"] <= goal.time_budget_s)
    rounds = int(info["round"])
    return {
        "target_s": float(info["elapsed_s"]) if reached else goal.time_budget_s,
        "reached": reached,
        "rounds": rounds,
        "round_s": float(info["elapsed_s"]) / rounds,
        "energy_j": energy_j,
        "uses": uses / rounds / env.scenario.radio.subchannels,
    }
