"""The values that cross rooms: what may be known at the start of a round, what is decided, what was learnt.

The numeric rooms work on N worlds at once: there every array has a leading axis N. The same classes without that axis
speak for one world; `world`, `batch` and `Decision.stack` go from one form to the other.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splitgym.frameworks.phases import Program, Turns
from splitgym.models import Profile
from splitgym.scenario import Cloud, Scenario

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class System:
    """What stays the same over the rounds: spectrum, budgets, and the framework's program over the network's cuts."""

    subchannels: int
    """Number of subchannels M."""
    noise_psd_w_per_hz: float
    downlink_psd_w_per_hz: float
    client_power_max_w: float
    total_power_max_w: float
    client_capacitance: float
    """xi of the clients, J s^2/cycle^3."""
    server_capacitance: float
    """xi of the server, J s^2/cycle^3."""
    cloud: Cloud
    batch_size: int
    round_timeout_s: float
    max_rounds: int
    """Budget of rounds of an episode."""
    time_budget_s: float
    """Budget of simulated time of an episode, s."""
    target_accuracy: float
    """Test accuracy at which an episode ends."""
    on_demand: bool
    """Whether idle subchannels are lent, and clients and server go on as soon as they can."""
    clusters: int
    """Clusters to form, with a framework that has them."""
    program: Program
    prefix_bits: Floats
    """[L] model bits of units 1..j at index j (0 at index 0): what a client that holds the cut j has."""

    @classmethod
    def of(cls, scenario: Scenario, profile: Profile, program: Program) -> "System":
        """The system of a scenario, its profiled network and its framework's compiled program."""
        radio = scenario.radio
        return cls(
            subchannels=radio.subchannels,
            noise_psd_w_per_hz=radio.noise_psd_w_per_hz,
            downlink_psd_w_per_hz=radio.downlink_psd_w_per_hz,
            client_power_max_w=radio.client_power_max_w,
            total_power_max_w=radio.total_power_max_w,
            client_capacitance=scenario.clients.switched_capacitance,
            server_capacitance=scenario.server.switched_capacitance,
            cloud=scenario.cloud,
            batch_size=scenario.training.batch_size,
            round_timeout_s=scenario.episode.round_timeout_s,
            max_rounds=scenario.episode.max_rounds,
            time_budget_s=scenario.episode.time_budget_s,
            target_accuracy=scenario.episode.target_accuracy,
            on_demand=radio.sharing == "on-demand",
            clusters=scenario.training.clusters,
            program=program,
            prefix_bits=np.concatenate([[0.0], np.cumsum(profile.model_bits[:-1])]),
        )

    @property
    def cut_layers(self) -> int:
        """Number of cut layers, L - 1."""
        return len(self.prefix_bits) - 1


@dataclass(frozen=True)
class RoundState:
    """Everything that a scheduler may know (or, as truth, what the round will run on) at the start of a round.

    Rules decide on it, and the observation of a policy is a function of it: all schedulers know the same.

    Shapes are those of one world with C clients and M subchannels; a batch has a leading axis N on every array but
    `system`.
    """

    channel_gain: Floats
    """[C, M] linear power gain, antenna gains included."""
    client_hz: Floats
    """[C] cycles/s that each client has to spare."""
    server_hz: Any
    """Cycles/s of the server."""
    present: Bools
    """[C] whether the client belongs to the episode; the others are never available and hold no data."""
    data_share: Floats
    """[C] share of all training samples; sums to 1."""
    class_share: Floats
    """[C, K] share of each class in the client's data, known from the labels that travel with the smashed data; 0 for
    clients that are not present."""
    client_loss: Floats
    """[C] mean training loss of the client's last mini-batch; ln(classes) before its first."""
    accuracy: Any
    """Test accuracy after the last round that was evaluated, 0..1."""
    round: Any
    """Rounds done in this episode."""
    elapsed_s: Any
    """Simulated time spent in this episode, s."""
    cut_layer: Any
    """Cut layer of the last round that trained; 0 before the first."""
    client_cut_layer: Ints
    """[C] cut layer up to which each client's own part is valid; 0 before the first round."""
    available: Bools
    """[C] whether the client can be reached."""
    participated: Bools
    """[C] whether the client took part in the last round."""
    absence: Floats
    """[C] rounds since the client took part, or since the episode began."""
    experience: Floats
    """[C] rounds in which the client took part."""
    last_aggregation_ratio: Any
    """phi of the last round; 0 before the first."""
    last_latency_s: Any
    """Latency of the last round, s; 0 before the first."""
    subchannel_hz: Floats
    """[M] bandwidths B_k, Hz."""
    system: System
    prescribed_ratio: Any = np.nan
    """phi that the framework prescribes for this round; NaN: whoever decides may choose it."""

    def __post_init__(self) -> None:
        if self.batched and np.ndim(self.prescribed_ratio) == 0:
            object.__setattr__(self, "prescribed_ratio", np.full(len(self.channel_gain), self.prescribed_ratio))

    def ratio(self, choice: Any) -> Any:
        """Aggregation ratio of this round (of a batch: [N]): what the framework prescribes, else the choice."""
        if self.batched:
            return np.where(np.isnan(self.prescribed_ratio), choice, self.prescribed_ratio)
        return choice if np.isnan(self.prescribed_ratio) else float(self.prescribed_ratio)

    @property
    def batched(self) -> bool:
        """Whether the arrays have the leading axis of N worlds."""
        return self.channel_gain.ndim == 3

    def world(self, index: int) -> "RoundState":
        """One world of a batch."""
        return replace(self, **{name: value[index] for name, value in _arrays(self)})

    def copy(self) -> "RoundState":
        """With arrays of its own, but the system."""
        arrays: dict[str, Any] = {name: np.copy(value)[()] for name, value in _arrays(self)}
        return replace(self, **arrays)

    def batch(self) -> "RoundState":
        """This one world as a batch of one."""
        arrays: dict[str, Any] = {name: np.array([value]) for name, value in _arrays(self)}
        return replace(self, **arrays)

    def repeat(self, worlds: int) -> "RoundState":
        """This one world as a batch of N equal ones."""
        arrays: dict[str, Any] = {name: np.repeat([value], worlds, axis=0) for name, value in _arrays(self)}
        return replace(self, **arrays)


