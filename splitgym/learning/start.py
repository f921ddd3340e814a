"""What a learner starts with, all of it drawn from one seed: data of the clients, initial weights."""

from typing import NamedTuple

import numpy as np
import torch

from splitgym import data, models
from splitgym.arrays import Ints
from splitgym.learning.pretraining import take_base_weights
from splitgym.models import CuttableNetwork
from splitgym.scenario import Scenario


class Start(NamedTuple):
    """Data and network before the first round."""

    dataset: data.Dataset
    parts: list[Ints]
    """[C] indices of each client's training samples."""
    orders: list[np.random.Generator]
    """[C] for the order of each client's mini-batches."""
    network: CuttableNetwork
    """On the CPU."""
    chance: torch.Generator
    """For all that is random in the training itself."""


def start(scenario: Scenario, seed: int) -> Start:
    """Draws split, partition, initial weights, and the generators of what is drawn later.

    Frozen weights are not drawn: they come from a training that all seeds share, see `splitgym.learning.pretraining`.

    Raises:
        DataError: the scenario's data is not to be found; the message says where to get it.
    """
    rng, task = np.random.default_rng(seed), scenario.task
    dataset = data.load(task.dataset, rng, test_fraction=task.test_fraction, train_samples=task.train_samples)
    parts = data.partition(
        dataset.train_kinds,
        scenario.clients.count,
        task.partition,
        rng,
        dirichlet_alpha=task.dirichlet_alpha,
        shards_per_client=task.shards_per_client,
    )
    orders = rng.spawn(len(parts))
    weights = torch.Generator().manual_seed(int(rng.integers(2**63)))
    network = models.build(
        task.model, dataset.input_shape, len(dataset.classes), weights, stem=task.stem, rank=task.adapter_rank
    )
    if task.is_text:
        take_base_weights(network)
    chance = torch.Generator().manual_seed(int(rng.integers(2**63)))
    return Start(dataset, list(parts), orders, network, chance)
