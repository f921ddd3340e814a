"""Partitions: disjoint, complete, nobody empty, and as skewed as they say."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from splitgym.data import DataError, class_counts, least_samples, partition
from splitgym.data.dirichlet import Room
from splitgym.learning.surrogate.reset import draw_data
from splitgym.random import Streams


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@st.composite
def tasks(draw):
    labels = np.array(draw(st.lists(st.integers(0, 9), min_size=1, max_size=200)))
    shards_per_client = draw(st.integers(1, 3))
    clients = draw(st.integers(1, max(1, len(labels) // shards_per_client)))
    return {
        "labels": labels,
        "clients": clients,
        "shards_per_client": shards_per_client if clients * shards_per_client <= len(labels) else 1,
        "dirichlet_alpha": 10 ** draw(st.floats(-9, 6)),
    }, draw(st.integers(0, 2**32))


@pytest.mark.parametrize("method", ["iid", "dirichlet", "shards"])
@given(task_and_seed=tasks())
@settings(max_examples=60, deadline=None)
def test_every_sample_has_one_client_and_every_client_a_sample(method, task_and_seed):
    task, seed = task_and_seed
    parts = partition(method=method, generator=rng(seed), **task)
    assert len(parts) == task["clients"]
    assert all(part.dtype == np.int64 and len(part) > 0 for part in parts)
    assert np.array_equal(np.sort(np.concatenate(parts)), np.arange(len(task["labels"])))
    again = partition(method=method, generator=rng(seed), **task)
    assert all(np.array_equal(one, other) for one, other in zip(parts, again, strict=True))


@pytest.mark.parametrize("method", ["iid", "dirichlet", "shards"])
@given(task_and_seed=tasks())
@settings(max_examples=60, deadline=None)
def test_a_partition_has_the_counts_that_are_drawn_first(method, task_and_seed):
    task, seed = task_and_seed
    labels = task.pop("labels")
    sizes = np.bincount(labels)
    counts = class_counts(sizes, task.pop("clients"), method, rng(seed), **task)
    np.testing.assert_array_equal(counts.sum(0), sizes)
    assert counts.min() >= 0
    assert counts.sum(1).min() >= 1
    parts = partition(labels, len(counts), method, rng(seed), **task)
    np.testing.assert_array_equal([np.bincount(labels[part], minlength=len(sizes)) for part in parts], counts)


def test_which_samples_of_a_class_a_client_gets_is_even_chance():
    labels = np.repeat([0, 1], 20)
    got = np.zeros(40)
    for seed in range(600):
        got[partition(labels, 2, "dirichlet", rng(seed), dirichlet_alpha=1.0)[0]] += 1
    assert np.ptp(got / 600) < 0.15


@given(samples=st.integers(1, 300), data=st.data())
@settings(deadline=None)
def test_iid_parts_are_equal(samples, data):
    clients = data.draw(st.integers(1, samples))
    sizes = [len(part) for part in partition(np.zeros(samples, int), clients, "iid", rng())]
    assert max(sizes) - min(sizes) <= 1


def class_shares(labels: np.ndarray, parts: list[np.ndarray]) -> np.ndarray:
    return np.array([np.bincount(labels[part], minlength=10) / len(part) for part in parts])


def test_iid_clients_see_every_class_alike():
    labels = np.repeat(np.arange(10), 1000)
    shares = class_shares(labels, partition(labels, 5, "iid", rng()))
    assert np.abs(shares - 0.1).max() < 0.03


def test_dirichlet_skew_grows_as_alpha_falls():
    labels = np.repeat(np.arange(10), 300)

    def skew(alpha: float) -> float:
        """Mean distance (total variation) of a client's classes from everybody's, over ten partitions."""
        draws = (partition(labels, 8, "dirichlet", rng(seed), dirichlet_alpha=alpha) for seed in range(10))
        return float(np.mean([np.abs(class_shares(labels, parts) - 0.1).sum(axis=1).mean() / 2 for parts in draws]))

    skews = [skew(alpha) for alpha in (0.05, 0.3, 1.0, 10.0, 1000.0)]
    assert all(more > less + 0.02 for more, less in itertools.pairwise(skews))
    assert skews[0] > 0.6
    assert skews[-1] < 0.05


def test_dirichlet_shares_have_the_moments_of_the_distribution():
    """Of one class, a client's share has mean 1/C and variance (C - 1) / (C^2 (C alpha + 1))."""
    clients, alpha, labels = 4, 0.7, np.zeros(2000, int)
    draws = [partition(labels, clients, "dirichlet", rng(seed), dirichlet_alpha=alpha) for seed in range(400)]
    shares = np.array([[len(part) / len(labels) for part in parts] for parts in draws])
    np.testing.assert_allclose(shares.mean(axis=0), 1 / clients, atol=0.05)
    np.testing.assert_allclose(shares.var(), (clients - 1) / (clients**2 * (clients * alpha + 1)), rtol=0.15)


