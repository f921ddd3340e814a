"""Trained policies: those that are shipped, by name, and those of a training run, by their folder."""

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from agents import algorithms
from agents.acting import Actor
from agents.agent import Agent
from agents.algorithms import Algorithm
from agents.policy_file import PolicyError, load

TRAINED = Path(__file__).parent / "trained"
"""The shipped policies: `ALGORITHM/SCENARIO.safetensors`, and what they are in `ALGORITHM/SCENARIO.toml`."""
GENERAL = "iot-family"
"""The scenario whose policies are tried where there is none of the environment's own."""
WEIGHTS = ".safetensors"


class Learned(Agent):
    """Acts by a trained policy.

    What it draws comes from the generator of the environment's action space: `env.action_space.seed(seed)` makes it
    repeatable.

    Args:
        env: The environment.
        algorithm: Name of the algorithm that trained it.
        policy: Scenario of a shipped policy, or path of a run folder or of a safetensors file beside its card; None:
            the policy shipped for the environment's scenario, or else the one for `iot-family`.
        deterministic: Take the most likely action, or draw; None: as is best for the algorithm.

    Attributes:
        card: What the policy is: how it was trained, how good it was.

    Raises:
        ValueError: `deterministic` is no truth value.
        PolicyError: there is no such policy, or it does not fit the environment.
    """

    def __init__(
        self,
        env: gym.Env[Any, Any],
        algorithm: str,
        policy: str | Path | None = None,
        deterministic: bool | None = None,
    ) -> None:
        super().__init__(env)
        if not isinstance(deterministic, bool | None):
            raise ValueError(f"deterministic = {deterministic!r}, allowed: true or false")  # noqa: TRY004 - as every value
        self._algorithm = algorithms.get(algorithm)
        self._deterministic = self._algorithm.deterministic if deterministic is None else deterministic
        stem = _find(self._algorithm, policy, self.env.scenario.name)
        trained, self.card = load(stem, self._algorithm, self.env.observation_space, self.env.action_space)
        self._actor = Actor(trained)

    def act(self, observation: NDArray[np.float32], info: dict[str, Any]) -> NDArray[Any]:
        """The policy's action; a recurrent one remembers the episode so far."""
        return self._answer(observation, self._deterministic)

    def _answer(self, observation: NDArray[np.float32], deterministic: bool) -> NDArray[Any]:
        begins = np.array([self.env.state.round == 0])
        masks = self.env.action_masks()[None] if self._algorithm.masked else None
        seed = int(self.env.action_space.np_random.integers(2**63))
        deterministic = deterministic or self._deterministic
        action: NDArray[Any] = self._actor.act(observation[None], begins, deterministic, masks, seed)[0]
        return action


def _find(of: Algorithm, policy: str | Path | None, scenario: str) -> Path:
    """Path of the policy's files without their endings."""
    shipped = {path.stem: path.with_suffix("") for path in sorted((TRAINED / of.name).glob(f"*{WEIGHTS}"))}
    if policy is None:
        for name in (scenario, GENERAL):
            if name in shipped:
                return shipped[name]
        command = f"python train_agent.py --algorithm {of.name} --scenario {scenario}"
        raise PolicyError(
            f"no policy {of.name!r} for scenario {scenario!r} is shipped (there are: {', '.join(shipped) or 'none'});"
            f" train one with: {command}"
        )
    if str(policy) in shipped:
        return shipped[str(policy)]
    path = Path(policy)
    if path.is_dir():
        path = path / f"policy{WEIGHTS}"
    if not path.is_file() or path.suffix != WEIGHTS:
        raise PolicyError(
            f"policy = {str(policy)!r}, allowed: {', '.join((*shipped, 'path of a run folder'))} or of a {WEIGHTS} file"
        )
    return path.with_suffix("")
