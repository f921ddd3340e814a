"""A round as a short program of phases, from which time, energy, traffic and the timeline are computed.

A framework says once what is computed and sent in a round; nothing else in the package repeats it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np

from splitgym.arrays import Floats, Ints
from splitgym.frameworks.exchange import IN_EVERY_ROUND, Exchange
from splitgym.frameworks.payloads import Payloads, model_bits
from splitgym.frameworks.placed import Placed
from splitgym.frameworks.plans import PlanGrid
from splitgym.frameworks.resources import Barrier, Resource, Resources
from splitgym.models import Profile
from splitgym.scenario import Scenario
from splitgym.scenario.nodes import CLIENT, SERVER
from splitgym.scenario.quantities import FULL_BITS


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
    resource: Resource | str | tuple[Resource | str, ...]
    """What is busy: of the cell, or by the name of a row of the scenario's nodes and links; or [K] under each
    placement."""
    work: Floats | float = 0.0
    """Cycles or bits; for a per-client phase, of each client."""
    per_participant: Floats | float = 0.0
    """Cycles or bits that a common phase needs more for each client."""
    barrier: Barrier | None = None
    """What a common phase waits for; None: at the edge server for each client's own rows, unless it takes the rows of
    all in one batch; elsewhere for all."""
    of_pass: int = 0
    """A number above 0: the phase is a stage of this pass, which each micro-batch goes through; below 0: here those
    that follow the first one go through the pass of that number; 0: neither."""


class Precision(NamedTuple):
    """The numbers with which clients may compute, and the channels in which they do."""

    bits: Ints
    """[Q] of a number."""
    cycles: Floats
    """[Q] for a FLOP over those with full precision."""
    profiles: Sequence[Profile]
    """[Q] of the network with these channels."""
    tensors: Ints
    """[L + 1] tensors of the models of the first units."""

    @classmethod
    def of(cls, scenario: Scenario, profiles: Sequence[Profile], tensors: Sequence[int]) -> "Precision":
        """The first of a scenario, with their profiles.

        Args:
            scenario: Of the cell.
            profiles: [Q].
            tensors: [L] of each unit's model, which count with low precision only.
        """
        bits = [level.bits for level in scenario.plan.levels[: len(profiles)]]
        cycles = [scenario.clients.cycles_factor(each) for each in bits]
        return cls(np.array(bits), np.array(cycles), profiles, np.cumsum([0, *tensors]))

    def client_forward(self, cut_layer: Any) -> Floats:
        """[..., Q] FLOPs of a client's forward pass."""
        return by_level([profile.client_forward(cut_layer) for profile in self.profiles])

    def client_backward(self, cut_layer: Any, recompute: bool) -> Floats:
        """[..., Q] FLOPs of a client's backward pass; with recomputation it runs the forward pass once more."""
        again = self.client_forward(cut_layer) if recompute else 0.0
        return by_level([profile.client_backward(cut_layer) for profile in self.profiles]) + again

    def model_bits(self, profile: Profile, cut_layer: Any) -> Floats:
        """[..., Q] bits of the first units."""
        bits: Floats = model_bits(profile.prefix_bits(cut_layer) / FULL_BITS, self.tensors[cut_layer], self.bits)
        return bits

    def moved_bits(self, profile: Profile) -> Floats:
        """[Q, L] bits of units 1..j at index j (0 at index 0), each packed by itself, as units that move are."""
        units = model_bits(profile.model_bits / FULL_BITS, np.diff(self.tensors), self.bits[:, None])
        return np.cumsum(np.insert(units[:, :-1], 0, 0.0, axis=1), axis=1)


