"""Learners of every framework on a few digits and a small network, and decisions that suit them."""

import math
from collections.abc import Sequence

import numpy as np
import torch

from splitgym.frameworks import Framework, get
from splitgym.learning import Learner
from splitgym.scenario import Scenario, build
from splitgym.types import Decision, RoundOutcome

torch.set_num_threads(1)

CLIENTS = 5


def scenario(**sections: dict[str, object]) -> Scenario:
    """Five clients with unequal, skewed data; sections are merged over these."""
    fields: dict[str, dict[str, object]] = {
        "clients": {"count": CLIENTS},
        "task": {"partition": "dirichlet", "dirichlet_alpha": 0.5, "train_samples": 200, "evaluation_samples": 40},
        "training": {"momentum": 0.9, "client_learning_rate": 0.05, "server_learning_rate": 0.03, "local_steps": 2},
    }
    for name, section in sections.items():
        fields[name] = {**fields.get(name, {}), **section}
    return build("toy", fields)


def decision(
    selected: Sequence[int] = (0, 1, 2, 3, 4), cut: int = 1, phi: float = 0.0, cluster: Sequence[int] = (0, 1, 0, 1, 1)
) -> Decision:
    """Of this a learner reads cut layer, selection (indices here), aggregation ratio and clusters."""
    return Decision(
        cut, np.zeros(2, np.int64), np.zeros(2), np.isin(np.arange(CLIENTS), selected), phi, np.array(cluster)
    )


SCHEDULE: tuple[tuple[Sequence[int], int, float, Sequence[int]], ...] = (
    ((0, 1, 2, 3, 4), 1, 0.5, (0, 1, 0, 1, 1)),
    ((1, 3, 4), 2, 0.75, (2, 0, 2, 0, 2)),
    ((0, 2), 2, 0.0, (0, 0, 0, 0, 0)),
    ((2,), 1, 0.25, (0, 1, 2, 3, 4)),
    ((), 2, 0.25, (0, 1, 2, 3, 4)),
    ((0, 3, 4), 1, 0.5, (3, 1, 0, 3, 0)),
    ((0, 1, 2, 3, 4), 2, 0.7, (4, 3, 2, 1, 0)),
)
"""Who takes part, cut layer, phi where it is free, clusters."""


def possible(framework: str | Framework, cut: int) -> int:
    """The cut layer; 1 where clients hold tails, too, as the network has three units."""
    chosen = get(framework) if isinstance(framework, str) else framework
    return 1 if chosen.has_tail else cut


def allowed(learner: Learner, phi: float) -> float:
    """phi if the framework leaves the choice, else what it prescribes."""
    if not math.isnan(learner.prescribed_ratio):
        return learner.prescribed_ratio
    return phi if learner.framework.aggregates else 0.0


def play(learner: Learner, steps: Sequence[int]) -> list[RoundOutcome]:
    """Trains these rounds of the schedule."""
    outcomes = []
    for step in steps:
        selected, cut, phi, cluster = SCHEDULE[step % len(SCHEDULE)]
        cut = possible(learner.framework, cut)
        outcomes.append(learner.round(decision(selected, cut, allowed(learner, phi), cluster)))
    return outcomes


def weights(learner: Learner) -> list[torch.Tensor]:
    """All weights and running statistics, of the server and of the clients."""
    made = learner.nodes
    own = [unit for client in (*made.clients, *made.tails) for unit in client.units] if made.own_units else []
    return [value.clone() for unit in (*made.server.units, *own) for value in unit.state_dict().values()]


def memories(learner: Learner) -> list[torch.Tensor]:
    """All that optimisers remember."""
    states = (node.optimizer.state_dict()["state"] for node in learner.nodes.everybody())
    return [value.clone() for state in states for _, own in sorted(state.items()) for value in own.values()]


def assert_same(one: Sequence[torch.Tensor], other: Sequence[torch.Tensor]) -> None:
    assert len(one) == len(other)
    assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def assert_equal_outcomes(one: RoundOutcome, other: RoundOutcome) -> None:
    for name, value in vars(one).items():
        np.testing.assert_array_equal(value, getattr(other, name), err_msg=name)
