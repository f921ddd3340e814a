"""What makes a scheduler learn: what it sees, its policy class, shaping and the encoding of its actions.

    python -m experiments ablations

Each variation differs from the recipe of `ppo-equivariant` in one thing, or stands for a plain way to do it. All learn
on the surrogate of `iot` for the same number of rounds and with the settings of their algorithm; what is compared is
the last policy of each training, in the same hundred episodes that nobody learnt from.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import gymnasium as gym
import numpy as np
import pandas as pd
import torch
from gymnasium import spaces
from matplotlib.figure import Figure
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from torch import Tensor

from agents import algorithms
from agents.training.hyperparameters import Hyperparameters
from agents.training.jobs import EXACT, derived_seed
from agents.training.validation import Validation
from experiments.running import Experiment
from experiments.tables import markdown
from splitgym.envs import SB3VecEnv
from splitgym.evaluation.look import COLOURS

SCENARIO = "iot"
STEPS, QUICK_STEPS = 1_000_000, 8_192
RECIPE = "recipe"
VARIATIONS: Mapping[str, Mapping[str, str]] = {
    RECIPE: {},
    "blind to the past": {"hidden": "took_part absence experience novelty client_cut_layer"},
    "blind to losses": {"hidden": "loss"},
    "blind to the data": {"hidden": "diversity novelty data_share"},
    "no shaping": {"reward": "time-to-target"},
    "plain network": {"algorithm": "ppo"},
    "plain network, schedule": {"algorithm": "ppo", "action": "schedule"},
    "plain network, continuous": {"algorithm": "ppo", "action": "continuous"},
    "plain network, discrete": {"algorithm": "ppo", "action": "discrete"},
    "plain network, rule": {"algorithm": "ppo", "action": "rule"},
}
"""By name: in what they differ from the recipe."""


class Blinded(BaseFeaturesExtractor):
    """Shows a policy the observation with some of its entries at 0.

    Args:
        observation_space: Of the environment.
        hidden: Indices of these entries.
    """

    def __init__(self, observation_space: spaces.Box, hidden: Sequence[int]) -> None:
        super().__init__(observation_space, observation_space.shape[0])
        shown = torch.ones(observation_space.shape[0])
        shown[list(hidden)] = 0.0
        self.register_buffer("shown", shown)

    def forward(self, observations: Tensor) -> Tensor:
        """[B, observation]."""
        return observations * self.shown


def cases(quick: bool) -> list[dict[str, Any]]:
    """Every variation; in a quick run they hardly learn."""
    recipe = {"algorithm": "ppo-equivariant", "action": "priority", "reward": "gain-latency", "hidden": ""}
    steps = QUICK_STEPS if quick else STEPS
    return [{"variation": name, **recipe, **differs, "steps": steps} for name, differs in VARIATIONS.items()]


def measure(case: Mapping[str, Any], seed: int) -> list[dict[str, Any]]:
    """Trains a policy; a row for each episode of its validation."""
    torch.set_num_threads(1)
    algorithm = algorithms.get(case["algorithm"])
    environment = {"scenario": SCENARIO, "learner": "surrogate", "action": case["action"], "reward": case["reward"]}
    learning = replace(Hyperparameters.read(algorithm, "surrogate"), least_steps=case["steps"])
    hidden = _indices(case["hidden"].split(), environment)
    policy = {**learning.policy_arguments, "features_extractor_class": Blinded}
    learning = learning.changed(policy_kwargs={**policy, "features_extractor_kwargs": {"hidden": hidden}})
    envs = SB3VecEnv(learning.environments, threads=1, **EXACT, **environment)
    model = learning.model(envs, derived_seed(seed, 0)).learn(learning.steps)
    time_s = Validation(algorithm, {**EXACT, **environment}).time_to_target_s(model.policy)
    budget_s = envs.envs.scenario.episode.time_budget_s
    return [
        {"episode": episode, "reached": bool(np.isfinite(one)), "time_to_target_s": min(float(one), budget_s)}
        for episode, one in enumerate(time_s)
    ]


def _indices(hidden: Sequence[str], environment: Mapping[str, Any]) -> list[int]:
    """Where entries with these names stand in an observation."""
    names = gym.make("splitgym:SplitLearning-v0", **environment).unwrapped.observation_names
    return [index for index, name in enumerate(names) if name.partition("[")[0] in hidden]


def report(rows: pd.DataFrame) -> str:
    """Means over all episodes and training seeds, and how far the seeds differ."""
    means = _means(rows)
    recipe = means.loc[RECIPE].mean()
    reached = 100 * rows.groupby("variation")["reached"].mean()
    lines = [
        {
            "variation": name,
            "time to target (s)": f"{seeds.mean():.1f}",
            "seeds from .. to": f"{seeds.min():.1f} .. {seeds.max():.1f}",
            "times the recipe's": f"{seeds.mean() / recipe:.2f}",
            "target reached (%)": f"{reached[name]:.0f}",
        }
        for name, seeds in means.iterrows()
    ]
    caption = (
        "Mean time to the target on the surrogate, over a hundred episodes for each training seed; an episode that "
        "misses it counts with the time budget."
    )
    return f"{caption}\n\n{markdown(lines)}"


def plot(rows: pd.DataFrame, figure: Figure) -> None:
    """Mean of each variation, and its seeds."""
    means = _means(rows)
    figure.set_size_inches(7.5, 4.2)
    axes = figure.subplots()
    place = np.arange(len(means))[::-1]
    axes.barh(place, means.mean(axis=1), color=COLOURS[0], alpha=0.35, label="mean")
    for number, seed in enumerate(means):
        axes.plot(means[seed], place, "o", color=COLOURS[0], label="_" if number else "one training seed")
    axes.set_yticks(place, means.index)
    axes.set_xlabel("mean simulated time to target (s)")
    axes.grid(axis="x", alpha=0.3)
    figure.suptitle(f"{SCENARIO}, surrogate: what is learnt without a part of the recipe")
    figure.legend(loc="outside lower center", ncols=2)


def _means(rows: pd.DataFrame) -> pd.DataFrame:
    """Mean time to target in s, by variation (rows) and training seed (columns)."""
    means = rows.groupby(["variation", "seed"], sort=False)["time_to_target_s"].mean().unstack()
    return means.reindex(rows["variation"].unique())


EXPERIMENT = Experiment(
    title="What makes a scheduler learn",
    cases=cases,
    measure=measure,
    report=report,
    plots={"ablations": plot},
    seeds=3,
    quick_seeds=1,
)