@dataclass(frozen=True)
class Workload:
    """What a sample costs at each of J cut layers, and the other factors of a plan, each along its own axis.

    Arrays are [J, 1, 1, 1, 1] but `aggregated_rows`, [1, R, 1, 1, 1], `second_cut`, [1, 1, S, 1, 1], and what
    depends on the precision of clients, which has the last axis Q. Batch sizes that are decided are in front of all
    others, [B, 1, 1, 1, 1, 1]. Cycles are FLOPs times kappa (cycles/FLOP) of the
    node; bits are of smashed data, of its gradient, or of weights and running statistics.
    """

    plans: PlanGrid
    """All plans."""
    batch_size: Floats | int
    """b, samples of a client's mini-batch; one number where nobody decides it."""
    local_steps: int
    """Mini-batches that a client trains on by itself before models are averaged, where a framework does that."""
    client_forward: Floats
    """[L - 1, 1, 1, 1, Q], like the next."""
    client_backward: Floats
    server_forward: Floats
    server_backward: Floats
    """Without the last layer."""
    last_layer_backward: float
    smashed_bits: Floats
    """As they are, without a codec."""
    cut_gradient_bits: Floats
    client_model_bits: Floats
    """[L - 1, 1, 1, 1, Q] bits of the client's part of the network, as it computes with it."""
    network_bits: Floats
    """[Q] bits of the whole network, likewise."""
    client_network_forward: Floats
    """[Q] the whole network on a client."""
    client_network_backward: Floats
    server_network_forward: float
    """The whole network on the server."""
    server_network_backward: float
    cut_layer: Ints
    """j = 1..J."""
    aggregated_rows: Floats
    """m = 0..b, or 0 alone."""
    second_cut: Ints
    """Last unit in front of the second cut: all that may be decided, or that of the scenario; L: there is none."""
    resources: Resources
    """Of the scenario."""
    profile: Profile
    """Of the network."""
    precision: Precision
    """What clients may compute with."""
    recompute: bool
    """Whether clients run the forward pass once more in the backward pass."""
    payloads: Payloads | None = None
    """What codecs make of what goes over the cut; None: it goes as it is."""
    exchange: Exchange = IN_EVERY_ROUND
    """Which models go between clients and those who average them."""
    placed: Placed | None = None
    """Placements to choose from, with a framework that has them; their bounds are in front of all other factors."""
    micro_batches: int = 1
    """xi, into which all rows of a round are split."""

    def uplink_bits(self, rows: Any) -> Any:
        """Bits of a client's smashed data of so many rows, a number or [1, R, 1, 1, 1], as they are sent."""
        return rows * self.smashed_bits if self.payloads is None else self._cost("uplink_bits", rows)

    def downlink_bits(self, rows: Any) -> Any:
        """Likewise of the gradients at the cut."""
        return rows * self.cut_gradient_bits if self.payloads is None else self._cost("downlink_bits", rows)

    def encode(self, rows: Any, node: str = CLIENT) -> Any:
        """Cycles in which a client encodes its smashed data; behind a server's units that does it for each client."""
        return self._coding(node, "encode_flops", rows)

    def decode(self, rows: Any, node: str = SERVER) -> Any:
        """Cycles in which the server decodes those of one client."""
        return self._coding(node, "decode_flops", rows)

    def encode_gradient(self, rows: Any, node: str = SERVER) -> Any:
        """Cycles in which the server encodes the gradients at the cut."""
        return self._coding(node, "encode_gradient_flops", rows)

    def decode_gradient(self, rows: Any, node: str = CLIENT) -> Any:
        """Cycles in which a client decodes them."""
        return self._coding(node, "decode_gradient_flops", rows)

    def _coding(self, node: str, flops: str, rows: Any) -> Any:
        return 0.0 if self.payloads is None else self.resources.cycles_per_flop[node] * self._cost(flops, rows)

    def _cost(self, name: str, rows: Any) -> Floats:
        assert self.payloads is not None
        if self.micro_batches == 1:
            return self.payloads.cost(name, rows, self.cut_layer)
        # Each micro-batch is encoded by itself; the first ones have a row more where they cannot all be equal.
        fewer, more = np.divmod(rows, self.micro_batches)
        small, large = (self.payloads.cost(name, each, self.cut_layer) for each in (fewer, fewer + 1))
        cost: Floats = (self.micro_batches - more) * small + more * large
        return cost

    def relative_cycles(self, node: str) -> float:
        """Cycles that a node needs for each of the edge server's."""
        kappa = self.resources.cycles_per_flop
        return kappa[node] / kappa[SERVER]

    def cut_at(self, cuts: Ints) -> "Workload":
        """The workload where the network is cut at other layers, 1..L-1; its arrays have the shape of these."""
        return replace(
            self, cut_layer=cuts, **_by_cut(self.profile, cuts, self.resources, self.precision, self.recompute)
        )

    @classmethod
    def of(
        cls,
        profile: Profile,
        scenario: Scenario,
        plans: PlanGrid,
        second_cut: int | None = None,
        payloads: Payloads | None = None,
        client_profiles: Sequence[Profile] = (),
        fed_server: bool = False,
        placed: Placed | None = None,
    ) -> "Workload":
        """The workload of a profiled network in a scenario.

        Args:
            profile: Of the network.
            scenario: Speeds and training settings.
            plans: All plans.
            second_cut: Where nobody decides it; None: there is none.
            payloads: Of the scenario's codecs; None: it has none.
            client_profiles: [Q] of the network with the channels that clients may keep; none: they keep all.
            fed_server: Whether the scenario's fed server averages.
            placed: Placements, with a framework that has them.
        """
        units, training = len(profile), scenario.training
        cuts = np.arange(1, plans.cut_layers + 1)[:, None, None, None, None]
        profiles = client_profiles or [profile] * plans.precisions
        precision = Precision.of(scenario, profiles, payloads.tensors if payloads else [0] * units)
        second_cuts = (
            plans.second_values if plans.second_cuts > 1 else np.array([units if second_cut is None else second_cut])
        )
        kappa_c, kappa_s = scenario.clients.cycles_per_flop, scenario.server.cycles_per_flop
        resources, recompute = Resources.of(scenario), scenario.clients.recompute
        backward = precision.client_backward(units, recompute)
        exchange = IN_EVERY_ROUND
        if fed_server:
            exchange = (Exchange.in_all_ways if plans.ways > 1 else Exchange.of)(scenario, resources)
        return cls(
            plans=plans,
            batch_size=_batch_sizes(plans) if plans.smallest_batch else training.batch_size,
            local_steps=training.local_steps,
            last_layer_backward=kappa_s * float(profile.last_layer_backward),
            network_bits=precision.model_bits(profile, units),
            client_network_forward=kappa_c * precision.client_forward(units) * precision.cycles,
            client_network_backward=kappa_c * backward * precision.cycles,
            server_network_forward=kappa_s * float(profile.client_forward(units)),
            server_network_backward=kappa_s * float(profile.client_backward(units)),
            cut_layer=cuts,
            aggregated_rows=np.arange(plans.row_counts, dtype=np.float64)[None, :, None, None, None],
            second_cut=second_cuts[None, None, :, None, None],
            resources=resources,
            profile=profile,
            payloads=payloads,
            exchange=exchange,
            precision=precision,
            recompute=recompute,
            placed=placed,
            micro_batches=training.micro_batches,
            **_by_cut(profile, cuts, resources, precision, recompute),
        )


