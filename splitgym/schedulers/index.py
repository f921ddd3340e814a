"""`index`: every client has a weight, linear in what policies see of it; the set is searched as for policies."""

from collections.abc import Callable, Mapping
from math import isfinite
from typing import Any, Literal, NamedTuple

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from splitgym.allocation.descent.descent import allocate_unchecked
from splitgym.allocation.selection.novelty import novelty
from splitgym.allocation.workload import own_seconds
from splitgym.arrays import Floats, Ints
from splitgym.envs.actions import ActionCodec
from splitgym.envs.actions.priority import PriorityCodec
from splitgym.schedulers.placing import Placing
from splitgym.schedulers.scheduler import Heuristic
from splitgym.types import Decision, Plan, RoundState

TINY = 1e-9
"""Below it logarithms are cut off."""
HIGHEST_EXPONENT = 2.0
"""Of the latency, as with `action="priority"`."""
USUAL_CLIENTS = 10
"""Available clients with whom `offset` and `latency_exponent` are as they stand."""


def _speed(state: RoundState, plan: Plan) -> Floats:
    sharing = np.maximum(state.available.sum(-1), 1)
    return -_log(own_seconds(state, plan, sharing))


FEATURES: Mapping[str, Callable[[RoundState, Plan], Floats]] = {
    "speed": _speed,
    "channel": lambda state, plan: _log(state.mean_gain),
    "compute": lambda state, plan: _log(state.client_hz),
    "data": lambda state, plan: _log(state.data_share),
    "took_part": lambda state, plan: state.participated.astype(float),
    "absence": lambda state, plan: np.log1p(state.absence),
    "experience": lambda state, plan: np.log1p(state.experience),
    "loss": lambda state, plan: _log(state.client_loss),
    "diversity": lambda state, plan: 1 / np.maximum((state.class_share**2).sum(-1), TINY),
    "novelty": lambda state, plan: _log(novelty(state)),
}
"""[N, C] what the index is linear in, before it is standardised; "speed": fewest own seconds with an even share."""
FROM_LABELS = ("loss", "diversity", "novelty")
"""Those of them that need what comes from labels."""


class Indices(NamedTuple):
    """The parameters of the rule in N worlds, see `Index`."""

    weights: Floats
    """[N, F] of the features, in the order of `FEATURES`."""
    offset: Floats
    """[N]"""
    latency_exponent: Floats
    """[N]"""
    late_exponent: Floats
    """[N]"""
    offset_by_size: Floats
    """[N]"""
    exponent_by_size: Floats
    """[N]"""
    cut_layer: Ints
    """[N]"""
    aggregation_ratio: Floats
    """[N]"""

    def repeat(self, worlds: int) -> "Indices":
        """Each of them so many times, one behind the other."""
        return self._each(lambda field: np.repeat(field, worlds, axis=0))

    def world(self, number: int) -> "Indices":
        """One of them, as those of one world."""
        return self._each(lambda field: field[number : number + 1])

    def _each(self, of: Callable[[Any], Any]) -> "Indices":
        fields: Any = map(of, self)
        return Indices(*fields)