@pytest.mark.parametrize(("samples", "clients", "minimum"), [(1000, 10, 8), (50, 10, 5), (10, 10, 1), (1500, 150, 8)])
def test_dirichlet_leaves_everybody_something_to_train_on(samples, clients, minimum):
    labels = rng(1).integers(0, 10, samples)
    sizes = [len(part) for part in partition(labels, clients, "dirichlet", rng(), dirichlet_alpha=0.01)]
    assert min(sizes) >= minimum


@pytest.mark.parametrize(("clients", "shards_per_client"), [(10, 2), (5, 2), (20, 1), (4, 5)])
def test_shards_bound_the_labels_of_a_client(clients, shards_per_client):
    """Ten classes of 60, in shards that never straddle two of them."""
    labels = rng(2).permutation(np.repeat(np.arange(10), 60))
    parts = partition(labels, clients, "shards", rng(), shards_per_client=shards_per_client)
    assert {len(part) for part in parts} == {600 // clients}
    assert all(len(np.unique(labels[part])) <= shards_per_client for part in parts)


def test_shards_are_drawn_inside_a_class_as_well():
    labels = np.repeat([0, 1], 50)
    first = partition(labels, 4, "shards", rng(), shards_per_client=1)[0]
    assert np.any(np.diff(first) > 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"clients": 11}, "clients = 11: allowed are 1 to 10"),
        ({"clients": 0}, "clients = 0"),
        ({"method": "dirichet"}, "partition 'dirichet' is unknown: did you mean 'dirichlet'?"),
        ({"method": "dirichlet", "dirichlet_alpha": 0.0}, "dirichlet_alpha = 0.0: must be above 0"),
        (
            {"method": "shards", "shards_per_client": 4},
            "shards_per_client = 4: allowed are 1 to 3 for 3 clients and 10",
        ),
        ({"method": "shards", "shards_per_client": 0}, "shards_per_client = 0"),
    ],
)
def test_what_cannot_be_divided_is_said(arguments, message):
    with pytest.raises(DataError, match=message):
        partition(**({"labels": np.arange(10), "clients": 3, "method": "iid", "generator": rng()} | arguments))


# In kernels --------------------------------------------------------------------------------------------------------


def drawn(sizes, clients, alpha, keys=None) -> np.ndarray:
    """[N, C, K] counts of N worlds, with so many clients and such an alpha each."""
    worlds, most, sizes = len(clients), int(np.max(clients)), np.asarray(sizes)
    keys = np.arange(worlds) if keys is None else keys
    streams = Streams(np.asarray(keys, np.uint64), np.zeros(worlds, np.int64))
    counts, own = np.zeros((worlds, most, len(sizes)), np.int64), np.asarray(clients, np.int64)
    least = np.array([least_samples(int(sizes.sum()), count) for count in own])
    room = Room.empty(most, len(sizes))
    draw_data(np.arange(worlds), sizes, own, np.asarray(alpha, float), least, streams, counts, room)
    return counts


