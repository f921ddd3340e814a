"""A round as a short program of phases, from which time, energy, traffic and the timeline are computed.

A framework says once what is computed and sent in a round; nothing else in the package repeats it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from functools import cached_property
from math import ceil
from typing import Any, NamedTuple

import numpy as np

from splitgym.arrays import Floats, Ints
from splitgym.frameworks.payloads import Payloads
from splitgym.frameworks.plans import PlanGrid
from splitgym.frameworks.resources import Barrier, Resource, Resources, check_nodes
from splitgym.frameworks.segments import SPLIT, Segments, around_second_cut
from splitgym.kernels import INLINED, kernel
from splitgym.models import Profile
from splitgym.scenario import Scenario, ScenarioError
from splitgym.scenario.nodes import CLIENT, SERVER

MIGRATION_ROWS = 2
"""A timeline begins with two rows for parts of the network that move: down to the clients, up to the server."""


class Access(IntEnum):
    """Which clients work at the same time in a round."""

    PARALLEL = 0
    """All clients side by side."""
    CLUSTERED = 1
    """One cluster of the decision after the other, its members side by side."""
    SEQUENTIAL = 2
    """One client after the other, in the order of their indices."""

    def slot_of_clients(self, cluster: Ints) -> Ints:
        """Slot of each client (lower: earlier), from a decision's clusters; both of shape [..., C]."""
        if self is Access.CLUSTERED:
            return cluster
        slots = np.zeros(cluster.shape, np.int64)
        return slots + np.arange(cluster.shape[-1]) if self is Access.SEQUENTIAL else slots


class Phase(NamedTuple):
    """One phase of a round; its work is `work + per_participant * n` for n clients that take part.

    Work is given for all plans at once: arrays that broadcast to `PlanGrid.shape`. Where clients have plans of their
    own, a common phase has the largest of their `work` to do, and the sum of their `per_participant`.
    """

    stage: str
    """Name under which the phase is reported."""
    resource: Resource | str
    """What is busy: of the cell, or by the name of a row of the scenario's nodes and links."""
    work: Floats | float = 0.0
    """Cycles or bits; for a per-client phase, of each client."""
    per_participant: Floats | float = 0.0
    """Cycles or bits that a common phase needs more for each client."""
    barrier: Barrier | None = None
    """What a common phase waits for; None: at the edge server for each client's own rows, unless it takes the rows of
    all in one batch; elsewhere for all."""


