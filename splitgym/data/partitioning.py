"""How the clients share the training data."""

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from splitgym.data.errors import DataError
from splitgym.scenario.errors import suggest

MINIMUM_SAMPLES = 8
"""Samples that partition="dirichlet" leaves every client, or an equal share where the data are fewer."""


def partition(
    labels: NDArray[np.integer],
    clients: int,
    method: str,
    generator: Generator,
    *,
    dirichlet_alpha: float = 0.5,
    shards_per_client: int = 2,
) -> list[NDArray[np.int64]]:
    """Gives every sample to exactly one client, and every client at least one sample.

    Args:
        labels: Class of each sample, int [n].
        clients: Number of clients C.
        method: "iid": equal parts at random, sizes differ by one at most. "dirichlet": each class is divided in
            proportions drawn from Dir(alpha) (Hsu et al. 2019, arXiv 1909.06335; in the form of Li et al. 2022,
            NIID-Bench, ICDE); who gets fewer than `MINIMUM_SAMPLES` then takes random ones from the richest. "shards":
            the data sorted by label are divided into equal shards, and each client gets some (McMahan et al. 2017).
        generator: Draws the partition.
        dirichlet_alpha: Concentration alpha > 0; the smaller, the more the clients differ.
        shards_per_client: Shards a client gets.

    Returns:
        For each client the indices of its samples, increasing, int64.

    Raises:
        DataError: unknown method, or fewer samples than clients or shards.
    """
    if clients < 1 or clients > len(labels):
        raise DataError(f"clients = {clients}: allowed are 1 to {len(labels)}, the number of samples")
    if method == "iid":
        owners = generator.permutation(np.arange(len(labels)) % clients)
    elif method == "dirichlet":
        owners = _dirichlet_owners(labels, clients, generator, dirichlet_alpha)
    elif method == "shards":
        owners = _shard_owners(labels, clients, generator, shards_per_client)
    else:
        raise DataError(f"partition {method!r} is unknown: {suggest(method, ('iid', 'dirichlet', 'shards'))}")
    return [np.flatnonzero(owners == client) for client in range(clients)]


def _dirichlet_owners(labels: NDArray, clients: int, generator: Generator, alpha: float) -> NDArray[np.int64]:
    """The client of each sample, int64 [n]."""
    if alpha <= 0:
        raise DataError(f"dirichlet_alpha = {alpha}: must be above 0")
    owners = np.empty(len(labels), dtype=np.int64)
    for label in np.unique(labels):
        members = generator.permutation(np.flatnonzero(labels == label))
        shares = generator.dirichlet(np.full(clients, alpha))
        bounds = np.rint(np.cumsum(shares)[:-1] * len(members)).astype(np.int64)
        for client, part in enumerate(np.split(members, bounds)):
            owners[part] = client
    _raise_to_minimum(owners, clients, generator)
    return owners


def _raise_to_minimum(owners: NDArray[np.int64], clients: int, generator: Generator) -> None:
    """Moves single samples, in place, from the richest client to the poorest until all have the minimum.

    Drawing again until all have it, as NIID-Bench does, may never end with many clients and a small alpha.
    """
    sizes = np.bincount(owners, minlength=clients)
    minimum = min(MINIMUM_SAMPLES, len(owners) // clients)
    while sizes.min() < minimum:
        poorest, richest = sizes.argmin(), sizes.argmax()
        owners[generator.choice(np.flatnonzero(owners == richest))] = poorest
        sizes[poorest] += 1
        sizes[richest] -= 1


def _shard_owners(labels: NDArray, clients: int, generator: Generator, shards_per_client: int) -> NDArray[np.int64]:
    """The client of each sample, int64 [n]."""
    shards = clients * shards_per_client
    if shards_per_client < 1 or shards > len(labels):
        raise DataError(
            f"shards_per_client = {shards_per_client}: allowed are 1 to {len(labels) // clients} "
            f"for {clients} clients and {len(labels)} samples"
        )
    by_label = np.lexsort((generator.random(len(labels)), labels))
    shard_of_place = np.arange(len(labels)) * shards // len(labels)
    client_of_shard = generator.permutation(np.arange(shards) % clients)
    owners = np.empty(len(labels), dtype=np.int64)
    owners[by_label] = client_of_shard[shard_of_place]
    return owners
