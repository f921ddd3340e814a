"""`SplitLearning-v0`: the Gymnasium environment. The class docstring is the manual."""

from collections.abc import Mapping
from copy import copy
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.envs.registration import EnvSpec
from numpy.typing import NDArray

from splitgym import data
from splitgym.envs.actions import Masked, codec
from splitgym.envs.observation import LastRound, ObservationCodec
from splitgym.envs.rewards import reward_terms, reward_weights
from splitgym.envs.world import Round, World
from splitgym.frameworks import get
from splitgym.rounds import Decision, RoundOutcome, RoundState
from splitgym.scenario import Scenario, ScenarioError, Section, build
from splitgym.scenario.errors import suggest

LEARNERS = ("train",)


class SplitLearningEnv(gym.Env[NDArray[np.float32], NDArray[Any]]):
    """Schedules the rounds of a real split-learning training run over a wireless cell.

    ## Description
    C clients hold the data of a learning task. In each round some of them run the first units of a neural network on a
    mini-batch, send the activations (smashed data) over M subchannels to an edge server, which trains the remaining
    units and sends gradients back (efficient parallel split learning, arXiv 2303.15991). A step of the environment is
    one such round: the network is really trained, in PyTorch, and the round's latency, energy and traffic are
    computed from the framework's phases over the simulated cell. The agent decides the round: cut layer, subchannels
    and powers, who takes part, and the aggregation ratio phi.

    `framework=` says who trains what; every framework really trains, and is timed from its own phases:

    | framework | a round |
    |---|---|
    | `"centralised"` | the server trains the whole network on everybody's mini-batches; nothing is sent |
    | `"fl"` | every client trains the whole network (`training.local_steps` mini-batches); models are averaged |
    | `"sl"` | one client after the other, with the whole band; the client model is handed on |
    | `"sfl-v1"` | side by side, client models averaged; a server copy for each client, averaged |
    | `"sfl-v2"` | likewise, with one server model that takes the clients one after the other |
    | `"psl"` | side by side against one server model; client models are never averaged |
    | `"epsl"` | PSL that aggregates last-layer gradients of a share phi of the rows |
    | `"psl-drop"` | PSL without that share of the rows: the control of EPSL |
    | `"epsl-pt"` | EPSL with phi = 1 first, then PSL; it prescribes phi |
    | `"cpsl"` | clusters one after the other (`training.clusters`), SFL inside a cluster |

    In `"sl"` and `"cpsl"` the band is dealt anew in each turn: whoever works keeps its own subchannels and gets those
    of the others, with an even share of the power budgets. Clusters are formed of clients that need about as long. A
    decision that is played past the encodings (`play`) may say the band of every turn itself.

    With `radio={"sharing": "on-demand"}` nobody waits for others unless it has to: subchannels and power that are idle
    at a moment are lent to whoever sends or receives then and would be ready last, and the server works for whose data
    is there (after everybody's is, where its batch norm normalises all rows together). A round is then never longer
    than with the default, `"static"`, for the same decision and participants.

    ## Action Space
    One decision, three encodings of it (`action=`); with L units in the network, C clients, M subchannels, phi levels
    and power levels of the scenario:

    | action | space | components in order |
    |---|---|---|
    | `"discrete"` | MultiDiscrete, 2 M + C + 2 | cut - 1; owner, then power level, of each subchannel; clients; phi |
    | `"continuous"` | Box(-1, 1), 3 C + 2 | cut; clients; spectrum demand of each; power of each; phi |
    | `"schedule"` | MultiDiscrete, C + 2 | cut - 1; clients; phi (subchannels and power: the paper's greedy) |

    Owner C means unused. A client is in at 1, in the Box above 0. Demands become numbers of subchannels, at least one
    each.

    A power level is the share of the client's whole power budget that it puts on that subchannel. With a framework
    that does not aggregate, the only phi level is 0 and the Box has no phi; what `"epsl-pt"` prescribes is set by
    itself, and `"psl-drop"` has only levels that leave two rows. Every action of the space is legal: one
    that breaks a power budget is scaled down and `info["projected"]` says so; with nobody able to take part the
    round's timeout passes and nothing is learnt. An action outside the space raises a ValueError.
    `env.unwrapped.action_masks()` serves MaskablePPO.

    ## Observation Space
    Box(0, 1), float32, of what the scheduler *believes* (channel knowledge may be stale or noisy). "squashed at r" is
    x / (x + r). `env.unwrapped.observation_names` names every index.

    | index | what |
    |---|---|
    | 0 .. C-1 | channel: spectral efficiency with p_max over the whole band, squashed at 4 bit/s/Hz; mean over k |
    | C .. 2C-1 | compute to spare, squashed at the geometric mean of the scenario's slowest and fastest client |
    | 2C .. 3C-1 | training loss of the client's last mini-batch, squashed at ln(classes) |
    | 3C .. 4C-1 | data share times C, squashed at 1 |
    | 4C .. 5C-1 | available (1) or away (0), as announced before the last round: clients drop out during a round |
    | 5C .. 6C-1 | took part in the last round |
    | 6C .. 7C-1 | cut layer up to which the client's own part is valid, over L - 1; 0 if it has none |
    | 7C | test accuracy |
    | 7C+1 | cut layer of the last round that trained, over L - 1 (0: none yet) |
    | 7C+2 | aggregation ratio of the last round |
    | 7C+3 | latency of the last round, squashed at time budget / round budget |
    | 7C+4 | share of the round budget left |
    | 7C+5 | share of the time budget left |
    | 7C+6 .. | only with `action="discrete"`: channel of every client and subchannel, C M values, client by client |

    ## Rewards
    `reward=` names a weighted sum of terms; `info["reward_terms"]` holds the unweighted terms of the round:
    `accuracy_gain` (test accuracy now minus before), `latency` (minus the share of the time budget that the round
    took), `energy` (minus the joules spent), `target_reached` (1 in the round that reaches the target).

    | reward | sum |
    |---|---|
    | `"gain-latency"` | 10 accuracy_gain + 10 latency |
    | `"time-to-target"` | 10 latency + 10 target_reached |
    | `"gain-latency-energy"` | 10 accuracy_gain + 10 latency + 0.1 energy |

    ## Starting State
    `reset(seed=)` draws everything anew: places, shadowing, fading, device speeds, split and shares of the data,
    initial weights. The same seed gives the same episode, to the bit, on the same machine (on a GPU,
    as far as its pooling layers add in a fixed order).

    ## Episode End
    Termination: within the time budget the measured test accuracy (data-weighted mean over all clients) reaches
    `episode.target_accuracy`, unless `episode.stop_at_target` is false. Truncation: `episode.max_rounds` rounds are
    done or `episode.time_budget_s` seconds of simulated time are spent. A step after the end raises
    `gymnasium.error.ResetNeeded`.

    ## Arguments
    | argument | default | allowed |
    |---|---|---|
    | `scenario` | `"iot"` | preset name, path of a TOML file, mapping, or `Scenario` |
    | `framework` | `"epsl"` | see Description |
    | `learner` | `"train"` | `"train"`: real training |
    | `action` | `"discrete"` | `"discrete"`, `"continuous"`, `"schedule"` |
    | `reward` | `"gain-latency"` | see Rewards |
    | `render_mode` | `None` | `None` |
    | `device` | `None` | torch device to train on; None: cuda if there is one, else cpu |
    | anything else | | a section of the scenario, whose fields are replaced: `clients={"count": 20}` |

    ## Info
    After `reset` and `step`: `round` (rounds done), `elapsed_s`, `accuracy`, `worst_accuracy` (of the worst client),
    `balanced_accuracy` (mean over the classes), `loss` (mean training loss of the last round that trained),
    `evaluated` (whether accuracy was measured now), `evaluation_samples`. After `step` also:

    | key | what |
    |---|---|
    | `round_latency_s` | seconds the round took |
    | `stages` | seconds on the critical path by stage (below); they sum to the latency |
    | `cut_layer`, `aggregation_ratio`, `selected` | as decided; `selected` is bool [C] |
    | `participants` | bool [C]: who really took part |
    | `without_subchannel`, `unavailable`, `timed_out` | bool [C]: who was selected and did not, by reason |
    | `energy_j`, `client_energy_j`, `server_energy_j` | joules in all, per client [C], of the server |
    | `traffic_bits`, `migration_bits` | bits sent in all; those of moved parts of the network among them |
    | `projected` | the decision broke a power budget and was scaled down |
    | `finite` | false: loss or gradients were not finite and the models stayed as they were |
    | `trained` | false: nobody took part, or not finite |
    | `reward_terms` | unweighted reward terms by name |

    Stages: `migration` (parts of the network that move), `client_fp`, `uplink`, `server_fp`, `server_bp`, `broadcast`,
    `unicast`, `client_bp`; where models are handed on or averaged also `model_down`, `model_up`. Waiting for uplinks
    that never come counts as the first uplink of the framework.

    ## Vectorized environment
    `gym.make_vec("SplitLearning-v0", num_envs=N, vectorization_mode="async")` runs N copies in N processes; with a
    start method other than fork, name it `"splitgym:SplitLearning-v0"` so that workers import the package. Each copy
    trains with as many torch threads as there are; `torch.set_num_threads(1)` is faster for small networks.

    ## Version History
    * v0: first version.

    ## References
    * Lin et al., Efficient Parallel Split Learning over Resource-constrained Wireless Edge Networks, arXiv 2303.15991.
    * Lin et al., Split Learning in 6G Edge Networks, arXiv 2306.12194.
    """

    metadata: dict[str, Any] = {"render_modes": []}  # noqa: RUF012 - as Gymnasium declares it

    def __init__(
        self,
        scenario: str | Path | Mapping[str, Any] | Scenario = "iot",
        framework: str = "epsl",
        learner: str = "train",
        action: str = "discrete",
        reward: str = "gain-latency",
        render_mode: None = None,
        device: str | None = None,
        **overrides: Mapping[str, Any],
    ) -> None:
        if learner not in LEARNERS:
            raise ScenarioError(f"learner = {learner!r} is unknown, {suggest(str(learner), LEARNERS)}")
        if render_mode is not None:
            raise ScenarioError(f"render_mode = {render_mode!r}, allowed: None")
        unknown = set(overrides) - set(Scenario.model_fields)
        if unknown:
            name = min(unknown)
            arguments = ("scenario", "framework", "learner", "action", "reward", "render_mode", "device")
            raise ScenarioError(f"unknown argument {name!r}, {suggest(name, (*arguments, *Scenario.model_fields))}")
        self.scenario = build(scenario, overrides)
        self.framework = get(framework)
        self.render_mode = render_mode
        self._world = World(self.scenario, self.framework, device)
        self._actions = codec(action, self.scenario, self._world.system, self.framework)
        _, classes = data.dimensions(self.scenario.task.dataset)
        self._observations = ObservationCodec(
            self.scenario, self._world.system, classes, subchannel_estimates=action == "discrete"
        )
        self._weights = reward_weights(reward)
        self.action_space = self._actions.space
        self.observation_space = self._observations.space
        self._last: LastRound
        self._running = self._reached = False

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Begins an episode; see Starting State."""
        super().reset(seed=seed)
        outcome = self._world.reset(self.np_random)
        self._last = LastRound(np.zeros(self.scenario.clients.count, bool), 0.0, 0.0)
        self._running, self._reached = True, False
        state = self.state
        return self._observations.encode(state, self._last), _progress(state, outcome)

    def step(self, action: NDArray[Any]) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """Plays the round that the action says.

        Raises:
            ValueError: the action is not in the action space.
            gymnasium.error.ResetNeeded: no episode is running.
        """
        return self.play(self.decode(action))

    def play(self, decision: Decision) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """`step` for a decision as it is, past the encoding.

        Raises:
            ValueError: a field of the decision does not fit; the message names it.
            gymnasium.error.ResetNeeded: no episode is running.
        """
        self._need_episode()
        played = self._world.play(decision)
        self._last = LastRound(
            played.cost.participants, float(played.decision.aggregation_ratio), float(played.cost.latency_s)
        )
        episode, state = self.scenario.episode, self.state
        in_time = state.elapsed_s <= episode.time_budget_s
        reached = in_time and played.outcome.evaluated and played.outcome.accuracy >= episode.target_accuracy
        terminated = bool(reached and episode.stop_at_target)
        spent = state.round >= episode.max_rounds or state.elapsed_s >= episode.time_budget_s
        truncated = bool(spent and not terminated)
        self._running = not (terminated or truncated)
        terms = reward_terms(self.scenario, played, first_reached=bool(reached and not self._reached))
        self._reached |= reached
        reward = sum(weight * terms[name] for name, weight in self._weights.items())
        info = {**_progress(state, played.outcome), **_account(played), "reward_terms": terms}
        return self._observations.encode(state, self._last), float(reward), terminated, truncated, info

    def action_masks(self) -> NDArray[np.bool_]:
        """Flat bool mask over the values of the MultiDiscrete action, for MaskablePPO: who is away cannot come in.

        Raises:
            AttributeError: the encoding is continuous and has no masks.
        """
        if isinstance(self._actions, Masked):
            return self._actions.masks(self.state)
        raise AttributeError("action='continuous' has no masks, allowed: 'discrete', 'schedule'")

    def decode(self, action: NDArray[Any]) -> Decision:
        """The decision that an action says in the present state.

        Raises:
            ValueError: the action is not in the action space.
        """
        self._need_episode()
        return self._actions.decode(self._actions.check(action), self.state)

    def encode(self, decision: Decision) -> NDArray[Any]:
        """The action nearest to a decision; what the encoding cannot say is lost.

        Raises:
            ValueError: a field of the decision does not fit; the message names it.
        """
        state = self.state
        decision.check(state)
        return self._actions.encode(decision, state)

    @property
    def state(self) -> RoundState:
        """What the scheduler may believe at the start of the round; `gymnasium.error.ResetNeeded` before a reset."""
        self._need_reset()
        return self._world.state

    @property
    def truth(self) -> RoundState:
        """What the round will run on; for oracles and checks, never in the observation."""
        self._need_reset()
        return self._world.truth

    def fork(self) -> World:
        """A copy of the world, in which an oracle can try what the future brings; `ResetNeeded` before a reset."""
        self._need_reset()
        return self._world.fork()

    @property
    def cut_layers(self) -> int:
        """Number of cut layers, L - 1."""
        return self._world.system.cut_layers

    @property
    def aggregation_levels(self) -> tuple[float, ...]:
        """The values of phi to choose from; only 0 with a framework that does not aggregate."""
        return tuple(float(level) for level in self._actions.aggregation_levels)

    @property
    def observation_names(self) -> tuple[str, ...]:
        """What stands at each index of the observation."""
        return self._observations.names

    @property
    def spec(self) -> EnvSpec | None:
        """How the environment was made, in values that `EnvSpec.to_json` can write."""
        return self._spec

    @spec.setter
    def spec(self, spec: EnvSpec | None) -> None:
        if spec is not None:
            spec = copy(spec)
            spec.kwargs = {name: _jsonable(value) for name, value in spec.kwargs.items()}
        self._spec = spec

    _spec: EnvSpec | None = None

    def _need_reset(self) -> None:
        if not hasattr(self, "_last"):
            raise gym.error.ResetNeeded("no episode has begun: call reset() first")

    def _need_episode(self) -> None:
        if not self._running:
            raise gym.error.ResetNeeded("no episode is running: call reset() before step()")


def _jsonable(argument: Any) -> Any:
    """The argument in values that JSON knows; what has no other form becomes its name."""
    if isinstance(argument, Section):
        return argument.model_dump(mode="json")
    if isinstance(argument, Mapping):
        return {str(name): _jsonable(value) for name, value in argument.items()}
    if isinstance(argument, list | tuple):
        return [_jsonable(value) for value in argument]
    if isinstance(argument, np.generic):
        return argument.item()
    return argument if isinstance(argument, str | int | float | None) else str(argument)


def _progress(state: RoundState, outcome: RoundOutcome) -> dict[str, Any]:
    """How far the episode is, for `info`."""
    return {
        "round": state.round,
        "elapsed_s": state.elapsed_s,
        "accuracy": outcome.accuracy,
        "worst_accuracy": outcome.worst_accuracy,
        "balanced_accuracy": outcome.balanced_accuracy,
        "loss": outcome.loss,
        "evaluated": outcome.evaluated,
        "evaluation_samples": outcome.evaluation_samples,
    }


def _account(played: Round) -> dict[str, Any]:
    """What a round did and cost, for `info`."""
    decision, cost, outcome = played.decision, played.cost, played.outcome
    client_energy_j, server_energy_j = cost.client_energy_j.copy(), float(cost.server_energy_j)
    return {
        "round_latency_s": float(cost.latency_s),
        "stages": cost.seconds_by_stage(),
        "cut_layer": int(decision.cut_layer),
        "aggregation_ratio": float(decision.aggregation_ratio),
        "selected": decision.selected.copy(),
        "participants": cost.participants.copy(),
        "without_subchannel": cost.without_subchannel.copy(),
        "unavailable": cost.unavailable.copy(),
        "timed_out": cost.timed_out.copy(),
        "energy_j": float(client_energy_j.sum()) + server_energy_j,
        "client_energy_j": client_energy_j,
        "server_energy_j": server_energy_j,
        "traffic_bits": float(cost.traffic_bits),
        "migration_bits": float(cost.migration_bits),
        "projected": played.projected,
        "finite": outcome.finite,
        "trained": outcome.trained,
    }