class Index(Heuristic):
    """Clients have the weights of an action of `action="priority"`, by an index that is linear in what is seen of them.

    Client i has the entry a_i = offset + offset_by_size * s + sum_f w_f z_if, cut off at -1 and 1, where z_if is
    feature f standardised over the available clients: mean 0, standard deviation 1. Then its weight is 8^{a_i}, at -1
    it is 0, and the set S maximises sum of weights / T(S)^p with p = latency_exponent + exponent_by_size * s +
    late_exponent * accuracy, within 0..2. With n available clients s is ln(n / 10).

    Args:
        env: The environment.
        cut_layer: Held in every round, 1..L-1.
        aggregation_ratio: phi of every round, unless the framework prescribes it; None: the scenario's.
        latency_exponent: p as long as the accuracy is 0, 0..2.
        late_exponent: What is added to it on the way to accuracy 1.
        offset: Of the entries of all clients.
        offset_by_size: What is added to it for e times as many clients.
        exponent_by_size: The same of the latency exponent.
        placement: As of `splitgym.schedulers.rule.Rule`.
        placement_rounds: Likewise.
        weights: w_f by name of the feature, of `FEATURES`; the others have 0.

    Raises:
        ValueError: an option is not allowed, or labels are private and a feature comes from them; the message names it.
    """

    def __init__(
        self,
        env: gym.Env[Any, Any],
        cut_layer: int = 1,
        aggregation_ratio: float | None = None,
        latency_exponent: float = 1.0,
        late_exponent: float = 0.0,
        offset: float = 0.0,
        offset_by_size: float = 0.0,
        exponent_by_size: float = 0.0,
        placement: int | Literal["stays", "best", "threshold"] | None = None,
        placement_rounds: int = 10,
        **weights: float,
    ) -> None:
        super().__init__(env)
        exponents = {"latency_exponent": latency_exponent, "late_exponent": late_exponent}
        by_size = {"offset_by_size": offset_by_size, "exponent_by_size": exponent_by_size}
        for name, value in {**exponents, "offset": offset, **by_size, **weights}.items():
            if not _is_number(value):
                raise ValueError(f"{name} = {value!r}, allowed: finite numbers")
        if unknown := set(weights) - set(FEATURES):
            raise ValueError(f"index has no feature {min(unknown)!r}, allowed: {', '.join(FEATURES)}")
        private = [name for name in FROM_LABELS if weights.get(name)]
        if private and not self.env.system.labels_known:
            raise ValueError(
                f"{private[0]} = {weights[private[0]]!r} reads what comes from labels, which are private here, "
                "allowed: 0, or knowledge.labels = 'reported'"
            )
        if isinstance(cut_layer, bool) or cut_layer not in range(1, self.env.cut_layers + 1):
            raise ValueError(f"cut_layer = {cut_layer!r}, allowed: 1..{self.env.cut_layers}")
        if not 0 <= latency_exponent <= HIGHEST_EXPONENT:
            raise ValueError(f"latency_exponent = {latency_exponent!r}, allowed: 0..{HIGHEST_EXPONENT:g}")
        if aggregation_ratio is not None and not (_is_number(aggregation_ratio) and 0 <= aggregation_ratio <= 1):
            raise ValueError(f"aggregation_ratio = {aggregation_ratio!r}, allowed: 0..1")
        ratio = super().aggregation_ratio if aggregation_ratio is None else self.allowed_ratio(aggregation_ratio)
        self.indices = Indices(
            np.array([[float(weights.get(name, 0.0)) for name in FEATURES]]),
            np.array([float(offset)]),
            np.array([float(latency_exponent)]),
            np.array([float(late_exponent)]),
            np.array([float(offset_by_size)]),
            np.array([float(exponent_by_size)]),
            np.array([int(cut_layer)]),
            np.array([float(ratio)]),
        )
        self._placing = Placing(placement, placement_rounds, self.env.system.program.plans.placements)
        self._codec = self.env.codec("priority")

    @classmethod
    def options(cls, **chosen: Any) -> tuple[str, ...]:
        """Names of the options that may be given beside `env`."""
        return tuple(name for name in super().options() if name != "weights") + tuple(FEATURES)

    @property
    def aggregation_ratio(self) -> float:
        """The chosen phi, or else the scenario's, at most the highest that the framework allows."""
        return float(self.indices.aggregation_ratio[0])

    def decide(self, state: RoundState) -> Decision:
        """The set of the largest utility, with what the descent gives it.

        Raises:
            ValueError: the state is of another scenario or framework than the environment.
        """
        self.expect_own_system(state)
        batch, before = state.batch(), self._placing.before(state)
        decision = index_decisions(self._codec, batch, self.indices, before)

        def under(placement: int) -> Decision:
            if placement == before:
                return decision.world(0)
            # Sets of different sizes could not be compared by how long their rounds take.
            plan = decision.plan._replace(placement=placement)
            return allocate_unchecked(batch, plan, decision.selected).world(0)

        return self._placing.choose(state, under)

    def act(self, observation: NDArray[np.float32], info: dict[str, Any]) -> NDArray[Any]:
        """The action nearest to the decision; with `action="priority"` that which weighs clients by the index.

        Where the placement changes, that action searches the set under the new one, and the decision under the last.

        Raises:
            ValueError: the observation is not the present one of the agent's environment.
        """
        # A class of one's own that is derived from it may have other entries.
        if type(self.env.codec()) is not PriorityCodec:
            return super().act(observation, info)
        self.expect_own_observation(observation)
        state = self.env.state
        weighed = index_actions(self._codec, state.batch(), self.indices, self._placing.before(state))[0]
        placed = [name.startswith("placement[") for name in self._codec.space.names]  # type: ignore[attr-defined]
        return np.where(placed, self.env.encode(self.decide(state)), weighed) if any(placed) else weighed


