"""A server that runs the rows of one client after the other learns what it learns from one batch of them."""

import copy

import pytest
import torch

from splitgym.frameworks.round_batch import RoundBatch
from splitgym.frameworks.server_pass import server_pass
from splitgym.learning import Learner
from splitgym.scenario import build


@pytest.mark.parametrize("model", ["mlp", "cnn"])
@pytest.mark.parametrize("cut", [1, 2])
def test_gradients_are_those_of_one_batch_but_for_rounding(model, cut):
    sections = {"task": {"model": model, "partition": "dirichlet"}, "clients": {"count": 3}}
    learner = Learner(build("toy", sections), "psl", seed=4, device="cpu")
    nodes, drawn = learner.nodes, torch.Generator().manual_seed(cut)
    nodes.move_cut(cut, (0, 1, 2), learner.data_share)
    smashed = nodes.server.forward(learner._images[:18], 0, cut).detach().unflatten(0, (3, 6))
    batch = round_batch(torch.randint(0, 10, (3, 6), generator=drawn))
    alone = copy.deepcopy(batch)
    joint = server_pass(nodes, smashed, batch)
    nodes.one_by_one = True
    found = server_pass(nodes, smashed, alone)
    torch.testing.assert_close(found.own, joint.own)
    torch.testing.assert_close(found.of_server, list(joint.of_server))
    torch.testing.assert_close(alone.losses, batch.losses)
    assert len(found.common) == len(joint.common) == 0


def round_batch(labels):
    weights = torch.tensor([0.5, 0.3, 0.2])
    return RoundBatch((0, 1, 2), weights, torch.empty(0), labels, aggregated_rows=0, losses=torch.zeros(3))
