"""What schedulers, oracles and checks ask of the single environment, beside Gymnasium's methods."""

from copy import deepcopy
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from splitgym.arrays import Bools, Floats, Ints
from splitgym.envs.actions import ActionCodec, codec
from splitgym.envs.episode_order import EpisodeOrder
from splitgym.envs.simulation import Simulation
from splitgym.envs.world import World
from splitgym.frameworks import Framework
from splitgym.inputs import InputError
from splitgym.learning import Learners
from splitgym.scenario import Scenario
from splitgym.types import Decision, RoundState, SystemParameters


class SchedulerView(EpisodeOrder):
    """State, decisions and encodings of the environment's episode.

    Attributes:
        scenario: The environment's description.
        framework: Its learning framework.
        learner: "train" or "surrogate".
    """

    scenario: Scenario
    framework: Framework
    learner: str
    _simulation: Simulation
    _played: Decision | None = None

    def decode(self, action: NDArray[Any]) -> Decision:
        """The decision that an action says in the present state.

        Raises:
            ValueError: the action is not in the action space.
        """
        return self._decode(action).world(0)

    def encode(self, decision: Decision) -> NDArray[Any]:
        """The action nearest to a decision; what the encoding cannot say is lost.

        Raises:
            ValueError: a field of the decision does not fit; the message names it.
        """
        state = self.state
        return self._simulation.actions.encode(checked(decision, state), state)

    def codec(self, action: str | type[ActionCodec] | None = None) -> ActionCodec:
        """The encoding for decisions of this environment, as `action=` names it; None: its own.

        Raises:
            ScenarioError: there is none; the message suggests the nearest.
        """
        if action is None:
            return self._simulation.actions
        return codec(action, self.scenario, self.system, self.framework)

    def action_masks(self) -> Bools:
        """Flat bool mask over the values of the action in whole numbers, for MaskablePPO: see `ActionCodec`.

        Raises:
            AttributeError: the encoding has no masks.
        """
        self._need_reset()
        return self._simulation.masks()[0]

    def observe(self) -> NDArray[np.float32]:
        """The observation that `reset` or the last step returned; `gymnasium.error.ResetNeeded` before a reset."""
        self._need_reset()
        return self._simulation.observe()[0]

    @property
    def state(self) -> RoundState:
        """What the scheduler may believe at the start of the round; `gymnasium.error.ResetNeeded` before a reset."""
        self._need_reset()
        return self._simulation.world.state.world(0).copy()

    @property
    def truth(self) -> RoundState:
        """What the round will run on; for oracles and checks, never in the observation."""
        self._need_reset()
        return self._simulation.world.truth.world(0).copy()

    @property
    def played(self) -> Decision:
        """What the last round carried out: the decision made legal, powers within their budgets.

        Raises:
            gymnasium.error.ResetNeeded: no round of the episode has been played.
        """
        self._need_reset()
        if self._played is None:
            raise gym.error.ResetNeeded("no round has been played yet: call step() first")
        return deepcopy(self._played.world(0))

    @property
    def position_m(self) -> Floats:
        """[C, 2] where the clients are, m, with the base station in the origin; for pictures and checks."""
        self._need_reset()
        return self._simulation.world.position_m[0].copy()

    @property
    def radius_m(self) -> float:
        """Radius of the cell, m; `gymnasium.error.ResetNeeded` before a reset."""
        self._need_reset()
        return float(self._simulation.world.radius_m[0])

    @property
    def learners(self) -> Learners:
        """What learns in the episode, a batch of one world; for checks. `ResetNeeded` before a reset."""
        self._need_reset()
        return self._simulation.world.learners

    def fork(self) -> World:
        """A copy of the world, in which an oracle can try what the future brings; `ResetNeeded` before a reset."""
        self._need_reset()
        return self._simulation.world.fork()

    def restrict(self, subchannels: Ints, server_hz: float) -> None:
        """Lets rounds run on some of the subchannels, and on so much of the server, from the next one on.

        State and truth show these subchannels only, and decisions are of them; `whole_state` shows all. Budgets of
        power stay, and episodes that begin later have the same part.

        Args:
            subchannels: [m] indices of the subchannels, increasing.
            server_hz: Cycles/s, above 0.

        Raises:
            InputError: there are no such subchannels, or no such speed; or actions or observations have entries for
                every subchannel.
        """
        observed = any(feature.per == "link" for feature in self._simulation.observations.features)
        if observed or self._simulation.actions.decides_subchannels:
            raise InputError(
                "a part of the subchannels does not fit actions or observations with entries for every subchannel, "
                "allowed: another encoding than action = 'discrete', and observations without 'subchannel'"
            )
        most = self.scenario.radio.subchannels
        indices = np.asarray(subchannels)
        whole = indices.ndim == 1 and np.issubdtype(indices.dtype, np.integer) and indices.size > 0
        if not whole or not np.all(np.diff(indices) > 0) or indices[0] < 0 or indices[-1] >= most:
            raise InputError(f"subchannels = {subchannels!r}, allowed: increasing indices 0..{most - 1}, at least one")
        if not 0 < server_hz < np.inf:
            raise InputError(f"server_hz = {server_hz!r}, allowed: above 0")
        self._simulation.world.restrict(indices, float(server_hz))

    def latency_s(self, decision: Decision) -> float:
        """Latency of the coming round if this decision were played, s; for oracles, as it runs on the truth.

        Raises:
            InputError: a field of the decision does not fit; the message names it.
        """
        return float(self._simulation.world.latency_s(checked(decision, self.truth).batch())[0])

    @property
    def whole_state(self) -> RoundState:
        """What may be believed of the whole band and the whole server, also after `restrict`; else as `state`."""
        self._need_reset()
        return self._simulation.world.whole_state.world(0).copy()

    @property
    def begun(self) -> bool:
        """Whether there is a state: an episode has begun."""
        return self._begun

    @property
    def system(self) -> SystemParameters:
        """What stays the same over all rounds; that of every state."""
        return self._simulation.world.system

    @property
    def cut_layers(self) -> int:
        """Number of cut layers, L - 1."""
        return self.system.cut_layers

    @property
    def aggregation_levels(self) -> tuple[float, ...]:
        """The values of phi to choose from; only 0 with a framework that does not aggregate."""
        return tuple(float(level) for level in self._simulation.actions.aggregation_levels)

    @property
    def observation_names(self) -> tuple[str, ...]:
        """What stands at each index of the observation."""
        return self._simulation.observations.names

    def _decode(self, action: NDArray[Any]) -> Decision:
        """The decision of an action, as a batch of one."""
        self._need_episode()
        actions = self._simulation.actions
        return actions.decode(actions.check(action)[None], self._simulation.world.state)


def checked(decision: Any, state: RoundState) -> Decision:
    """The decision, which fits the state.

    Raises:
        ValueError: it does not, or is none.
    """
    if not isinstance(decision, Decision):
        raise InputError(f"decision = {decision!r}, allowed: a splitgym.types.Decision")
    decision.check(state)
    return decision