def index_decisions(codec: ActionCodec, state: RoundState, indices: Indices, placement: int = 0) -> Decision:
    """The decisions of the rule in N worlds; arguments as of `index_actions`."""
    return codec.decode(index_actions(codec, state, indices, placement), state)


def index_actions(codec: ActionCodec, state: RoundState, indices: Indices, placement: int = 0) -> NDArray[np.float32]:
    """[N, entries] actions of the rule in N worlds.

    Args:
        codec: The encoding "priority" of their environment.
        state: Of N worlds, as the scheduler believes it.
        indices: Of N worlds.
        placement: In all of them, of the units behind the cut.
    """
    clients, names = state.available.shape[1], codec.space.names  # type: ignore[attr-defined]
    actions = _with_plans(codec, state, indices, placement)
    first, exponent = names.index("client_weight[0]"), names.index("latency_exponent")
    actions[:, first : first + clients] = np.clip(_entries(state, indices, placement), -1.0, 1.0)
    p = indices.latency_exponent + indices.exponent_by_size * _size(state) + indices.late_exponent * state.accuracy
    actions[:, exponent] = np.clip(2 * p / HIGHEST_EXPONENT - 1, -1.0, 1.0)
    return actions


def _entries(state: RoundState, indices: Indices, placement: int) -> Floats:
    """[N, C] offset of the size + sum of weights times features."""
    plan = Plan(indices.cut_layer, indices.aggregation_ratio, placement=placement)
    offset = indices.offset + indices.offset_by_size * _size(state)
    entries = np.repeat(offset[:, None], state.available.shape[1], axis=1)
    for weight, feature in zip(indices.weights.T, FEATURES.values(), strict=True):
        if weight.any():
            entries += weight[:, None] * standardised(feature(state, plan), state.available)
    return entries


def _size(state: RoundState) -> Floats:
    """[N] logarithm of the number of available clients over the usual one."""
    return _log(np.maximum(state.available.sum(-1), 1) / USUAL_CLIENTS)


def standardised(values: Floats, available: Any) -> Floats:
    """[N, C] with mean 0 and standard deviation 1 over the available clients of each world; 0 where all are equal."""
    count = np.maximum(available.sum(-1, keepdims=True), 1)
    centred = np.where(available, values - np.where(available, values, 0.0).sum(-1, keepdims=True) / count, 0.0)
    deviation = np.sqrt((centred**2).sum(-1, keepdims=True) / count)
    return np.divide(centred, deviation, out=np.zeros(centred.shape), where=deviation > TINY)


def _with_plans(codec: ActionCodec, state: RoundState, indices: Indices, placement: int) -> NDArray[np.float32]:
    """[N, entries] actions that say the plans; of all else what a decision says that leaves it open."""
    actions = np.empty((len(indices.offset), len(codec.space.names)), np.float32)  # type: ignore[attr-defined]
    one, subchannels = state.world(0), state.channel_gain.shape[-1]
    nobody = np.full(subchannels, -1), np.zeros(subchannels), np.ones(state.available.shape[1], bool)
    plans = np.stack([indices.cut_layer, indices.aggregation_ratio], 1)
    for plan in np.unique(plans, axis=0):
        decision = Decision(int(plan[0]), *nobody, float(plan[1]), placement=placement)
        actions[(plans == plan).all(1)] = codec.encode(decision, one)
    return actions


def _log(values: Floats) -> Floats:
    return np.log(np.maximum(values, TINY))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool) and isfinite(value)
