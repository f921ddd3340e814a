"""The bound's terms of a real network: gradients against autograd through the whole network, and what PSL lacks."""

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure

from experiments.convergence_bound.network import EXPERIMENT, gradients, loss_of, measure, terms
from splitgym.learning import Learner
from splitgym.scenario import build

CLIENTS, ROWS = 3, 6


def drawn() -> tuple[Learner, torch.Tensor, torch.Tensor]:
    """A learner whose clients hold the first unit, and data for each."""
    learner = Learner(build("iot", {"clients": {"count": CLIENTS}}), "epsl")
    learner.nodes.move_cut(1, range(CLIENTS), np.full(CLIENTS, 1 / CLIENTS))
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(CLIENTS, ROWS, 1, 8, 8, generator=generator)
    return learner, images, torch.randint(10, (CLIENTS, ROWS), generator=generator)


def test_gradients_of_a_round_without_aggregation_are_those_of_the_loss() -> None:
    learner, images, labels = drawn()
    nodes = learner.nodes
    server, clients = gradients(nodes, images, labels, 0)
    weights = [*nodes.server.parameters, *(each for client in nodes.clients for each in client.parameters)]
    right = torch.cat([each.flatten() for each in torch.autograd.grad(loss_of(nodes, images, labels), weights)])
    torch.testing.assert_close(torch.cat([server, clients]), right, rtol=1e-4, atol=1e-6)


def test_only_aggregation_has_a_bias() -> None:
    learner, images, labels = drawn()
    generator = torch.Generator().manual_seed(0)
    psl, epsl = (terms(learner.nodes, images, labels, 4, m, generator) for m in (0, 4))
    assert psl["bias"] == 0 < epsl["bias"]
    assert psl["gradient"] == epsl["gradient"] > 0
    assert psl["beta"] > 0
    assert psl["variance"] > epsl["variance"]


def test_a_row_for_each_run_and_a_page_of_them() -> None:
    rows = pd.DataFrame(
        {**case, "seed": 0, **row}
        for case in ({"clients": 2, "batch": b, "ratio": 0.0, "rounds": 8} for b in (2, 8))
        for row in measure(case, 0)
    )
    assert (rows["bound"] > 0).all()
    assert "| squared gradient |" in EXPERIMENT.report(rows)
    for plot in EXPERIMENT.plots.values():
        plot(rows, Figure(layout="constrained"))
