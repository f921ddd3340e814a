"""Phases of a round as tables, under each of the plans."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from splitgym.arrays import Floats, Ints
from splitgym.frameworks.phases import Access, Phase, Workload
from splitgym.frameworks.placed import Placed
from splitgym.frameworks.plans import PlanGrid
from splitgym.frameworks.resources import RELOCATION, Barrier, Resource, Resources, check_nodes
from splitgym.frameworks.segments import SPLIT, Segments, around_second_cut
from splitgym.scenario import ScenarioError
from splitgym.scenario.nodes import SERVER

MIGRATION_ROWS = 2
"""A timeline begins with two rows for parts of the network that move: down to the clients, up to the server."""


@dataclass(frozen=True)
class Program:
    """Phases as tables: P phases under each of G plans.

    With slots, every slot goes through all phases, with the clients of that slot. `work` and `per_participant` have
    shape [G, P]: cycles or bits under a plan stand at its index.
    """

    stages: tuple[str, ...]
    route: Ints
    """[K, P] what is busy in each phase under each placement; without placements K = 1."""
    work: Floats
    per_participant: Floats
    plans: PlanGrid
    resources: Resources
    """What the entries of `route` mean."""
    barrier: Ints
    """[P] what each phase waits for, a `Barrier`; of phases that each client has by itself it does not matter."""
    access: Access = Access.PARALLEL
    moving_link: int = -1
    """Over which resource units move when the second cut does; -1: there is none."""
    placed: Placed | None = None
    """Placements, with a framework that has them."""
    passes: tuple[int, ...] = ()
    """[P] of each phase `Phase.of_pass`; none: there are no micro-batches."""
    micro_batches: int = 1
    """xi."""
    measured_work: Floats | None = None
    """[D, G, P] `work` on each of D measured devices, of which what clients compute counts; None: none was measured."""
    device: tuple[int, ...] = (0,)
    """Which of these each of C clients is; one: all are."""

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
        count = plans.placements
        of_phases = [each if isinstance(each, tuple) else (each,) * count for each in (p.resource for p in phases)]
        route = np.array([[resources.index(each[k]) for each in of_phases] for k in range(count)], np.int64)

        def table(amounts: list[Floats | float]) -> Floats:
            whole = [np.broadcast_to(np.asarray(amount, np.float64), plans.table_shape) for amount in amounts]
            return np.stack([amount.ravel() for amount in whole], axis=-1)

        return cls(
            stages=tuple(phase.stage for phase in phases),
            route=route,
            work=table([phase.work for phase in phases]),
            per_participant=table([phase.per_participant for phase in phases]),
            plans=plans,
            resources=resources,
            barrier=np.array([_barrier(*each, rows_together) for each in zip(phases, route.T, strict=True)], np.int64),
            access=access,
            moving_link=resources.link_between(*around_second_cut(segments)),
            placed=workload.placed,
            passes=tuple(phase.of_pass for phase in phases) if any(phase.of_pass for phase in phases) else (),
            micro_batches=workload.micro_batches,
        )

    @property
    def resource(self) -> Ints:
        """[P] what is busy in each phase, under the first placement."""
        of_first: Ints = self.route[0]
        return of_first

    @property
    def own_work(self) -> Floats:
        """[D, G, P] what a client has to do by itself, on each device that clients may be."""
        return self.work[None] if self.measured_work is None else self.measured_work

    def on_devices(self, programs: Sequence["Program"], device: Sequence[int]) -> "Program":
        """The program of clients that are measured devices.

        Args:
            programs: [D] with what the phases take on each.
            device: [C] which of them each client is.
        """
        return replace(self, measured_work=np.stack([each.work for each in programs]), device=tuple(device))

    @property
    def relocation(self) -> int:
        """The phase in which units move between nodes; -1: there is none."""
        found = np.flatnonzero(self.resource == self.resources.index(RELOCATION))
        return int(found[0]) if len(found) else -1

    def holding(self, codec: int, precision: int, batch_size: int | None, placement: int = 0) -> "Program":
        """The program with one codec, precision and placement alone, indices of the lists, and one batch size.

        None leaves batch sizes open.
        """
        plans = self.plans.holding(codec, batch_size)
        chosen = self.plans.holds(codec, precision, batch_size, placement)
        return replace(
            self,
            plans=plans,
            route=self.route[[placement]],
            work=self.work[chosen],
            per_participant=self.per_participant[chosen],
            measured_work=None if self.measured_work is None else self.measured_work[:, chosen],
            placed=self.placed and self.placed.holding(placement),
        )

    @property
    def servers(self) -> tuple[str, ...]:
        """[K] where the clients' data arrive under each placement; one without placements."""
        return (SERVER,) if self.placed is None else self.placed.first

    @cached_property
    def uses_own_subchannels(self) -> bool:
        """Whether a client needs a subchannel of its own to take part."""
        return bool(np.isin(self.resource, (Resource.UPLINK, Resource.UNICAST)).any())


def _barrier(phase: Phase, route: Ints, rows_together: bool) -> Barrier:
    """What a phase waits for; `route`: [K] its row under each placement."""
    if np.any(route != Resource.SERVER):
        if phase.barrier is Barrier.NONE:
            raise ScenarioError(f"phase {phase.stage!r}: barrier = NONE, allowed: NONE at the edge server only")
        return Barrier.ALL
    if phase.barrier is not None:
        return phase.barrier
    return Barrier.ALL if rows_together else Barrier.NONE
