"""What the surrogate keeps of every world: its state, and the outcome of the last round."""

from math import log
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


class Worlds(NamedTuple):
    """N worlds, C clients, K classes; all arrays are changed in place."""

    class_share: Floats
    """[N, C, K] share of each class in a client's data."""
    data_share: Floats
    """[N, C] of all samples; 0: there is no such client."""
    evenness: Floats
    """[N, C] probability that two samples of a client differ in class; 1: all classes alike."""
    luck: Floats
    """[N] factor of all speeds."""
    talent: Floats
    """[N, K] logits."""
    skill: Floats
    """[N, K] of the server's units."""
    own_skill: Floats
    """[N, C, K] of a client's units."""
    habit: Floats
    """[N, C, K] by which a client prefers the classes that it has seen more often."""
    behind: Floats
    """[N, C] how far a client's units have fallen behind the server, logits."""
    wobble: Floats
    """[N, K] logits."""
    rounds: Ints
    """[N] played."""
    cut_layer: Ints
    """[N] 0 before the first round."""
    client_cut_layer: Ints
    """[N, C] how many units of a client are valid."""
    client_loss: Floats
    """[N, C] of the last mini-batch."""
    recall: Floats
    """[N, C, K] probability that a client's network classifies a test sample of that class correctly."""
    client_accuracy: Floats
    """[N, C]"""
    loss: Floats
    """[N]"""
    accuracy: Floats
    """[N]"""
    worst_accuracy: Floats
    """[N]"""
    balanced_accuracy: Floats
    """[N]"""
    trained: Bools
    """[N]"""
    evaluated: Bools
    """[N]"""

    @classmethod
    def empty(cls, worlds: int, clients: int, classes: int) -> Self:
        """Worlds in which nothing is yet, with nobody in them."""
        of_world, of_client, of_class = (worlds,), (worlds, clients), (worlds, clients, classes)
        return cls(
            class_share=np.zeros(of_class),
            data_share=np.zeros(of_client),
            evenness=np.zeros(of_client),
            luck=np.ones(of_world),
            talent=np.zeros((worlds, classes)),
            skill=np.zeros((worlds, classes)),
            own_skill=np.zeros(of_class),
            habit=np.zeros(of_class),
            behind=np.zeros(of_client),
            wobble=np.zeros((worlds, classes)),
            rounds=np.zeros(of_world, np.int64),
            cut_layer=np.zeros(of_world, np.int64),
            client_cut_layer=np.zeros(of_client, np.int64),
            client_loss=np.full(of_client, log(classes)),
            recall=np.full(of_class, 1 / classes),
            client_accuracy=np.full(of_client, 1 / classes),
            loss=np.full(of_world, log(classes)),
            accuracy=np.full(of_world, 1 / classes),
            worst_accuracy=np.full(of_world, 1 / classes),
            balanced_accuracy=np.full(of_world, 1 / classes),
            trained=np.zeros(of_world, bool),
            evaluated=np.ones(of_world, bool),
        )

    def settle(self, world: int, class_counts: Ints) -> None:
        """Gives a world untrained clients with that data.

        Args:
            world: 0..N-1.
            class_counts: [clients, K] samples of each class that each of the first clients has; the others of C are
                not there.
        """
        clients, classes = class_counts.shape
        sizes = class_counts.sum(axis=1)
        share = class_counts / sizes[:, None]
        self.class_share[world, :clients] = share
        self.evenness[world, :clients] = (1 - np.einsum("ck,ck->c", share, share)) * (classes / (classes - 1))
        self.data_share[world, :clients] = sizes / sizes.sum()
        self.data_share[world, clients:] = 0.0
        self.skill[world] = 0.0
        self.own_skill[world] = 0.0
        self.habit[world] = 0.0
        self.behind[world] = 0.0
        self.rounds[world] = 0
        self.cut_layer[world] = 0
        self.client_cut_layer[world] = 0
        self.client_loss[world] = self.loss[world] = log(classes)
        self.trained[world] = False
        self.evaluated[world] = True
