"""Schedulers that are made for digits, where clients hold MNIST: rules tuned to `iot` and policies that learnt there.

    python -m experiments unseen_data

The devices, links and clients' shares are those of `iot`. Images have twelve times as many pixels, so rounds take more
seconds, and clients hold forty times as many of them. Nothing is tuned and no policy learns again. Accuracy is
measured on some of the test images, which all schedulers of an episode share.
"""

from typing import Any

import gymnasium as gym
import pandas as pd
import torch

import agents
from experiments.headroom.factors import gain, play, summary
from experiments.running import Case, Experiment, Row
from experiments.tables import markdown, percent
from splitgym.evaluation import HELD_OUT

SCENARIO = "iot"
RULE, LEARNED = "rule", "learned"
POLICY = "ppo-equivariant:policy=iot"
AGENTS = {
    "greedy": RULE,
    "tuned:rule=fastest-k,scenario=iot": RULE,
    "tuned:rule=loss-per-second-k,scenario=iot": RULE,
    "tuned:rule=index,scenario=iot": RULE,
    "untrained:seed=1": "untrained",
    POLICY: LEARNED,
    "ppo-equivariant:policy=iot-family": LEARNED,
}
"""What plays, and what it is."""
TASK = {"dataset": "mnist", "evaluation_samples": 500, "evaluate_every": 1}
EPISODE = {"time_budget_s": 3000.0}
"""Ten times that of `iot`, as rounds take so much longer."""


def cases(quick: bool) -> list[Case]:
    """The agents; in a quick run three rounds of each."""
    return [{"kind": kind, "method": agent, "rounds": 3 if quick else 300} for agent, kind in AGENTS.items()]


def measure(case: Case, seed: int) -> list[Row]:
    """An episode until the target or a budget."""
    torch.set_num_threads(1)
    episode = {**EPISODE, "max_rounds": case["rounds"]}
    env: Any = gym.make(
        "splitgym:SplitLearning-v0", scenario=SCENARIO, action="priority", task=TASK, episode=episode
    ).unwrapped
    agent = agents.factory(case["method"])(env)

    def step(env: Any, observation: Any) -> tuple[Any, ...]:
        return env.step(agent.act(observation, {})) if case["kind"] != RULE else env.play(agent.decide(env.state))

    return [{"episode": HELD_OUT + seed, **play(env, step, HELD_OUT + seed)}]


def report(rows: pd.DataFrame) -> str:
    """All schedulers, and how much less time the policy of `iot` needs."""
    lines = [
        {
            "scheduler": f"`{row.method}`",
            "kind": row.kind,
            "time to target (s)": f"{row.target_s:.0f}",
            "reached": f"{row.reached} of {row.episodes}",
            "rounds": f"{row.rounds:.0f}",
        }
        for row in summary(rows).itertuples()
    ]
    gains = [
        f"- {agent}: {percent(gain(rows, (LEARNED, POLICY), (kind, agent)))}"
        for agent, kind in AGENTS.items()
        if agent != POLICY
    ]
    return "\n\n".join(
        [
            f"Means over {rows['episode'].nunique()} held-out episodes of `{SCENARIO}` with MNIST, real training, "
            f"accuracy on {TASK['evaluation_samples']} test images; an episode that misses the target counts with the "
            f"time budget, {EPISODE['time_budget_s']:.0f} s.",
            markdown(lines),
            f"Less time of `{POLICY}` than of another, 95 % interval:\n\n" + "\n".join(gains),
        ]
    )


EXPERIMENT = Experiment(
    title="Do schedulers that are made for digits schedule MNIST?",
    cases=cases,
    measure=measure,
    report=report,
    seeds=10,
)
