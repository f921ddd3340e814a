"""What `Memory` says, against all tensors that autograd holds in a round of the learner with one client."""

import numpy as np
import pytest
from held_tensors import holding, weights_and_buffers

from splitgym import data, models
from splitgym.learning import Learner
from splitgym.scenario import build
from splitgym.types import Decision


@pytest.mark.parametrize("cut", [1, 2])
@pytest.mark.parametrize("model", ["resnet18", "cnn", "mlp"])
def test_a_round_of_one_client_holds_what_client_and_server_are_said_to_need(model, cut):
    task = {"model": model, "train_samples": 40, "evaluation_samples": 10}
    scenario = build("toy", {"clients": {"count": 1}, "task": task, "training": {"batch_size": 4}})
    learner = Learner(scenario, "psl", 1)
    decision = Decision(cut, np.zeros(2, np.int64), np.zeros(2), np.ones(1, bool), 0.0, np.zeros(1, np.int64))
    # In the first round the client gets its units.
    learner.round(decision)
    nodes = [*learner.nodes.clients, learner.nodes.server]
    with holding(weights_and_buffers(unit for node in nodes for unit in node.units)) as held:
        learner.round(decision)
    shape, classes = data.dimensions(scenario.task.dataset)
    memory = models.measure(model, shape, classes, scenario.task.stem).memory
    said = memory.client_bytes(cut, 4, 0) + memory.server_bytes(cut, 4, 0)
    of_weights = 2 * memory.parameter_bytes.sum() + memory.buffer_bytes.sum()
    # The gradient of the loss is computed without autograd.
    assert held.most == said - of_weights - (4 * (4 * classes + 8) + 4)
