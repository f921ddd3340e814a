"""How the clients share the training data.

The law of a partition is that of its counts: how many samples of each class every client holds. Which samples these are
is then even chance, so that a model of learning may draw the counts alone.
"""

from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from splitgym.arrays import Floats, Ints
from splitgym.data.errors import DataError
from splitgym.parts import suggest

MINIMUM_SAMPLES = 8
"""Samples that partition="dirichlet" leaves every client, or an equal share where the data are fewer."""

LEAST_GAMMA_SHAPE = 0.1
"""With smaller shapes gammas are so small that all of a class may be 0; `Generator.dirichlet` then goes another way."""


def partition(
    labels: NDArray[np.integer],
    clients: int,
    method: str,
    generator: Generator,
    *,
    dirichlet_alpha: float = 0.5,
    shards_per_client: int = 2,
) -> list[Ints]:
    """Gives every sample to exactly one client, and every client at least one sample.

    Args:
        labels: Class of each sample, or the book of each window, int [n].
        clients: As for `class_counts`.
        method: As for `class_counts`.
        generator: Draws the partition.
        dirichlet_alpha: As for `class_counts`.
        shards_per_client: As for `class_counts`.

    Returns:
        For each client the indices of its samples, increasing, int64.

    Raises:
        DataError: unknown method, or fewer samples than clients or shards.
    """
    sizes = np.bincount(labels)
    counts = class_counts(
        sizes,
        clients,
        method,
        generator,
        dirichlet_alpha=dirichlet_alpha,
        shards_per_client=shards_per_client,
    )
    owners = np.empty(len(labels), np.int64)
    for label in np.flatnonzero(sizes):
        members = generator.permutation(np.flatnonzero(labels == label))
        owners[members] = np.repeat(np.arange(clients), counts[:, label])
    return [np.flatnonzero(owners == client) for client in range(clients)]


def class_counts(
    class_sizes: Ints,
    clients: int,
    method: str,
    generator: Generator,
    *,
    dirichlet_alpha: float = 0.5,
    shards_per_client: int = 2,
) -> Ints:
    """Draws how many samples of each class every client gets.

    Args:
        class_sizes: [K] samples of each class.
        clients: Number of clients C.
        method: "iid": equal parts at random, sizes differ by one at most. "dirichlet": each class is divided in
            proportions drawn from Dir(alpha) (Hsu et al. 2019, arXiv 1909.06335; in the form of Li et al. 2022,
            NIID-Bench, ICDE); a client with fewer than `MINIMUM_SAMPLES` then takes random ones from the richest.
            "shards": the data sorted by label are divided into equal shards, and each client gets some (McMahan et al.
            2017).
        generator: Draws the counts.
        dirichlet_alpha: Concentration alpha > 0; the smaller, the more the clients differ.
        shards_per_client: Shards a client gets.

    Returns:
        [C, K] counts; every client has at least one sample, and the sum over the clients is `class_sizes`.

    Raises:
        DataError: unknown method, or fewer samples than clients or shards.
    """
    samples = int(class_sizes.sum())
    if clients < 1 or clients > samples:
        raise DataError(f"clients = {clients}: allowed are 1 to {samples}, the number of samples")
    if method == "iid":
        return _equal_counts(class_sizes, clients, generator)
    if method == "dirichlet":
        counts = _divide(class_sizes, _draw_shares(len(class_sizes), clients, generator, dirichlet_alpha))
        _raise_to(least_samples(samples, clients), counts, generator)
        return counts
    if method == "shards":
        return _shard_counts(class_sizes, clients, generator, shards_per_client)
    raise DataError(f"partition {method!r} is unknown: {suggest(method, ('iid', 'dirichlet', 'shards'))}")


def _equal_counts(class_sizes: Ints, clients: int, generator: Generator) -> Ints:
    """[C, K] samples drawn without replacement into parts whose sizes differ by one at most."""
    left, samples = class_sizes.copy(), int(class_sizes.sum())
    counts = np.empty((clients, len(left)), np.int64)
    for client in range(clients):
        part = samples // clients + (client < samples % clients)
        counts[client] = generator.multivariate_hypergeometric(left, part)
        left -= counts[client]
    return counts


def least_samples(samples: int, clients: Any) -> Any:
    """Samples that partition="dirichlet" leaves every client, of so many; of an array of numbers an array."""
    return np.minimum(MINIMUM_SAMPLES, samples // clients)


def _draw_shares(classes: int, clients: int, generator: Generator, alpha: float) -> Floats:
    """[K, C] shares of each class, up to a factor for each class: Dir(alpha) are gammas over their sum."""
    if alpha <= 0:
        raise DataError(f"dirichlet_alpha = {alpha}: must be above 0")
    if alpha < LEAST_GAMMA_SHAPE:
        return generator.dirichlet(np.full(clients, alpha), classes)
    return generator.standard_gamma(alpha, (classes, clients))


def _divide(class_sizes: Ints, shares: Floats) -> Ints:
    """[C, K] counts of clients with these shares of each class, [K, C], up to a factor for each class."""
    bounds = np.rint(np.cumsum(shares / shares.sum(1, keepdims=True), axis=1) * class_sizes[:, None]).astype(np.int64)
    # The last bound may miss 1 by a rounding error.
    bounds[:, -1] = class_sizes
    return np.ascontiguousarray(np.diff(bounds, axis=1, prepend=0).T)


def _raise_to(minimum: int, counts: Ints, generator: Generator) -> None:
    """Moves single samples, in place, from the richest client to the poorest until all have the minimum.

    Drawing again until all have it, as NIID-Bench does, may never end with many clients and a small alpha.
    """
    sizes = counts.sum(axis=1)
    while sizes.min() < minimum:
        poorest, richest = sizes.argmin(), sizes.argmax()
        place = generator.integers(sizes[richest])
        label = np.searchsorted(counts[richest].cumsum(), place, side="right")
        counts[poorest, label] += 1
        counts[richest, label] -= 1
        sizes[poorest] += 1
        sizes[richest] -= 1


def _shard_counts(class_sizes: Ints, clients: int, generator: Generator, shards_per_client: int) -> Ints:
    """[C, K] samples where each client gets so many equal pieces of the data sorted by label."""
    samples, shards = int(class_sizes.sum()), clients * shards_per_client
    if shards_per_client < 1 or shards > samples:
        raise DataError(
            f"shards_per_client = {shards_per_client}: allowed are 1 to {samples // clients} "
            f"for {clients} clients and {samples} samples"
        )
    # Sorted by label, shard s begins at the first place p with p * shards // samples = s.
    shard_bounds = -(-np.arange(shards + 1) * samples // shards)
    class_bounds = np.concatenate([[0], np.cumsum(class_sizes)])
    begins = np.maximum(shard_bounds[:-1, None], class_bounds[:-1])
    ends = np.minimum(shard_bounds[1:, None], class_bounds[1:])
    counts = np.zeros((clients, len(class_sizes)), np.int64)
    np.add.at(counts, generator.permutation(np.arange(shards) % clients), np.maximum(ends - begins, 0))
    return counts
