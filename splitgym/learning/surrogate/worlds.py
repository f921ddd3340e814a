"""What the surrogate keeps of every world: its state, and the outcome of the last round."""

from math import log
from typing import Any, NamedTuple, Self

import numpy as np

from splitgym.arrays import Bools, Floats, Ints
from splitgym.kernels import INLINED, kernel


class Before(NamedTuple):
    """What the outcome of the round before was, of N worlds; as in `Worlds`."""

    accuracy: Floats
    worst_accuracy: Floats
    balanced_accuracy: Floats
    loss: Floats
    client_loss: Floats
    client_accuracy: Floats
    cut_layer: Ints
    client_cut_layer: Ints
    trained: Bools
    evaluated: Bools


class Worlds(NamedTuple):
    """N worlds, C clients, K classes; all arrays are changed in place."""

    class_share: Floats
    """[N, C, K] share of each class in a client's data."""
    data_share: Floats
    """[N, C] of all samples; 0: there is no such client."""
    evenness: Floats
    """[N, C] power of the probability that two samples of a client differ in class; 1: all classes alike."""
    run_effect: Floats
    """[N] factor of all speeds."""
    class_effect: Floats
    """[N, K] logits."""
    skill: Floats
    """[N, K] of the server's units."""
    own_skill: Floats
    """[N, C, K] of a client's units."""
    label_bias: Floats
    """[N, C, K] by which a client prefers the classes that it has seen more often."""
    behind: Floats
    """[N, C] how far a client's units have fallen behind the server, logits."""
    class_noise: Floats
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
    before: Before

    @classmethod
    def empty(cls, worlds: int, clients: int, classes: int) -> Self:
        """Worlds without clients, before any round."""
        of_world, of_client, of_class = (worlds,), (worlds, clients), (worlds, clients, classes)
        arrays: dict[str, Any] = {
            "class_share": np.zeros(of_class),
            "data_share": np.zeros(of_client),
            "evenness": np.zeros(of_client),
            "run_effect": np.ones(of_world),
            "class_effect": np.zeros((worlds, classes)),
            "skill": np.zeros((worlds, classes)),
            "own_skill": np.zeros(of_class),
            "label_bias": np.zeros(of_class),
            "behind": np.zeros(of_client),
            "class_noise": np.zeros((worlds, classes)),
            "rounds": np.zeros(of_world, np.int64),
            "cut_layer": np.zeros(of_world, np.int64),
            "client_cut_layer": np.zeros(of_client, np.int64),
            "client_loss": np.full(of_client, log(classes)),
            "recall": np.full(of_class, 1 / classes),
            "client_accuracy": np.full(of_client, 1 / classes),
            "loss": np.full(of_world, log(classes)),
            "accuracy": np.full(of_world, 1 / classes),
            "worst_accuracy": np.full(of_world, 1 / classes),
            "balanced_accuracy": np.full(of_world, 1 / classes),
            "trained": np.zeros(of_world, bool),
            "evaluated": np.ones(of_world, bool),
        }
        return cls(**arrays, before=Before(*(arrays[name].copy() for name in Before._fields)))


@kernel(INLINED)
def remember(worlds: Worlds, n: int) -> None:
    """Keeps the outcome of world n as that of the round before."""
    before = worlds.before
    before.accuracy[n], before.worst_accuracy[n] = worlds.accuracy[n], worlds.worst_accuracy[n]
    before.balanced_accuracy[n], before.loss[n] = worlds.balanced_accuracy[n], worlds.loss[n]
    before.cut_layer[n], before.trained[n] = worlds.cut_layer[n], worlds.trained[n]
    before.evaluated[n] = worlds.evaluated[n]
    for c in range(worlds.data_share.shape[1]):
        before.client_loss[n, c] = worlds.client_loss[n, c]
        before.client_accuracy[n, c] = worlds.client_accuracy[n, c]
        before.client_cut_layer[n, c] = worlds.client_cut_layer[n, c]


@kernel(INLINED)
def settle(worlds: Worlds, n: int, class_counts: Ints, clients: int, exponent: float) -> None:
    """Gives a world untrained clients with that data.

    Args:
        worlds: Changed in place.
        n: The world.
        class_counts: [C, K] samples of each class that each client has.
        clients: How many of the C clients there are, the first ones.
        exponent: Of the evenness of a client's data.
    """
    classes, samples = class_counts.shape[1], 0
    for c in range(clients):
        for k in range(classes):
            samples += class_counts[c, k]
    guessing = log(classes)
    for c in range(class_counts.shape[0]):
        size = 0
        for k in range(classes):
            size += class_counts[c, k] if c < clients else 0
        alike = 0.0
        for k in range(classes):
            share = class_counts[c, k] / size if size > 0 else 0.0
            worlds.class_share[n, c, k] = share
            alike += share * share
            worlds.own_skill[n, c, k] = worlds.label_bias[n, c, k] = 0.0
        worlds.data_share[n, c] = size / samples
        if size > 0:
            worlds.evenness[n, c] = max((1.0 - alike) * classes / (classes - 1), 0.0) ** exponent
        worlds.behind[n, c] = 0.0
        worlds.client_cut_layer[n, c] = 0
        worlds.client_loss[n, c] = guessing
    for k in range(classes):
        worlds.skill[n, k] = 0.0
    worlds.rounds[n] = worlds.cut_layer[n] = 0
    worlds.loss[n] = guessing
    worlds.trained[n], worlds.evaluated[n] = False, True


class Scratch(NamedTuple):
    """Workspace of one world with C clients and K classes."""

    right: Floats
    """[C, K] logits of the right class, then its probability."""
    weight: Floats
    """[C, K] label biases, logits, then exp of them."""
    others: Floats
    """[C, K] what the other classes weigh, then what a client teaches the server."""
    gain: Floats
    """[K] what all teach the server."""
    hit: Floats
    """[C] mean probability of a right answer on the client's own data."""
    loss: Floats
    """[C] of the mini-batches."""
    part: Floats
    """[C] fraction of each client in the data of the participants."""

    @classmethod
    def empty(cls, clients: int, classes: int) -> Self:
        """Made once."""
        right, weight, others = np.zeros((3, clients, classes))
        hit, loss, part = np.zeros((3, clients))
        return cls(right, weight, others, np.zeros(classes), hit, loss, part)