def _batch_sizes(plans: PlanGrid) -> Floats:
    """[B, 1, 1, 1, 1, 1]."""
    sizes: Floats = plans.smallest_batch + np.arange(plans.batches, dtype=np.float64)
    return sizes.reshape(-1, *[1] * (len(plans.shape) - 1))


def _by_cut(profile: Profile, cuts: Any, resources: Resources, precision: Precision, recompute: bool) -> dict[str, Any]:
    """The fields of a `Workload` that depend on where the network is cut."""
    kappa_c, kappa_s = (resources.cycles_per_flop[node] for node in (CLIENT, SERVER))
    return {
        "client_forward": kappa_c * precision.client_forward(cuts) * precision.cycles,
        "client_backward": kappa_c * precision.client_backward(cuts, recompute) * precision.cycles,
        "server_forward": kappa_s * profile.server_forward(cuts),
        "server_backward": kappa_s * profile.server_backward(cuts),
        "smashed_bits": profile.smashed_bits(cuts),
        "cut_gradient_bits": profile.smashed_bits(cuts),
        "client_model_bits": precision.model_bits(profile, cuts),
    }


def by_level(values: Sequence[Any]) -> Floats:
    """Values of each level, numbers or arrays whose last axis is 1 long, along that axis."""
    return np.concatenate([np.reshape(value, (*np.shape(value)[:-1], 1)) for value in values], axis=-1)