@dataclass(frozen=True)
class Decision:
    """What a scheduler answers. Shapes are those of one world; a batch has a leading axis N."""

    cut_layer: Any
    """Last unit on the client, 1..L-1."""
    assignment: Ints
    """[M] index of the client that uses the subchannel, -1: unused; the band is dealt anew in each of several turns.

    Or [T, M], where clients take turns: the band of each turn exactly. Row c belongs to the cluster of that index, or
    to that client where clients go one by one; there, owners that are not of the turn do not count.
    """
    power_w_per_hz: Floats
    """[M] or [T, M], as `assignment`: transmit power spectral density on the subchannel, W/Hz."""
    selected: Bools
    """[C] who takes part."""
    aggregation_ratio: Any
    """phi, 0..1: share of the mini-batch whose last-layer gradients are averaged over clients."""
    cluster: Any = 0
    """[C] cluster of each client; clusters take their turns in increasing order. Read by frameworks with clusters."""

    def __post_init__(self) -> None:
        for name in ("assignment", "power_w_per_hz", "selected"):
            object.__setattr__(self, name, np.asarray(getattr(self, name)))
        if np.ndim(self.cluster) < 1:
            object.__setattr__(self, "cluster", np.full(self.selected.shape, self.cluster))

    @property
    def by_turn(self) -> bool:
        """Whether each turn has its own row of `assignment` and `power_w_per_hz`."""
        return self.assignment.ndim > self.selected.ndim

    def used(self, turns: Turns) -> Bools:
        """As `assignment`, of one world: whether a selected client has the subchannel, in its own turn if by turn."""
        owner = np.maximum(self.assignment, 0)
        used = (self.assignment >= 0) & self.selected[owner]
        if self.by_turn:
            used &= turns.of_clients(self.cluster)[owner] == np.arange(len(owner))[:, None]
        return used

    def world(self, index: int) -> "Decision":
        """One world of a batch."""
        return replace(self, **{name: value[index] for name, value in _arrays(self)})

    def batch(self) -> "Decision":
        """This one world as a batch of one."""
        return replace(self, **{name: np.array([value]) for name, value in _arrays(self)})

    @staticmethod
    def stack(decisions: Sequence["Decision"]) -> "Decision":
        """Several worlds, with arrays of the same shapes, as a batch."""
        return Decision(**{f.name: np.stack([getattr(d, f.name) for d in decisions]) for f in fields(Decision)})

    def check(self, state: RoundState) -> None:
        """Raises a ValueError that names the first field which does not fit the state (both of one world)."""
        clients, subchannels = state.channel_gain.shape[-2:]
        cuts = state.system.cut_layers
        if not isinstance(self.cut_layer, int | np.integer) or not 1 <= self.cut_layer <= cuts:
            raise ValueError(f"Decision.cut_layer = {self.cut_layer}, allowed: 1..{cuts}")
        _check_shape("selected", self.selected, f"({clients},)", self.selected.shape == (clients,))
        if self.selected.dtype != np.bool_:
            raise ValueError(f"Decision.selected = {self.selected}, allowed: bool array")
        self._check_band(clients, subchannels, state.system.program.turns)
        self._check_cluster(clients, state.system.program.turns)
        if not isinstance(self.aggregation_ratio, float | int | np.number) or not 0 <= self.aggregation_ratio <= 1:
            raise ValueError(f"Decision.aggregation_ratio = {self.aggregation_ratio}, allowed: 0..1")
        if state.ratio(self.aggregation_ratio) != self.aggregation_ratio:
            raise ValueError(
                f"Decision.aggregation_ratio = {self.aggregation_ratio}, "
                f"allowed in this round of the framework: {state.prescribed_ratio:g}"
            )

    def _check_band(self, clients: int, subchannels: int, turns: Turns) -> None:
        shape = self.assignment.shape
        rows = {Turns.TOGETHER: None, Turns.CLUSTERS: "turns", Turns.ONE_BY_ONE: clients}[turns]
        allowed = f"({subchannels},)" + (f" or ({rows}, {subchannels})" if rows else "")
        fits = shape == (subchannels,) or (len(shape) == 2 and shape[1] == subchannels and rows in ("turns", shape[0]))
        _check_shape("assignment", self.assignment, allowed, fits)
        _check_shape("power_w_per_hz", self.power_w_per_hz, f"{shape}", self.power_w_per_hz.shape == shape)
        if self.assignment.dtype.kind not in "iu":
            raise ValueError(f"Decision.assignment = {self.assignment}, allowed: whole numbers")
        if np.any(self.assignment < -1) or np.any(self.assignment >= clients):
            raise ValueError(f"Decision.assignment = {self.assignment}, allowed: -1 (unused) or 0..{clients - 1}")
        if not np.all(np.isfinite(self.power_w_per_hz)) or np.any(self.power_w_per_hz < 0):
            raise ValueError(f"Decision.power_w_per_hz = {self.power_w_per_hz}, allowed: finite and not negative")

    def _check_cluster(self, clients: int, turns: Turns) -> None:
        cluster = np.asarray(self.cluster)
        _check_shape("cluster", cluster, f"({clients},)", cluster.shape == (clients,))
        if cluster.dtype.kind not in "iu":
            raise ValueError(f"Decision.cluster = {cluster}, allowed: whole numbers")
        without_row = (cluster < 0) | (cluster >= len(self.assignment))
        if self.by_turn and turns is Turns.CLUSTERS and np.any(self.selected & without_row):
            raise ValueError(
                f"Decision.cluster = {cluster}, allowed for selected clients: 0..{len(self.assignment) - 1}, "
                "the rows of Decision.assignment"
            )


