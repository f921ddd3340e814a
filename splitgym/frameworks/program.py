"""Phases of a round as tables, under each of the plans."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from splitgym.arrays import Floats, Ints
from splitgym.frameworks.phases import Access, Phase, Workload
from splitgym.frameworks.plans import PlanGrid
from splitgym.frameworks.resources import Barrier, Resource, Resources, check_nodes
from splitgym.frameworks.segments import SPLIT, Segments, around_second_cut
from splitgym.scenario import ScenarioError

MIGRATION_ROWS = 2
"""A timeline begins with two rows for parts of the network that move: down to the clients, up to the server."""


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
            whole = [np.broadcast_to(np.asarray(amount, np.float64), plans.table_shape) for amount in amounts]
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

    def holding(self, codec: int, precision: int, batch_size: int | None) -> "Program":
        """The program with one codec and one precision alone, indices of the scenario's lists, and one batch size.

        None leaves batch sizes open.
        """
        plans = self.plans.holding(codec, batch_size)
        chosen = self.plans.holds(codec, precision, batch_size)
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
