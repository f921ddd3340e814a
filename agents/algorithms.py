"""The learning algorithms by name: what Stable-Baselines3 calls them, and how their policies act."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from splitgym.parts import suggest

if TYPE_CHECKING:
    from stable_baselines3.common.base_class import BaseAlgorithm
    from stable_baselines3.common.policies import BasePolicy

SETTINGS = Path(__file__).parent / "training" / "settings"
"""Here are the settings of each algorithm, `NAME.yml`."""


@dataclass(frozen=True)
class Algorithm:
    """A learning algorithm; imported only when it is used, for that takes seconds."""

    name: str
    learner: str
    """Module and class that learns."""
    policy: str
    """Name of its policy with the learner, or module and class."""
    actions: tuple[str, ...]
    """Action encodings that it can learn with, its own first."""
    deterministic: bool
    """Whether its policies take the most likely action when they act, or draw from their distribution."""
    masked: bool = False
    """Whether it is told which clients are unavailable."""
    remembers: bool = False
    """Whether its policies remember the episode so far."""
    any_clients: bool = False
    """Whether a policy takes other numbers of clients than it was trained with."""
    imitates: bool = False
    """Whether its policies tell how likely an action is by the observation alone, so that they can imitate a rule."""

    @property
    def learner_class(self) -> "type[BaseAlgorithm]":
        """The class that learns."""
        found: type[BaseAlgorithm] = _imported(self.learner)
        return found

    @property
    def policy_class(self) -> "type[BasePolicy]":
        """The class of the policy."""
        found: type[BasePolicy] = (
            _imported(self.policy) if "." in self.policy else self.learner_class.policy_aliases[self.policy]
        )
        return found

    @property
    def settings(self) -> Path:
        """The file of its settings."""
        return SETTINGS / f"{self.name}.yml"


ALL_ACTIONS = ("schedule", "discrete", "continuous", "priority", "rule")

ALGORITHMS: Mapping[str, Algorithm] = {
    algorithm.name: algorithm
    for algorithm in (
        Algorithm("ppo", "stable_baselines3.PPO", "MlpPolicy", ALL_ACTIONS, deterministic=True, imitates=True),
        Algorithm(
            "ppo-equivariant",
            "stable_baselines3.PPO",
            "splitgym.agents.equivariant.EquivariantPolicy",
            ("priority",),
            deterministic=True,
            any_clients=True,
            imitates=True,
        ),
        Algorithm(
            "maskable-ppo",
            "sb3_contrib.MaskablePPO",
            "MlpPolicy",
            ("schedule", "discrete", "rule"),
            deterministic=True,
            masked=True,
            imitates=True,
        ),
        Algorithm(
            "recurrent-ppo",
            "sb3_contrib.RecurrentPPO",
            "MlpLstmPolicy",
            ALL_ACTIONS,
            deterministic=True,
            remembers=True,
        ),
        Algorithm("tqc", "sb3_contrib.TQC", "MlpPolicy", ("continuous", "priority"), deterministic=True),
    )
}


def get(name: str) -> Algorithm:
    """The algorithm of that name.

    Raises:
        ValueError: there is none; the message suggests the nearest.
    """
    if name not in ALGORITHMS:
        raise ValueError(f"algorithm = {name!r} is unknown, {suggest(name, ALGORITHMS)}")
    return ALGORITHMS[name]


def _imported(path: str) -> Any:
    module, _, name = path.rpartition(".")
    return getattr(import_module(module), name)
