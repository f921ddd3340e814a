"""What an asynchronous framework and a scenario say about the updates of the server."""

from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, Any

import numpy as np

from splitgym.arrays import Floats, Ints
from splitgym.frameworks.phases import Access, Workload
from splitgym.frameworks.program import MIGRATION_ROWS, Program
from splitgym.frameworks.resources import Resource
from splitgym.scenario import Scenario, ScenarioError

if TYPE_CHECKING:
    from splitgym.frameworks.framework import Framework


@dataclass(frozen=True)
class Asynchrony:
    """When the server updates, and which rows of the timeline a mini-batch in flight goes through."""

    quorum: int
    """K: mini-batches of an update, if no decision says another number; 0: of all clients that can deliver."""
    decides_quorum: bool
    """Whether a decision may say another number."""
    patience_s: float
    """Seconds after which the server updates with fewer; infinite: it waits for K of them."""
    server_row: int
    """The first row of the server; clients whose smashed data wait are there."""
    return_row: int
    """The first row behind the server's: gradients on their way back."""
    row_cycles: Floats | None
    """[L - 1] cycles of the server for a row with which it balances labels, at each cut layer; None: it does not."""

    @classmethod
    def of(cls, scenario: Scenario, program: Program, workload: Workload, name: str) -> "Asynchrony":
        """Of a scenario and a framework's program.

        Args:
            scenario: Says quorum and patience.
            program: Of the framework.
            workload: Of network and scenario.
            name: Of the framework.

        Raises:
            ScenarioError: the phases are none that clients can go through apart from each other, or the quorum is
                larger than the number of clients.
        """
        training, clients = scenario.training, scenario.clients.count
        if training.quorum > clients:
            raise ScenarioError(f"training.quorum = {training.quorum}, allowed: 0..{clients}, the clients")
        common = program.resource >= Resource.SERVER
        rows = np.flatnonzero(common)
        if (
            program.access is not Access.PARALLEL
            or not len(rows)
            or np.any(program.resource > Resource.SERVER)
            or len(rows) <= rows[-1] - rows[0]
            or np.any(program.work[:, common] > 0)
        ):
            raise ScenarioError(
                f"framework {name!r} is asynchronous, allowed phases: of clients side by side around one run of phases "
                "at the edge server, with work for each client by itself"
            )
        return cls(
            quorum=training.quorum,
            decides_quorum=scenario.plan.quorum == "decided",
            patience_s=inf if training.patience_s is None else training.patience_s,
            server_row=MIGRATION_ROWS + int(rows[0]),
            return_row=MIGRATION_ROWS + int(rows[-1]) + 1,
            row_cycles=_row_cycles(workload) if training.label_balancing == "generated" else None,
        )

    def quorum_of(self, decided: Any, worlds: int) -> Ints:
        """[N] K of a step, from what decisions say, [N] or one number; 0: of all clients that can deliver."""
        wanted = np.full(worlds, decided, np.int64)
        return np.where(wanted > 0, wanted, self.quorum)


def check_balancing(scenario: Scenario, framework: "Framework") -> None:
    """Raises a ScenarioError if labels are to be balanced where that is not possible."""
    if scenario.training.label_balancing == "none":
        return
    asked = f"training.label_balancing = {scenario.training.label_balancing!r}"
    if not framework.asynchronous:
        raise ScenarioError(f"{asked} with framework {framework.name!r}, allowed: asynchronous frameworks")
    plan = scenario.plan
    for name, value in (
        ("cut_layer", plan.cut_layer),
        ("batch_size", plan.batch_size if plan.batch_sizes else "common"),
    ):
        if value != "common":
            raise ScenarioError(f"{asked} with plan.{name} = {value!r}, allowed: 'common'")


def _row_cycles(workload: Workload) -> Floats:
    """[L - 1] cycles of the server's forward and backward pass of a row at each cut layer."""
    passes: Floats = workload.server_forward + workload.server_backward + workload.last_layer_backward
    return np.broadcast_to(passes, workload.plans.shape)[0, :, 0, 0, 0, 0].copy()
