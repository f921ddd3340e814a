"""Rules: which clients participate by one table, what they get by another; every pair of them."""

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any, Literal

import gymnasium as gym
import numpy as np

from splitgym.allocation.legalise import with_memory
from splitgym.allocation.pooled_batches import pooled_batch_sizes
from splitgym.allocation.selection.rules import SELECTIONS, Prospect, Selection
from splitgym.allocation.slack_clock import slack_clock
from splitgym.arrays import Bools
from splitgym.schedulers.allocations import ALLOCATIONS, Allocate, Allocation
from splitgym.schedulers.placing import Placing
from splitgym.schedulers.scheduler import Heuristic
from splitgym.types import Decision, RoundState


class Rule(Heuristic):
    """Selects clients by one rule, allocates cut layer, subchannels and powers by another, in every round.

    What is drawn comes from the generator of the environment's action space: `env.action_space.seed(seed)` makes it
    repeatable.

    Args:
        env: The environment.
        selection: Name in `SELECTIONS`, `module:NAME` of one's own, or a class of `Selection`.
        allocation: Name in `ALLOCATIONS`, `module:NAME` of one's own, or what is called as `Allocation` is.
        cut_layer: Held in every round, 1..L-1; None: as the allocation finds it.
        aggregation_ratio: phi of every round, unless the framework prescribes it; None: the scenario's.
        codec: Of every round and client, a name in the scenario's `plan.codecs`; None: the first one.
        precision: Likewise, as it stands in `plan.precisions`.
        batch_size: Samples of every client's mini-batch, where the scenario lets it be decided; "gpsl": those of each
            client are drawn from the pooled data in every round, see `splitgym.allocation.pooled_batch_sizes`, and
            clients without any do not participate; None: the scenario's.
        global_batch: Rows of a round with batch_size = "gpsl"; None: as many as all clients together have with the
            scenario's batch size.
        clock: "full"; or "slack": each client's as slow as the round of the allocation leaves it time, see
            `splitgym.allocation.slack_clock`.
        quorum: Of every step, 1..C, where the scenario lets it be decided; None: the scenario's.
        placement: Of every round, where the scenario lets it be decided: its index; "stays": that of the shortest first
            round for good; "best": that of the shortest round, relocation included; "threshold": another one only if
            the seconds saved in `placement_rounds` rounds exceed those of the relocation; None: the first one.
        placement_rounds: See above.
        parameters: Of the selection: the fields of its class.

    Raises:
        ValueError: a name, the cut layer or a parameter is not allowed, or the selection reads what comes from labels
            that are private; the message says what is.
    """

    def __init__(
        self,
        env: gym.Env[Any, Any],
        selection: str | type[Selection] = "everybody",
        allocation: str | Allocate = "descent",
        cut_layer: int | None = None,
        aggregation_ratio: float | None = None,
        codec: str | None = None,
        precision: int | str | None = None,
        batch_size: int | Literal["gpsl"] | None = None,
        global_batch: int | None = None,
        clock: Literal["full", "slack"] = "full",
        quorum: int | None = None,
        placement: int | Literal["stays", "best", "threshold"] | None = None,
        placement_rounds: int = 10,
        **parameters: Any,
    ) -> None:
        super().__init__(env)
        chosen = SELECTIONS.find(selection, "selection")
        if chosen.reads_labels and not self.env.system.labels_known:
            raise ValueError(
                f"selection = {selection!r} reads what comes from labels, which are private here, allowed: selections "
                "that do not, or knowledge.labels = 'reported'"
            )
        self._select = chosen(**parameters)
        clients = self.env.scenario.clients.count
        for name in ("k", "candidates"):
            if (getattr(self._select, name, None) or 0) > clients:
                raise ValueError(f"{name} = {parameters[name]!r} of {clients} clients, allowed: 1..{clients}")
        self._allocation = ALLOCATIONS.find(allocation, "allocation")
        if cut_layer is not None:
            if isinstance(cut_layer, bool) or cut_layer not in range(1, self.env.cut_layers + 1):
                raise ValueError(f"cut_layer = {cut_layer!r}, allowed: 1..{self.env.cut_layers}")
            if not isinstance(self._allocation, Allocation):
                raise ValueError(f"cut_layer = {cut_layer!r} with allocation = {allocation!r}, allowed: None")
            self._allocation = replace(self._allocation, cut_layer=int(cut_layer))
        if aggregation_ratio is not None and not (
            isinstance(aggregation_ratio, int | float) and 0 <= aggregation_ratio <= 1
        ):
            raise ValueError(f"aggregation_ratio = {aggregation_ratio!r}, allowed: 0..1")
        self._aggregation_ratio = aggregation_ratio
        self._codec = _choice("codec", codec, self.env.system.codecs)
        self._precision = _choice("precision", precision, self.env.system.precisions)
        self._batch_size, self._global_batch = self._batch_of(batch_size, global_batch)
        if clock not in ("full", "slack"):
            raise ValueError(f"clock = {clock!r}, allowed: 'full', 'slack'")
        self._slack = clock == "slack"
        asynchrony = self.env.system.asynchrony
        most = clients if asynchrony is not None and asynchrony.decides_quorum else 0
        if quorum is not None and (isinstance(quorum, bool) or quorum not in range(1, most + 1)):
            raise ValueError(f"quorum = {quorum!r}, allowed: {f'1..{most}' if most else 'None, as nobody decides it'}")
        self._quorum = 0 if quorum is None else int(quorum)
        self._placing = Placing(placement, placement_rounds, self.env.system.program.plans.placements)
        if cut_layer is not None and (placement is None or isinstance(placement, int)):
            self._check_room(cut_layer, placement or 0)

    @classmethod
    def options(cls, **chosen: Any) -> tuple[str, ...]:
        """Names of the options that may be given beside `env`; the chosen selection adds its parameters."""
        selection = SELECTIONS.find(chosen.get("selection", "everybody"), "selection")
        parameters = (field.name for field in fields(selection))
        of_all = ("aggregation_ratio", "codec", "precision", "batch_size", "global_batch", "clock", "quorum")
        return (
            *("selection", "allocation", "cut_layer", *parameters, *of_all),
            *("placement", "placement_rounds"),
        )

    @property
    def aggregation_ratio(self) -> float:
        """The chosen phi, or else the scenario's, at most the highest that the framework allows."""
        chosen = self._aggregation_ratio
        return super().aggregation_ratio if chosen is None else self.allowed_ratio(chosen)

    def decide(self, state: RoundState) -> Decision:
        """Selects, then allocates.

        Raises:
            ValueError: the state is of another scenario or framework than the environment.
        """
        self.expect_own_system(state)
        rng, known, pools = self.env.action_space.np_random, state, self._global_batch > 0
        state = self._holding(known, self._placing.before(known))
        apart = bool(state.system.program.plans.codecs_without_broadcast) or pools
        ratio = 0.0 if apart else state.ratio(self.aggregation_ratio)

        def allocate(state: RoundState, selected: Bools, aggregation_ratio: float) -> Decision:
            if not pools:
                return self._allocation(state, state.to_serve(selected), aggregation_ratio, rng)
            sizes = pooled_batch_sizes(state, selected, self._global_batch, rng)
            sized = replace(state, prescribed_batch_size=sizes)
            return replace(self._allocation(sized, sizes > 0, aggregation_ratio, rng), batch_size=sizes)

        selected = self._select(Prospect(state, ratio, allocate, rng))

        def under(placement: int) -> Decision:
            held = self._holding(known, placement)
            decision = with_memory(allocate(held, selected, ratio), held)
            # The state holds this codec, this precision, this placement and a common batch size alone.
            sizes = decision.batch_size if pools else self._batch_size
            decision = replace(decision, codec=self._codec, precision=self._precision, batch_size=sizes)
            decision = replace(decision, quorum=self._quorum, placement=placement)
            return slack_clock(known, decision) if self._slack else decision

        return self._placing.choose(known, under)

    def _check_room(self, cut_layer: int, placement: int) -> None:
        """Raises a ValueError if a node may not store what it would always have to."""
        memory, grid = self.env.system.memory, self.env.system.program.plans
        at = np.flatnonzero((grid.cut_layer == cut_layer) & (grid.placement == placement))
        if memory is not None and (room := memory.lacks_room(int(at[0]))):
            raise ValueError(f"cut_layer = {cut_layer} with placement = {placement}, allowed: others, as {room}")

    def _holding(self, state: RoundState, placement: int) -> RoundState:
        """The state in which codec, precision, placement and, unless it is pooled, the batch size are settled."""
        sizes = None if self._global_batch else self._batch_size
        return state.holding(self._codec, self._precision, sizes, placement)

    def _batch_of(self, batch_size: Any, global_batch: Any) -> tuple[int, int]:
        """The batch size of all clients, 0: the scenario's; and the rows of a round, 0: as many as clients have.

        Raises:
            ValueError: they are not allowed; the message says what is.
        """
        system, scenario = self.env.system, self.env.scenario
        grid = system.program.plans
        least, most = grid.smallest_batch, grid.largest_batch
        if batch_size == "gpsl":
            if not grid.batch_by_client or system.asynchrony is not None:
                raise ValueError(
                    "batch_size = 'gpsl' needs batch sizes of the clients' own and rounds, allowed: with "
                    "plan.batch_sizes, plan.batch_size = 'by-client' and a framework that is not asynchronous"
                )
            count = scenario.clients.count
            rows = scenario.training.batch_size * count // least * least if global_batch is None else global_batch
            if not _is_whole(rows) or rows % least or not least <= rows <= most * count:
                of = f", a multiple of {least}" if least > 1 else ""
                raise ValueError(f"global_batch = {rows!r}, allowed: {least}..{most * count}{of}")
            return 0, int(rows)
        if global_batch is not None:
            raise ValueError(f"global_batch = {global_batch!r}, allowed: None, or with batch_size = 'gpsl'")
        if batch_size is not None and not (_is_whole(batch_size) and least <= batch_size <= most and least > 0):
            allowed = f"{least}..{most}{', gpsl' * grid.batch_by_client}" if least else "None, as nobody decides it"
            raise ValueError(f"batch_size = {batch_size!r}, allowed: {allowed}")
        return int(batch_size or 0), 0


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _choice(name: str, asked: Any, choices: Sequence[Any]) -> int:
    """Index of what is asked for; of the first if that is None.

    Raises:
        ValueError: it is not there.
    """
    if asked is not None and (asked not in choices or isinstance(asked, bool)):
        raise ValueError(f"{name} = {asked!r}, allowed: {', '.join(map(str, choices))}")
    return 0 if asked is None else choices.index(asked)
