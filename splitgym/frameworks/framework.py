"""What every framework offers, and the frameworks by name."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from splitgym.frameworks.phases import Access, Phase, Workload
from splitgym.frameworks.segments import (
    FED_SERVER,
    SPLIT,
    Bound,
    Segments,
    Weights,
    averaged_later,
    has_bound,
    has_tail,
)
from splitgym.parts import Parts, suggest
from splitgym.scenario import Scenario, ScenarioError, Training
from splitgym.scenario.levels import Level
from splitgym.scenario.nodes import CLIENT, SERVER

if TYPE_CHECKING:
    from splitgym.frameworks.nodes import Nodes
    from splitgym.frameworks.round_batch import RoundBatch

NAMES = (
    "centralised",
    "fl",
    "sl",
    "sfl-v1",
    "sfl-v2",
    "psl",
    "epsl",
    "psl-drop",
    "epsl-pt",
    "cpsl",
    "hierarchical",
    "multi-hop",
    "u-shaped",
    "async-psl",
    "async-sfl",
)


def _one_step(training: Training) -> int:
    return 1


def _everything(batch_size: int) -> float:
    return 1.0


def _whole_batch(workload: Workload) -> Any:
    return workload.batch_size


@dataclass(frozen=True)
class TrainedBy:
    """A function that trains a round, imported when it is first called: what is not trained needs no torch."""

    function: str
    """As `module:NAME`."""

    def __call__(self, nodes: "Nodes", round_batch: "RoundBatch") -> bool:
        """Trains one round."""
        module, _, name = self.function.partition(":")
        finite: bool = getattr(import_module(module), name)(nodes, round_batch)
        return finite


@dataclass(frozen=True)
class Framework:
    """A learning framework: the phases that its round is made of, and the round itself."""

    name: str
    phases: Callable[[Workload], tuple[Phase, ...]]
    """What is computed and sent when, for all cut layers at once; with slots, in each slot."""
    train: "Callable[[Nodes, RoundBatch], bool]"
    """Trains one round; False: something was not finite and no weight was changed."""
    aggregates: bool = False
    """Whether a scheduler may choose the aggregation ratio phi; if not, it must be 0 or what is prescribed."""
    segments: Segments = SPLIT
    """Which node trains which units of the network."""
    cuts_by_client: bool = False
    """Whether clients may have different cut layers, with phi = 0."""
    batches_by_client: bool = False
    """Whether clients may have different batch sizes, with phi = 0; see `RoundBatch.sizes`."""
    placed: bool = False
    """Whether units behind the cut lie where the scenario's placements say, and micro-batches may follow each other;
    segments then say the edge server for all of them."""
    joint_batch: bool = False
    """Whether the server takes the rows of all clients (of a slot) in one batch."""
    labels_stay: bool = False
    """Whether labels stay at the clients: what comes from them is unknown, unless `knowledge.labels` says otherwise."""
    asynchronous: bool = False
    """Whether a round is one update of the server, and mini-batches that it does not take up stay in flight."""
    learns_as: str | None = None
    """A framework whose training gives the same weights; absent: there is none that a calibration may stand for."""
    access: Access = Access.PARALLEL
    """Which clients work at the same time."""
    steps: Callable[[Training], int] = _one_step
    """Mini-batches of each client in a round."""
    highest_ratio: Callable[[int], float] = _everything
    """The largest phi that may be chosen, by batch size; no larger for a smaller one."""
    rows: Callable[[Workload], Any] = _whole_batch
    """Rows of a mini-batch that clients train on at once, as work of a `Phase` is given."""
    prescribe: Callable[[Sequence[float], Training], float] | None = None
    """phi of the next round, from the training losses of the rounds so far; absent: the scheduler's choice."""

    def __post_init__(self) -> None:
        if self.has_tail and self.segments[-1].weights is not Weights.OWN:
            raise ScenarioError(
                f"framework {self.name!r}: weights = {self.segments[-1].weights.name} of last units at the clients, "
                "allowed: OWN"
            )
        nodes = (FED_SERVER, SERVER, *(segment.node for segment in self.segments))
        for segment in self.segments:
            if segment.averaged_at not in nodes:
                raise ScenarioError(
                    f"framework {self.name!r}: averaged_at = {segment.averaged_at!r} of a segment, "
                    f"{suggest(segment.averaged_at, nodes)}"
                )

    def allowed_ratio(self, batch_size: int) -> float:
        """The largest phi that may be chosen; 0: it does not aggregate."""
        return self.highest_ratio(batch_size) if self.aggregates else 0.0

    @property
    def cuts(self) -> bool:
        """Whether the network is cut between clients and server."""
        return has_bound(self.segments, Bound.CUT)

    @property
    def cuts_twice(self) -> bool:
        """Whether there is a second cut."""
        return has_bound(self.segments, Bound.SECOND_CUT)

    @property
    def has_tail(self) -> bool:
        """Whether clients train the last units, too."""
        return has_tail(self.segments)

    @property
    def averages_gradients(self) -> bool:
        """Whether phi is the fraction of the rows whose gradients are averaged, and not of those left out."""
        return (self.aggregates or self.prescribe is not None) and self.rows is _whole_batch

    @property
    def has_fed_server(self) -> bool:
        """Whether clients' parts are averaged by a server of its own, apart from the edge server."""
        return any(segment.averaged_at == FED_SERVER for segment in self.segments)

    def check_micro_batches(self, scenario: Scenario, has_batch_norm: bool) -> None:
        """Raises a ScenarioError if mini-batches cannot go through clients and servers in as many parts as asked.

        Args:
            scenario: Says how many.
            has_batch_norm: Whether the network has batch norm, which may need two rows.
        """
        asked = scenario.training.micro_batches
        if asked == 1:
            return
        if not self.placed:
            raise ScenarioError(
                f"training.micro_batches = {asked} with framework {self.name!r}, allowed: 1, or framework 'multi-hop'"
            )
        if scenario.radio.sharing == "on-demand":
            raise ScenarioError(
                f"training.micro_batches = {asked} with radio.sharing = 'on-demand', allowed: 1, or 'static'"
            )
        rows = min(scenario.plan.batch_sizes, default=scenario.training.batch_size)
        if asked > rows:
            raise ScenarioError(
                f"training.micro_batches = {asked}, allowed: up to {rows}, the samples of the smallest mini-batch"
            )
        if has_batch_norm and 2 * asked > rows:
            raise ScenarioError(
                f"training.micro_batches = {asked} with mini-batches of {rows} samples and batch norm, allowed: up to "
                f"{max(rows // 2, 1)}, so that each has two samples"
            )

    def decides_averaging(self, scenario: Scenario) -> bool:
        """Whether decisions say which rounds end with the mean of clients' parts."""
        return self.has_fed_server and scenario.plan.averaging == "decided"

    def averages_later(self, scenario: Scenario) -> bool:
        """Whether rounds may end without the mean of clients' parts, which are their own until then."""
        return self.decides_averaging(scenario) or (self.has_fed_server and scenario.fed_server.interval_rounds > 1)

    def segments_between_means(self, scenario: Scenario) -> Segments:
        """Which node trains which units of a network, and whose they are in rounds that do not end with a mean."""
        return averaged_later(self.segments) if self.averages_later(scenario) else self.segments

    def knows_labels(self, scenario: Scenario) -> bool:
        """Whether the scheduler knows what comes from labels."""
        said = scenario.knowledge.labels
        return not self.labels_stay if said is None else said == "reported"

    def levels(self, scenario: Scenario) -> tuple[Level, ...]:
        """With how many bits, in how many of the channels, clients may compute; nobody trains on them: full.

        Raises:
            ScenarioError: a client would leave channels out of a model that it shares, or of a tail.
        """
        first, found = self.segments[0], scenario.plan.levels
        if first.node != CLIENT:
            return (Level(),)
        own = first.weights is Weights.OWN and not self.has_tail
        if not own and any(level.width < 1.0 for level in found):
            raise ScenarioError(
                f"plan.precisions = {list(scenario.plan.precisions)} with framework {self.name!r}, allowed: bits "
                "alone, as only clients with first units of their own, and no others, may leave channels out"
            )
        return found

    def second_cut(self, scenario: Scenario, units: int) -> int | None:
        """Last unit in front of the second cut where nobody decides it, of a network of so many; None: there is none.

        Raises:
            ScenarioError: the scenario leaves nothing to somebody.
        """
        if not self.cuts_twice:
            return None
        return scenario.clients.second_cut(units) if self.has_tail else scenario.cloud.second_cut(units)


FRAMEWORKS: Parts[Framework] = Parts(
    "Framework",
    lambda part: isinstance(part, Framework),
    {name: f"splitgym.frameworks.{name.replace('-', '_')}:FRAMEWORK" for name in NAMES},
    ScenarioError,
)
"""All frameworks; what is asked for is imported."""


def names() -> tuple[str, ...]:
    """Names of the frameworks that come with the package."""
    return NAMES


def get(name: str | Framework) -> Framework:
    """The framework of that name; one's own by `module:NAME`, which any process can import, or itself.

    Raises:
        ScenarioError: there is none (the message suggests the nearest), or one's own has the name of another.
    """
    framework = FRAMEWORKS.find(name, "framework")
    if framework.name in NAMES and framework is not FRAMEWORKS[framework.name]:
        raise ScenarioError(
            f"framework = {name!r}: its name {framework.name!r} is that of a framework of the package, allowed: another"
        )
    return framework
