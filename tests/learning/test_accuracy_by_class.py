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
