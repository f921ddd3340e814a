"""Trained policies: those that are shipped, by name, and those of a training run, by their folder."""

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.policies import BasePolicy

from splitgym.arrays import Bools
from splitgym.envs import SplitLearningEnv
from splitgym.envs.actions import ActionCodec, Masked
from splitgym.scenario import in_commands
from splitgym.schedulers.scheduler import Scheduler, expect_one
from splitgym.types import Decision, RoundState

from . import algorithms, given
from .algorithms import Algorithm
from .inference import answer
from .policy_file import PolicyError, digest, load, read_card

TRAINED = Path(__file__).parent / "trained"
"""The shipped policies: `ALGORITHM/SCENARIO.safetensors`, and what they are in `ALGORITHM/SCENARIO.toml`."""
GENERAL = "iot-family"
"""The scenario whose policies are tried where there is none of the environment's own."""
WEIGHTS = ".safetensors"


class Learned(Scheduler):
    """Acts by a trained policy, in its own encoding of decisions, whichever the environment has.

    In an environment of its own encoding a policy needs the observation only: `predict` is Stable-Baselines3's, for any
    number of environments with the spaces of the agent's. Otherwise, and where it remembers the episode for itself
    (`act` and `decide` of a recurrent policy), it answers in the agent's environment only.

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
        digest: SHA-256 of its weights.
        policy: The policy, of Stable-Baselines3.

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
        stem = find_policy(self._algorithm, policy, self.env.scenario.name)
        self.card, self.digest = read_card(stem, self._algorithm), digest(stem)
        self._codec = own_codec(self.env, self._algorithm, self.card.action, self.card.scenario)
        self._act_by(load(stem, self.card, self.env.observation_space, self._codec.space))

    def _act_by(self, policy: BasePolicy) -> None:
        """Acts by a policy from now on, in the encoding that was found for it."""
        self.policy = policy
        self._own_encoding = type(self._codec) is type(self.env.codec())
        names = self.env.observation_names
        self._available = [names.index(f"available[{i}]") for i in range(self.env.scenario.clients.count)]
        self._holds = [index for index, name in enumerate(names) if name.startswith("memory[")]
        self._memory: Any = None

    def decide(self, state: RoundState) -> Decision:
        """What the policy's action says in this state, which must be the environment's present one.

        A recurrent policy remembers the episode so far: it is asked once a round, here or by `act`.

        Raises:
            ValueError: it is another state.
        """
        self.expect_own_state(state)
        return self._decode(self._follow(self.env.observe()), state)

    def act(self, observation: NDArray[np.float32], info: dict[str, Any]) -> NDArray[Any]:
        """The policy's action; in an environment of another encoding the one nearest to its decision.

        Raises:
            ValueError: the observation does not fit, or must be the present one of the environment and is not.
        """
        if self._algorithm.remembers or not self._own_encoding:
            self.expect_own_observation(observation)
        return self._said(self._follow(observation))

    def predict(
        self,
        observation: NDArray[np.float32],
        state: Any = None,
        episode_start: Bools | None = None,
        deterministic: bool = False,
        action_masks: Bools | None = None,
    ) -> tuple[NDArray[Any], Any]:
        """As Stable-Baselines3's `predict` of a policy.

        Args:
            observation: [observation] of an environment, or [N, observation] of N.
            state: Memory of a recurrent policy, from the call of the round before; None: it remembers nothing.
            episode_start: [N] where a recurrent policy forgets; None: nowhere.
            deterministic: Take the most likely actions, also if the agent draws.
            action_masks: [N, values] for MaskablePPO; None: as the observations say which clients are unavailable.

        Returns:
            Actions, and the memory for the next call.

        Raises:
            ValueError: an argument does not fit, or the environment's encoding is another one and the observation not
                the environment's present one.
        """
        seen = given.observations(observation, self.env.observation_space)
        if not self._own_encoding:
            expect_one(seen)
            self.expect_own_observation(seen[0])
        if action_masks is not None and not self._algorithm.masked:
            raise ValueError(f"action_masks are given, allowed: None; {self._algorithm.name!r} knows no masks")
        starts = given.starts(episode_start, len(seen))
        if self._algorithm.remembers:
            state = given.memory(state, len(seen))
        actions, state = self._ask(seen, state, starts, deterministic or self._deterministic, action_masks)
        if not self._own_encoding:
            actions = self._said(actions[0])[None]
        return (actions if np.ndim(observation) == 2 else actions[0]), state

    def _follow(self, observation: NDArray[np.float32]) -> NDArray[Any]:
        """The policy's action in its own encoding, after the rounds that it was asked about before."""
        starts = np.array([self._algorithm.remembers and self.env.state.round == 0])
        seen = given.observations(observation, self.env.observation_space)
        expect_one(seen)
        actions, self._memory = self._ask(seen, self._memory, starts, self._deterministic)
        action: NDArray[Any] = actions[0]
        return action

    def _ask(
        self,
        seen: NDArray[np.float32],
        memory: Any,
        starts: Bools,
        deterministic: bool,
        masks: Any = None,
    ) -> tuple[NDArray[Any], Any]:
        """[N, ...] actions of the policy in its own encoding, and its memory."""
        if isinstance(self._codec, Masked) and self._algorithm.masked:
            cuts = self.env.cut_layers
            deepest = np.full((len(seen), len(self._available)), cuts)
            if self._holds:
                deepest = np.rint(seen[:, self._holds] * cuts).astype(np.int64)
            shown = self._codec.masks(seen[:, self._available] == 1, deepest)
            masks = shown if masks is None else given.masks(masks, *shown.shape)
        seed = int(self.env.action_space.np_random.integers(2**63))
        return answer(self.policy, seen, memory, starts, deterministic, masks, seed)

    def _said(self, action: NDArray[Any]) -> NDArray[Any]:
        """The policy's action in the encoding of the environment, in its present state."""
        return action if self._own_encoding else self.env.encode(self._decode(action, self.env.state))

    def _decode(self, action: NDArray[Any], state: RoundState) -> Decision:
        return self._codec.decode(self._codec.check(action)[None], state.batch()).world(0)


def own_codec(env: SplitLearningEnv, algorithm: Algorithm, action: str, scenario: str) -> ActionCodec:
    """The encoding of a policy's actions, for this environment.

    Args:
        env: The environment.
        algorithm: Of the policy.
        action: Its encoding.
        scenario: Its scenario, for the message.

    Raises:
        PolicyError: the policy sees what this environment does not show.
    """
    codec = env.codec(action)
    if codec.decides_subchannels != env.codec().decides_subchannels:
        raise PolicyError(
            f"policy {algorithm.name!r} of scenario {scenario!r} does not see what this environment shows,"
            f" allowed: an environment with action={action!r}"
        )
    return codec


def find_policy(of: Algorithm, policy: str | Path | None, scenario: str) -> Path:
    """Path of a policy's files without their endings.

    Args:
        of: The algorithm that trained it.
        policy: As the argument of `Learned`.
        scenario: Name of the environment's.

    Raises:
        PolicyError: there is no such policy.
    """
    shipped = {path.stem: path.with_suffix("") for path in sorted((TRAINED / of.name).glob(f"*{WEIGHTS}"))}
    if policy is None:
        for name in (scenario, GENERAL):
            if name in shipped:
                return shipped[name]
        command = f"splitgym train --algorithm {of.name} --scenario {in_commands(scenario)}"
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