@dataclass(frozen=True)
class Workload:
    """What a sample costs at each cut layer j = 1..L-1, and the other factors of a plan, each along its own axis.

    Arrays are [L - 1, 1, 1, 1] but `aggregated_rows`, [1, R, 1, 1], and `second_cut`, [1, 1, S, 1]. Cycles are FLOPs
    times kappa (cycles/FLOP) of the node; bits are of smashed data, of its gradient, or of weights and running
    statistics.
    """

    plans: PlanGrid
    """All plans."""
    batch_size: Floats | int
    """b, samples of a client's mini-batch."""
    local_steps: int
    """Mini-batches that a client trains on by itself before models are averaged, where a framework does that."""
    client_forward: Floats
    client_backward: Floats
    server_forward: Floats
    server_backward: Floats
    """Without the last layer."""
    last_layer_backward: float
    smashed_bits: Floats
    """As they are, without a codec."""
    cut_gradient_bits: Floats
    client_model_bits: Floats
    """Bits of the client's part of the network."""
    network_bits: float
    """Bits of the whole network."""
    client_network_forward: float
    """The whole network on a client."""
    client_network_backward: float
    server_network_forward: float
    """The whole network on the server."""
    server_network_backward: float
    cut_layer: Ints
    """j = 1..L-1."""
    aggregated_rows: Floats
    """m = 0..b, or 0 alone."""
    second_cut: Ints
    """Last unit in front of the cloud's: all that may be decided, or that of the scenario; L: there is no cloud."""
    resources: Resources
    """Of the scenario."""
    payloads: Payloads | None = None
    """What codecs make of what goes over the cut; None: it goes as it is."""

    def uplink_bits(self, rows: Any) -> Any:
        """Bits of a client's smashed data of so many rows, a number or [1, R, 1, 1], as they are sent."""
        return rows * self.smashed_bits if self.payloads is None else self.payloads.cost("uplink_bits", rows)

    def downlink_bits(self, rows: Any) -> Any:
        """Likewise of the gradients at the cut."""
        return rows * self.cut_gradient_bits if self.payloads is None else self.payloads.cost("downlink_bits", rows)

    def encode(self, rows: Any) -> Any:
        """Cycles in which a client encodes its smashed data."""
        return self._coding(CLIENT, "encode_flops", rows)

    def decode(self, rows: Any) -> Any:
        """Cycles in which the server decodes those of one client."""
        return self._coding(SERVER, "decode_flops", rows)

    def encode_gradient(self, rows: Any) -> Any:
        """Cycles in which the server encodes the gradients at the cut."""
        return self._coding(SERVER, "encode_gradient_flops", rows)

    def decode_gradient(self, rows: Any) -> Any:
        """Cycles in which a client decodes them."""
        return self._coding(CLIENT, "decode_gradient_flops", rows)

    def _coding(self, node: str, flops: str, rows: Any) -> Any:
        if self.payloads is None:
            return 0.0
        return self.resources.cycles_per_flop[node] * self.payloads.cost(flops, rows)

    def relative_cycles(self, node: str) -> float:
        """Cycles that a node needs for each of the edge server's."""
        kappa = self.resources.cycles_per_flop
        return kappa[node] / kappa[SERVER]

    def at(self, values: Floats, cuts: Ints) -> Floats:
        """What a quantity by cut layer is at other layers than the cut, 1..L-1; of the shape of these."""
        return values[cuts - 1, 0, 0, 0]

    @classmethod
    def of(
        cls,
        profile: Profile,
        scenario: Scenario,
        plans: PlanGrid,
        second_cut: int | None = None,
        payloads: Payloads | None = None,
    ) -> "Workload":
        """The workload of a profiled network in a scenario.

        Args:
            profile: Of the network.
            scenario: Speeds and training settings.
            plans: All plans.
            second_cut: Where nobody decides it; None: there is none.
            payloads: Of the scenario's codecs; None: it has none.
        """
        units, training = len(profile), scenario.training
        cuts = np.arange(1, units)[:, None, None, None]
        second_cuts = (
            np.arange(1, units) if plans.second_cuts > 1 else np.array([units if second_cut is None else second_cut])
        )
        kappa_c, kappa_s = scenario.clients.cycles_per_flop, scenario.server.cycles_per_flop
        return cls(
            plans=plans,
            batch_size=training.batch_size,
            local_steps=training.local_steps,
            client_forward=kappa_c * profile.client_forward(cuts),
            client_backward=kappa_c * profile.client_backward(cuts),
            server_forward=kappa_s * profile.server_forward(cuts),
            server_backward=kappa_s * profile.server_backward(cuts),
            last_layer_backward=kappa_s * float(profile.last_layer_backward),
            smashed_bits=profile.smashed_bits(cuts),
            cut_gradient_bits=profile.smashed_bits(cuts),
            client_model_bits=profile.prefix_bits(cuts),
            network_bits=float(profile.prefix_bits(units)),
            client_network_forward=kappa_c * float(profile.client_forward(units)),
            client_network_backward=kappa_c * float(profile.client_backward(units)),
            server_network_forward=kappa_s * float(profile.client_forward(units)),
            server_network_backward=kappa_s * float(profile.client_backward(units)),
            cut_layer=cuts,
            aggregated_rows=np.arange(plans.row_counts, dtype=np.float64)[None, :, None, None],
            second_cut=second_cuts[None, None, :, None],
            resources=Resources.of(scenario),
            payloads=payloads,
        )


