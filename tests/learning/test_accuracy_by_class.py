"""Balanced accuracy, from counts by hand."""

import numpy as np
import torch
from torch import nn

from splitgym.frameworks.nodes import Nodes
from splitgym.learning.accuracy import Evaluator
from splitgym.models import CuttableNetwork
from splitgym.scenario import Training


def test_balanced_accuracy_is_the_mean_over_the_classes_that_are_there() -> None:
    """Logits are the images themselves: the network is the identity, and class 3 has no sample."""
    labels = torch.tensor([0, 0, 0, 0, 1, 1, 2])
    answers = torch.tensor([0, 0, 0, 1, 1, 0, 3])
    images = torch.nn.functional.one_hot(answers, 4).float().view(7, 4, 1, 1)
    network = CuttableNetwork({"client": nn.Identity(), "server": nn.Flatten(), "head": nn.Identity()})
    made = Nodes(network, 2, Training())
    made.move_cut(1, (0, 1), np.array([0.5, 0.5]))
    evaluator = Evaluator(images, labels, 4)
    correct = evaluator.correct(made)
    np.testing.assert_array_equal(correct, [[3, 1, 0, 0]] * 2)
    np.testing.assert_array_equal(evaluator.accuracy(correct), [4 / 7] * 2)
    np.testing.assert_allclose(evaluator.balanced_accuracy(correct), [(3 / 4 + 1 / 2 + 0) / 3] * 2)


def test_clients_with_the_same_weights_answer_alike_and_others_by_their_own() -> None:
    """Six clients, of which two have weights of their own; each network once more, one after the other."""
    torch.manual_seed(0)
    images, labels = torch.randn(40, 1, 8, 8), torch.randint(4, (40,))
    body = nn.Sequential(nn.Flatten(), nn.Linear(72, 4))
    network = CuttableNetwork({"client": nn.Conv2d(1, 2, 3), "server": nn.ReLU(), "head": body})
    made = Nodes(network, 6, Training())
    made.move_cut(1, tuple(range(6)), np.full(6, 1 / 6))
    with torch.no_grad():
        for client in (1, 4):
            for weights in made.clients[client].parameters:
                weights.add_(torch.randn_like(weights))
        answers = [made.server.logits(client.forward(images), 1).argmax(1) for client in made.clients]
    expected = [[int(((own == k) & (labels == k)).sum()) for k in range(4)] for own in answers]
    assert len({tuple(own) for own in expected}) == 3
    np.testing.assert_array_equal(Evaluator(images, labels, 4).correct(made), expected)
