"""Clients as agents that share a reward, as PettingZoo expects them."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from splitgym.envs import SplitLearningEnv
from splitgym.envs.reset_arguments import seed_of
from splitgym.inputs import InputError, MissingExtraError

try:
    from pettingzoo import ParallelEnv
except ModuleNotFoundError as error:
    raise MissingExtraError("splitgym.views.clients_as_agents needs: pip install 'splitgym[views]'") from error

Observations = dict[str, dict[str, NDArray[Any]]]


class ClientsAsAgents(ParallelEnv[str, dict[str, NDArray[Any]], int]):
    """Every client bids for its part in the round, and says up to which unit it would train.

    Agents are `client_0` to `client_{C-1}`, and stay for the whole episode. An action is a whole number: 0, to stay out
    of the round; or 1 + (L - 1) bid + (cut layer - 1) for one of `bids` bids, the highest last. Bids are the client
    weights of the encoding `"priority"`: the clients with the largest sum of weights over the latency of their round
    take part, and subchannels and power are searched for them. Where the scenario lets cut layers differ
    (`plan={"cut_layer": "by-client"}`) each client has its own; else the common one is the median of those that clients
    say, weighted by their bids.

    An agent observes what is said of its own client, then what is said of the cell, and `action_mask`: who is
    unavailable can only stay out. All have the reward of the environment. `infos` are the environment's, the same
    for all; `reset(options=)` is ignored, as there are none.

    Args:
        bids: Number of bids beside staying out.
        latency_exponent: p - 1 of the encoding, -1..1.
        aggregation: Entry for phi of the encoding, -1..1, where the framework aggregates; up to 0: phi = 0.
        arguments: Those of `SplitLearningEnv` but `action`.

    Raises:
        InputError: an argument is not allowed, or the scenario lets more be decided than bids and cut layers.
    """

    metadata: dict[str, Any] = {"name": "splitlearning_v0", "render_modes": ["rgb_array", "ansi"]}  # noqa: RUF012

    def __init__(
        self, bids: int = 4, latency_exponent: float = 0.0, aggregation: float = -1.0, **arguments: Any
    ) -> None:
        if isinstance(bids, bool) or not isinstance(bids, int) or not 1 <= bids <= 1000:
            raise InputError(f"bids = {bids!r}, allowed: whole numbers from 1 to 1000")
        for name, value in (("latency_exponent", latency_exponent), ("aggregation", aggregation)):
            if not -1 <= value <= 1:
                raise InputError(f"{name} = {value!r}, allowed: -1..1")
        if "action" in arguments:
            raise InputError("action is no argument here, as clients bid: allowed are bids and latency_exponent")
        self._env = SplitLearningEnv(action="priority", **arguments)
        self._fixed = {"latency_exponent": latency_exponent, "aggregation_ratio": aggregation}
        self._entries = tuple(self._env.action_space.names)  # type: ignore[attr-defined]
        self.render_mode = self._env.render_mode
        clients = self._env.scenario.clients.count
        self.possible_agents = [f"client_{i}" for i in range(clients)]
        self._own_cuts = "cut_layer[0]" in self._entries
        known = {
            "cut_layer",
            *self._fixed,
            *(f"{name}[{i}]" for name in ("cut_layer", "client_weight") for i in range(clients)),
        }
        if open_to_others := [name for name in self._entries if name not in known]:
            raise InputError(f"the scenario lets {open_to_others[0]!r} be decided, allowed: bids and cut layers alone")
        self._cuts, self._bids = self._env.cut_layers, bids
        names = self._env.observation_names
        common = [k for k, name in enumerate(names) if "[" not in name]
        self._seen = [[k for k, name in enumerate(names) if name.endswith(f"[{i}]")] + common for i in range(clients)]
        actions = 1 + bids * self._cuts
        self._spaces = {
            agent: (
                spaces.Dict(
                    {
                        "observation": spaces.Box(0.0, 1.0, (len(seen),), np.float32),
                        "action_mask": spaces.Box(0, 1, (actions,), np.int8),
                    }
                ),
                spaces.Discrete(actions),
            )
            for agent, seen in zip(self.possible_agents, self._seen, strict=True)
        }
        self.agents: list[str] = []

    def observation_space(self, agent: str) -> spaces.Dict:
        """Of an agent; always the same object."""
        return self._spaces[agent][0]

    def action_space(self, agent: str) -> spaces.Discrete:
        """Of an agent; always the same object."""
        return self._spaces[agent][1]

    def reset(
        self, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observations, dict[str, dict[str, Any]]]:
        """Starts an episode.

        Raises:
            InputError: the seed is no whole number from 0.
        """
        observation, info = self._env.reset(seed=seed_of(seed))
        self.agents = self.possible_agents[:]
        return self._observations(observation), {agent: dict(info) for agent in self.agents}

    def step(
        self, actions: Mapping[str, int]
    ) -> tuple[Observations, dict[str, float], dict[str, bool], dict[str, bool], dict[str, dict[str, Any]]]:
        """Plays the round that the clients' actions say.

        Raises:
            InputError: an agent has no action, or one outside of its space.
            gymnasium.error.ResetNeeded: no episode is running.
        """
        observation, reward, terminated, truncated, info = self._env.step(self.joint_action(actions))
        agents = self.agents
        if terminated or truncated:
            self.agents = []
        return (
            self._observations(observation),
            dict.fromkeys(agents, reward),
            dict.fromkeys(agents, terminated),
            dict.fromkeys(agents, truncated),
            {agent: dict(info) for agent in agents},
        )

    def joint_action(self, actions: Mapping[str, int]) -> NDArray[np.float32]:
        """The action of the encoding `"priority"` that says what all clients say.

        Args:
            actions: By agent.

        Raises:
            InputError: an agent has no action, or one outside of its space.
        """
        said = np.array([self._checked(agent, actions) for agent in self.possible_agents])
        bids, cuts = np.where(said > 0, (said - 1) // self._cuts + 1, 0), (said - 1) % self._cuts
        weights = 2 * bids / self._bids - 1
        if not self._own_cuts:
            cuts = np.full(len(said), _weighted_median(cuts[bids > 0], 8.0 ** weights[bids > 0]))
        # The middle of the part of -1..1 that stands for the cut layer; who stays out keeps the first units at most.
        parts = (2 * np.where(said > 0, cuts, 0) + 1) / self._cuts - 1
        values = self._fixed | {"cut_layer": (2 * cuts[0] + 1) / self._cuts - 1}
        for i in range(len(said)):
            values |= {f"client_weight[{i}]": weights[i], f"cut_layer[{i}]": parts[i]}
        return np.array([values[name] for name in self._entries], np.float32)

    def render(self) -> Any:
        """As the environment does it."""
        return self._env.render()

    def close(self) -> None:
        """Ends the use of the environment."""
        self._env.close()

    def _checked(self, agent: str, actions: Mapping[str, int]) -> int:
        if agent not in actions:
            raise InputError(f"actions: none of {agent!r}, allowed: one of every agent")
        if not self._spaces[agent][1].contains(actions[agent]):
            raise InputError(f"action of {agent!r} = {actions[agent]!r}, allowed: 0..{self._spaces[agent][1].n - 1}")
        return int(actions[agent])

    def _observations(self, observation: NDArray[np.float32]) -> Observations:
        found: Observations = {}
        available = self._env.state.available
        for i, agent in enumerate(self.possible_agents):
            mask = np.full(self._spaces[agent][1].n, available[i], np.int8)
            mask[0] = 1
            found[agent] = {"observation": observation[self._seen[i]], "action_mask": mask}
        return found


def _weighted_median(values: NDArray[np.int64], weights: NDArray[np.float64]) -> int:
    """The smallest value up to which at least half of the weight lies; 0 of nothing."""
    if not len(values):
        return 0
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(weights[order]) >= weights.sum() / 2
    return int(values[order][np.argmax(reached)])
