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
from agents.policy_file import Card, PolicyError, load, read_card
from splitgym.envs import SplitLearningEnv
from splitgym.envs.actions import ActionCodec, Masked
from splitgym.rounds import Decision, RoundState

TRAINED = Path(__file__).parent / "trained"
"""The shipped policies: `ALGORITHM/SCENARIO.safetensors`, and what they are in `ALGORITHM/SCENARIO.toml`."""
GENERAL = "iot-family"
"""The scenario whose policies are tried where there is none of the environment's own."""
WEIGHTS = ".safetensors"


class Learned(Agent):
    """Acts by a trained policy, in its own encoding of decisions, whichever the environment has.

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
        self.card = read_card(stem, self._algorithm)
        self._codec = _own_codec(self.env, self._algorithm, self.card)
        self._actor = Actor(load(stem, self.card, self.env.observation_space, self._codec.space))

    def decide(self, state: RoundState) -> Decision:
        """What the policy's action says in this state, which must be the environment's present one.

        A recurrent policy remembers the episode so far: it is asked once a round, here or by `act`.
        """
        return self._decode(self._ask(self.env.observe(), state, self._deterministic), state)

    def act(self, observation: NDArray[np.float32], info: dict[str, Any]) -> NDArray[Any]:
        """The policy's action; in an environment of another encoding the one nearest to its decision."""
        return self._answer(observation, self._deterministic)

    def _answer(self, observation: NDArray[np.float32], deterministic: bool) -> NDArray[Any]:
        state = self.env.state
        action = self._ask(observation, state, deterministic or self._deterministic)
        if type(self._codec) is type(self.env.codec()):
            return action
        return self.env.encode(self._decode(action, state))

    def _ask(self, observation: NDArray[np.float32], state: RoundState, deterministic: bool) -> NDArray[Any]:
        """The policy's action in its own encoding."""
        begins = np.array([state.round == 0])
        codec = self._codec
        masks = codec.masks(state.batch()) if self._algorithm.masked and isinstance(codec, Masked) else None
        seed = int(self.env.action_space.np_random.integers(2**63))
        action: NDArray[Any] = self._actor.act(observation[None], begins, deterministic, masks, seed)[0]
        return action

    def _decode(self, action: NDArray[Any], state: RoundState) -> Decision:
        return self._codec.decode(self._codec.check(action)[None], state.batch()).world(0)


def _own_codec(env: SplitLearningEnv, algorithm: Algorithm, card: Card) -> ActionCodec:
    """The encoding of the policy's actions, for this environment.

    Raises:
        PolicyError: the policy sees what this environment does not show, or cannot say what its framework needs.
    """
    codec = env.codec(card.action)
    if codec.decides_subchannels != env.codec().decides_subchannels:
        raise PolicyError(
            f"policy {algorithm.name!r} of scenario {card.scenario!r} does not see what this environment shows,"
            f" allowed: an environment with action={card.action!r}"
        )
    # Spaces do not tell whether phi is missing, or one of any number of clients.
    if algorithm.decides_phi and not env.framework.aggregates:
        raise PolicyError(
            f"policy {algorithm.name!r} of scenario {card.scenario!r} decides phi, allowed: a framework that aggregates"
        )
    return codec


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