SIZES = [40, 4, 60, 25, 31]
MEASURES = {
    "a count": lambda counts: counts[:, 0, 0],
    "a count of the last client": lambda counts: counts[:, -1, 2],
    "a size": lambda counts: counts[:, 1].sum(1),
    "the smallest size": lambda counts: counts.sum(2).min(1),
    "the largest size": lambda counts: counts.sum(2).max(1),
    "classes of a client": lambda counts: (counts[:, 0] > 0).sum(1),
    "concentration": lambda counts: np.square(counts).sum((1, 2)),
    "a product": lambda counts: counts[:, 0, 2] * counts[:, 1, 2],
}


@pytest.mark.parametrize(
    ("alpha", "clients"), [(0.01, 5), (0.08, 20), (0.1, 3), (0.5, 6), (2.0, 12), (300.0, 4), (0.3, 1)]
)
def test_kernels_draw_partitions_by_the_same_law(alpha, clients):
    """Means, deviations and distributions, with shapes that numpy draws in two ways, and where many samples move."""
    runs = 2000
    mine, generator = drawn(SIZES, [clients] * runs, [alpha] * runs), rng(clients)
    theirs = np.array(
        [class_counts(np.array(SIZES), clients, "dirichlet", generator, dirichlet_alpha=alpha) for _ in range(runs)]
    )
    if clients == 1:
        np.testing.assert_array_equal(mine, theirs)
        return
    for name, measure in MEASURES.items():
        one, other = measure(mine).astype(float), measure(theirs).astype(float)
        error = np.sqrt((one.var() + other.var()) / runs)
        assert abs(one.mean() - other.mean()) <= 4 * error, name
        assert stats.ks_2samp(one, other).pvalue > 1e-3, name
    means = [counts.mean(0) for counts in (mine, theirs)]
    error = np.sqrt((mine.var(0) + theirs.var(0)) / runs)
    assert (np.abs(means[0] - means[1]) <= 5 * error + 1e-12).all()
    squares = [np.square(counts - counts.mean(0)) for counts in (mine, theirs)]
    error = np.sqrt((squares[0].var(0) + squares[1].var(0)) / runs)
    assert (np.abs(squares[0].mean(0) - squares[1].mean(0)) <= 5 * error + 1e-12).all()


@given(
    sizes=st.lists(st.integers(0, 60), min_size=2, max_size=12).filter(sum),
    alpha=st.floats(-9, 6).map(lambda power: 10**power),
    data=st.data(),
)
@settings(deadline=None)
def test_kernels_give_every_sample_to_one_client_and_every_client_the_least(sizes, alpha, data):
    clients = data.draw(st.lists(st.integers(1, min(sum(sizes), 30)), min_size=3, max_size=3))
    counts = drawn(sizes, clients, [alpha] * 3, keys=[data.draw(st.integers(0, 2**64 - 1)) for _ in range(3)])
    assert counts.min() >= 0
    np.testing.assert_array_equal(counts.sum(1), [sizes] * 3)
    for own, count in zip(counts, clients, strict=True):
        assert own[:count].sum(1).min() >= least_samples(sum(sizes), count)
        assert not own[count:].any()


def test_partitions_of_many_worlds_are_those_of_single_ones():
    """To the bit, whatever the others have, in the same and in another place."""
    generator, worlds = rng(), 60
    clients, alpha = generator.integers(1, 8, worlds), generator.uniform(0.02, 1.0, worlds)
    counts = drawn(SIZES, clients, alpha)
    for world in range(worlds):
        own = int(clients[world])
        alone = drawn(SIZES, [own], [alpha[world]], keys=[world])
        np.testing.assert_array_equal(counts[world, :own], alone[0])
    assert not np.array_equal(counts, drawn(SIZES, clients, alpha, keys=np.arange(worlds) + 1))
