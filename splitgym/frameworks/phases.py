"""A round as a short program of phases, from which time, energy, traffic and the timeline are computed.

A framework says once what is computed and sent in a round; nothing else in the package repeats it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property
from math import ceil
from typing import Any, NamedTuple

import numpy as np

from splitgym.arrays import Floats, Ints
from splitgym.frameworks.plans import PlanGrid
from splitgym.models import Profile
from splitgym.scenario import Cloud, Scenario


class Resource(IntEnum):
    """Who is busy in a phase. Per client: CLIENT, UPLINK, UNICAST. Common to all (they wait for it): the others."""

    CLIENT = 0
    """The client's processor; work in cycles."""
    UPLINK = 1
    """The client's own subchannels towards the server; work in bits."""
    UNICAST = 2
    """The client's own subchannels from the server; work in bits."""
    SERVER = 3
    """The server's processor; work in cycles."""
    BROADCAST = 4
    """The whole band, at the rate of the worst client that takes part; work in bits."""
    CLOUD = 5
    """The cloud's processor; work in cycles."""
    BACKHAUL = 6
    """The link between server and cloud, in one direction; work in bits."""


class Access(IntEnum):
    """Who works at the same time in a round."""

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
    resource: Resource
    """Who is busy."""
    work: Floats | float = 0.0
    """Cycles or bits; for a per-client phase, of each client."""
    per_participant: Floats | float = 0.0
    """Cycles or bits that a common phase needs more for each client."""


@dataclass(frozen=True)
class Workload:
    """What a sample costs at each cut layer j = 1..L-1, and the other factors of a plan, each along its own axis.

    Arrays are [L - 1, 1, 1] but `aggregated_rows`, [1, R, 1], and `second_cut`, [1, 1, S]. Cycles are FLOPs times kappa
    (cycles/FLOP) of the party; bits are of smashed data, of its gradient, or of weights and running statistics.
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
    server_cycles_per_flop: float
    """kappa_s, cycles/FLOP."""
    cloud: Cloud
    """Of the scenario."""

    def at(self, values: Floats, cuts: Ints) -> Floats:
        """What a quantity by cut layer is at other layers than the cut, 1..L-1; of the shape of these."""
        return values[cuts - 1, 0, 0]

    @classmethod
    def of(cls, profile: Profile, scenario: Scenario, plans: PlanGrid, second_cut: int | None = None) -> "Workload":
        """The workload of a profiled network in a scenario.

        Args:
            profile: Of the network.
            scenario: Speeds and training settings.
            plans: All plans.
            second_cut: Where nobody decides it; None: there is none.
        """
        units, training = len(profile), scenario.training
        cuts = np.arange(1, units)[:, None, None]
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
            aggregated_rows=np.arange(plans.row_counts, dtype=np.float64)[None, :, None],
            second_cut=second_cuts[None, None, :],
            server_cycles_per_flop=kappa_s,
            cloud=scenario.cloud,
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
    access: Access = Access.PARALLEL
    server_by_client: bool = True
    """Whether the server can work for one client before the rows of another are there."""

    @classmethod
    def compile(
        cls,
        phases: Sequence[Phase],
        workload: Workload,
        access: Access = Access.PARALLEL,
        server_by_client: bool = True,
    ) -> "Program":
        """Tabulates phases over all plans."""
        plans = workload.plans

        def table(amounts: list[Floats | float]) -> Floats:
            whole = [np.broadcast_to(np.asarray(amount, np.float64), plans.shape) for amount in amounts]
            return np.stack([amount.ravel() for amount in whole], axis=-1)

        return cls(
            stages=tuple(phase.stage for phase in phases),
            resource=np.array([phase.resource for phase in phases], np.int64),
            work=table([phase.work for phase in phases]),
            per_participant=table([phase.per_participant for phase in phases]),
            plans=plans,
            access=access,
            server_by_client=server_by_client,
        )

    @cached_property
    def uses_own_subchannels(self) -> bool:
        """Whether a client needs a subchannel of its own to take part."""
        return bool(np.isin(self.resource, (Resource.UPLINK, Resource.UNICAST)).any())


def aggregated_rows(aggregation_ratio: float | Floats, batch_size: int) -> Any:
    """Rows of a mini-batch whose last-layer gradients are averaged over clients, m = ceil(phi b).

    The product is rounded to nine decimals first, so that phi = 0.28 of 25 rows is 7 and not 8.
    """
    if type(aggregation_ratio) is float and 0.0 <= aggregation_ratio <= 1.0:
        return ceil(round(aggregation_ratio * batch_size * 1e9) / 1e9)  # As below, in a tenth of the time.
    return np.ceil(np.rint(np.asarray(aggregation_ratio, np.float64) * batch_size * 1e9) / 1e9).astype(np.int64)
