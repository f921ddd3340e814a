"""What the surrogate keeps of every world: its state, and the outcome of the last round."""

from math import log
from typing import Any, NamedTuple, Self

import numpy as np

from splitgym.arrays import Bools, Floats, Ints
from splitgym.kernels import INLINED, kernel

LANES = 8
"""float64 numbers in the longest vector of a processor."""


def lanes(clients: int) -> int:
    """So many clients, rounded up so that they fill vectors."""
    return -(-clients // LANES) * LANES


@kernel(INLINED)
def lanes_of(array: Floats) -> int:
    """L of an array [L], in a way from which the compiler knows that it fills whole vectors."""
    return len(array) // LANES * LANES


def _aligned(*shape: int) -> Floats:
    """Zeros that start where a vector does, as those that lie across two lines of the cache take longer."""
    size, length = int(np.prod(shape)), LANES * 8
    room = np.zeros(size + LANES)
    start = -room.ctypes.data % length // 8
    return room[start : start + size].reshape(shape)


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
    """N worlds, C clients, K classes; all arrays are changed in place.

    What only the dynamics read has the clients innermost, and L = `lanes(C)` of them, so that each step of a loop over
    clients is a vector's; those beyond C have no data.
    """

    class_share: Floats
    """[N, C, K] share of each class in a client's data."""
    data_share: Floats
    """[N, C] of all samples; 0: there is no such client."""
    share: Floats
    """[N, K, L] `class_share` with the clients innermost."""
    evenness: Floats
    """[N, L] power of the probability that two samples of a client differ in class; 1: all classes alike."""
    run_effect: Floats
    """[N] factor of all speeds."""
    class_effect: Floats
    """[N, K] logits."""
    skill: Floats
    """[N, K] of the server's units."""
    own_skill: Floats
    """[N, K, L] of a client's units."""
    label_bias: Floats
    """[N, K, L] by which a client prefers the classes that it has seen more often."""
    behind: Floats
    """[N, L] how far a client's units have fallen behind the server, logits."""
    class_noise: Floats
    """[N, K] logits."""
    rounds: Ints
    """[N] played."""
    cut_layer: Ints
    """[N] of the client that has the fewest units; 0 before the first round."""
    client_cut_layer: Ints
    """[N, C] how many units of a client are valid."""
    client_loss: Floats
    """[N, C] of the last mini-batch."""
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
        of_world, of_client = (worlds,), (worlds, clients)
        of_lane, of_class = (worlds, lanes(clients)), (worlds, classes, lanes(clients))
        arrays: dict[str, Any] = {
            "class_share": np.zeros((worlds, clients, classes)),
            "data_share": np.zeros(of_client),
            "share": _aligned(*of_class),
            "evenness": _aligned(*of_lane),
            "run_effect": np.ones(of_world),
            "class_effect": np.zeros((worlds, classes)),
            "skill": np.zeros((worlds, classes)),
            "own_skill": _aligned(*of_class),
            "label_bias": _aligned(*of_class),
            "behind": _aligned(*of_lane),
            "class_noise": np.zeros((worlds, classes)),
            "rounds": np.zeros(of_world, np.int64),
            "cut_layer": np.zeros(of_world, np.int64),
            "client_cut_layer": np.zeros(of_client, np.int64),
            "client_loss": np.full(of_client, log(classes)),
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
            worlds.class_share[n, c, k] = worlds.share[n, k, c] = share
            alike += share * share
            worlds.own_skill[n, k, c] = worlds.label_bias[n, k, c] = 0.0
        worlds.data_share[n, c] = size / samples
        differ = max((1.0 - alike) * classes / (classes - 1), 0.0)
        worlds.evenness[n, c] = differ**exponent if size > 0 else 0.0
        worlds.behind[n, c] = 0.0
        worlds.client_cut_layer[n, c] = 0
        worlds.client_loss[n, c] = guessing
    for k in range(classes):
        worlds.skill[n, k] = 0.0
    worlds.rounds[n] = worlds.cut_layer[n] = 0
    worlds.loss[n] = guessing
    worlds.trained[n], worlds.evaluated[n] = False, True


class Scratch(NamedTuple):
    """Workspace of one world with K classes and C clients in L lanes."""

    right: Floats
    """[K, L] skill, then odds of the right class without its label bias, then the probability of a right answer."""
    weight: Floats
    """[K, L] odds of the label bias."""
    error: Floats
    """[K, L] share of a client's samples that are of the class and answered wrongly."""
    rate: Floats
    """[K, L] the same, divided by the weight of all other classes."""
    gain: Floats
    """[K] what the participants teach the server."""
    part: Floats
    """[L] fraction of each client in the data of the participants; 0: it is none."""
    given: Floats
    """[L] fraction of the server's skill that comes from units which a client gives up."""
    own_before: Floats
    """[L] fraction of a client's units that it had before it fetched others."""
    in_client: Floats
    """[L] fraction of a network's skill that lies in the client's units."""
    client_speed: Floats
    """[L] of `Parameters`, at each client's cut."""
    known: Floats
    """[L] sum over the classes of skill."""
    total: Floats
    """[L] sum over the classes of `weight`."""
    hit: Floats
    """[L] share of a client's samples that are answered rightly."""
    wrong: Floats
    """[L] sum over the classes of `rate`."""
    speed: Floats
    """[L] of a client's learning, as a multiple of those in `Parameters`."""
    decay: Floats
    """[L] of its skill."""
    noise: Floats
    """[L] normals of losses, then losses of the mini-batches."""
    sharpness: Floats
    """[L] logits of a decision, as a multiple of skill."""
    shaken: Floats
    """[L] how far chance shakes these logits."""
    further: Floats
    """[L] how much further they lie from even odds."""
    expected: Floats
    """[L] accuracy on test data."""
    balanced: Floats
    """[L] sum over the classes of their accuracies."""

    @classmethod
    def empty(cls, clients: int, classes: int) -> Self:
        """Made once."""
        width = lanes(clients)
        right, weight, error, rate = _aligned(4, classes, width)
        return cls(right, weight, error, rate, np.zeros(classes), *_aligned(17, width))
