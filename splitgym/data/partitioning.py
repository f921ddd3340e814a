"""How the clients share the training data.

The law of a partition is that of its counts: how many samples of each class every client holds. Which samples these are
is then even chance, so that a model of learning may draw the counts alone.
"""

from collections.abc import Sequence

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from splitgym.arrays import Floats, Ints
from splitgym.data.errors import DataError
from splitgym.kernels import COMPILED, kernel
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
        labels: Class of each sample, int [n].
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
        shares = _draw_shares(len(class_sizes), clients, generator, dirichlet_alpha)
        return _dirichlet_counts(class_sizes, np.array([clients]), [generator], shares[None])[0]
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


def class_counts_of_worlds(
    class_sizes: Ints,
    clients: Ints,
    most_clients: int,
    method: str,
    generators: Sequence[Generator],
    dirichlet_alpha: Floats,
    shards_per_client: int,
) -> Ints:
    """`class_counts` of W worlds, each from its own generator, to the bit; fast for "dirichlet".

    Args:
        class_sizes: [K] samples of each class.
        clients: [W] numbers of clients.
        most_clients: C, of any world.
        method: As of `class_counts`.
        generators: W.
        dirichlet_alpha: [W] concentrations.
        shards_per_client: Shards a client gets.

    Returns:
        [W, C, K] counts; 0 for clients that a world does not have.
    """
    worlds = zip(clients.tolist(), generators, dirichlet_alpha.tolist(), strict=True)
    if method == "dirichlet":
        shares = np.zeros((len(generators), len(class_sizes), most_clients))
        for own, (count, generator, alpha) in zip(shares, worlds, strict=True):
            own[:, :count] = _draw_shares(len(class_sizes), count, generator, alpha)
        return _dirichlet_counts(class_sizes, clients, generators, shares)
    counts = np.zeros((len(generators), most_clients, len(class_sizes)), np.int64)
    for own_counts, (count, generator, _) in zip(counts, worlds, strict=True):
        own_counts[:count] = class_counts(class_sizes, count, method, generator, shards_per_client=shards_per_client)
    return counts


def _draw_shares(classes: int, clients: int, generator: Generator, alpha: float) -> Floats:
    """[K, C] shares of each class, up to a factor for each class: Dir(alpha) are gammas over their sum."""
    if alpha <= 0:
        raise DataError(f"dirichlet_alpha = {alpha}: must be above 0")
    if alpha < LEAST_GAMMA_SHAPE:
        return generator.dirichlet(np.full(clients, alpha), classes)
    return generator.standard_gamma(alpha, (classes, clients))


def _dirichlet_counts(class_sizes: Ints, clients: Ints, generators: Sequence[Generator], shares: Floats) -> Ints:
    """[W, C, K] counts by shares [W, K, C], with the minimum for everybody."""
    counts, poorest = _divide(shares, clients, class_sizes)
    minimum = np.minimum(MINIMUM_SAMPLES, int(class_sizes.sum()) // clients)
    for world in np.flatnonzero(poorest < minimum).tolist():
        _raise_to(minimum[world], counts[world, : clients[world]], generators[world])
    return counts


@kernel(COMPILED)
def _divide(shares: Floats, clients: Ints, class_sizes: Ints) -> tuple[Ints, Ints]:
    """[W, C, K] counts of clients with shares [W, K, C], and [W] how many samples the poorest client of a world has."""
    worlds, classes, most_clients = shares.shape
    counts, poorest = np.zeros((worlds, most_clients, classes), np.int64), np.empty(worlds, np.int64)
    sizes = np.empty(most_clients, np.int64)
    for world in range(worlds):
        last = clients[world] - 1
        sizes[:] = 0
        for label in range(classes):
            total = shares[world, label].sum()
            share, given = 0.0, 0
            for client in range(last + 1):
                share += shares[world, label, client] / total
                # The last bound may miss 1 by a rounding error.
                bound = class_sizes[label] if client == last else int(np.rint(share * class_sizes[label]))
                counts[world, client, label] = bound - given
                sizes[client] += bound - given
                given = bound
        poorest[world] = sizes[: last + 1].min()
    return counts, poorest


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