@dataclass(frozen=True)
class Program:
    """Phases as tables: P phases under each of G plans.

    With slots, every slot goes through all phases, with the clients of that slot. `work` and `per_participant` have
    shape [G, P]: cycles or bits under a plan stand at its index.
    """

    stages: tuple[str, ...]
    resource: Ints
    work: Floats
    per_participant: Floats
    plans: PlanGrid
    resources: Resources
    """What the entries of `resource` mean."""
    barrier: Ints
    """[P] what each phase waits for, a `Barrier`; of phases that each client has by itself it does not matter."""
    access: Access = Access.PARALLEL
    moving_link: int = -1
    """Over which resource units move when the second cut does; -1: there is none."""

    @classmethod
    def compile(
        cls,
        phases: Sequence[Phase],
        workload: Workload,
        access: Access = Access.PARALLEL,
        rows_together: bool = False,
        segments: Segments = SPLIT,
    ) -> "Program":
        """Tabulates phases over all plans.

        Args:
            phases: Of a framework.
            workload: Of network and scenario.
            access: Of the framework.
            rows_together: Whether the edge server takes the rows of all clients in one batch.
            segments: Of the framework.

        Raises:
            ScenarioError: a phase or a segment names what the scenario does not have, or a phase waits for nobody where
                that is not possible.
        """
        plans, resources = workload.plans, workload.resources
        check_nodes([segment.node for segment in segments], resources)
        rows = [resources.index(phase.resource) for phase in phases]

        def table(amounts: list[Floats | float]) -> Floats:
            whole = [np.broadcast_to(np.asarray(amount, np.float64), plans.shape) for amount in amounts]
            return np.stack([amount.ravel() for amount in whole], axis=-1)

        return cls(
            stages=tuple(phase.stage for phase in phases),
            resource=np.array(rows, np.int64),
            work=table([phase.work for phase in phases]),
            per_participant=table([phase.per_participant for phase in phases]),
            plans=plans,
            resources=resources,
            barrier=np.array([_barrier(*each, rows_together) for each in zip(phases, rows, strict=True)], np.int64),
            access=access,
            moving_link=resources.link_between(*around_second_cut(segments)),
        )

    def with_codec(self, codec: int) -> "Program":
        """The program in which everything is sent with this codec, an index of the scenario's list."""
        plans = replace(
            self.plans,
            codecs=1,
            codec_by_client=False,
            codecs_without_broadcast=(0,) if codec in self.plans.codecs_without_broadcast else (),
        )
        chosen = self.plans.codec == codec
        return replace(self, plans=plans, work=self.work[chosen], per_participant=self.per_participant[chosen])

    @cached_property
    def uses_own_subchannels(self) -> bool:
        """Whether a client needs a subchannel of its own to take part."""
        return bool(np.isin(self.resource, (Resource.UPLINK, Resource.UNICAST)).any())


def _barrier(phase: Phase, resource: int, rows_together: bool) -> Barrier:
    """What a phase waits for; `resource`: its row."""
    if resource != Resource.SERVER:
        if phase.barrier is Barrier.NONE:
            raise ScenarioError(f"phase {phase.stage!r}: barrier = NONE, allowed: NONE at the edge server only")
        return Barrier.ALL
    if phase.barrier is not None:
        return phase.barrier
    return Barrier.ALL if rows_together else Barrier.NONE


def aggregated_rows(aggregation_ratio: float | Floats, batch_size: int) -> Any:
    """Rows of a mini-batch whose last-layer gradients are averaged over clients, m = ceil(phi b).

    The product is rounded to nine decimals first, so that phi = 0.28 of 25 rows is 7 and not 8.
    """
    if type(aggregation_ratio) is float and 0.0 <= aggregation_ratio <= 1.0:
        return ceil(round(aggregation_ratio * batch_size * 1e9) / 1e9)  # As below, in a tenth of the time.
    return _rows(np.asarray(aggregation_ratio, np.float64), batch_size).astype(np.int64)


def _rows(aggregation_ratio: Any, batch_size: int) -> Any:
    return np.ceil(np.rint(aggregation_ratio * batch_size * 1e9) / 1e9)


rows_of_ratio = kernel(INLINED)(_rows)
"""`aggregated_rows` for kernels: of a number, as a float."""