@dataclass(frozen=True)
class RoundOutcome:
    """What a round taught. Shapes are those of one world; a batch has a leading axis N on every field."""

    accuracy: Any
    """Data-weighted mean over all clients of the test accuracy of (client's part + server)."""
    worst_accuracy: Any
    """Test accuracy of the worst client."""
    balanced_accuracy: Any
    """Like accuracy, but of the mean over the classes of each class's accuracy."""
    loss: Any
    """Mean training loss over the clients that took part, weighted by their data; of the last round that trained."""
    client_loss: Floats
    """[C] as in RoundState."""
    client_accuracy: Floats
    """[C] test accuracy of each client's composed network."""
    cut_layer: Any
    """Cut layer the server stands at; 0 before the first round."""
    client_cut_layer: Ints
    """[C] as in RoundState."""
    trained: Any
    """False: nobody took part, or the loss was not finite, and no weight was trained."""
    finite: Any
    """False: loss or gradients were not finite; models are as they were (after the cut has moved, if it did)."""
    evaluated: Any
    """Whether accuracy was measured after this round (else it is the last measured one)."""
    evaluation_samples: Any
    """Test samples on which accuracy is measured."""
    prescribed_ratio: Any
    """phi that the framework prescribes for the next round; NaN: whoever decides may choose it."""


def with_axis(array: NDArray[Any], one: bool) -> NDArray[Any]:
    """The array of one world as that of a batch of one; that of a batch as it is."""
    return array[None] if one else array


def _arrays(value: RoundState | Decision) -> list[tuple[str, Any]]:
    return [(f.name, getattr(value, f.name)) for f in fields(value) if f.name != "system"]


def _check_shape(name: str, array: NDArray[Any], allowed: str, fits: bool) -> None:
    if not fits:
        raise ValueError(f"Decision.{name} has shape {array.shape}, allowed: {allowed}")
