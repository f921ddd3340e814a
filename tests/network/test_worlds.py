"""Drawing for many worlds, and taking worlds out and putting them back."""

from dataclasses import dataclass

import numpy as np
import pytest
from scipy import stats

from splitgym.network.worlds import gauss_markov, put
from splitgym.random import NormalBuffer, child_of, standard_normal, uniform


@dataclass(frozen=True)
class Inner:
    values: np.ndarray


@dataclass(frozen=True)
class Outer:
    inner: Inner
    numbers: np.ndarray


def test_each_world_draws_from_its_own_generator() -> None:
    rngs = [np.random.default_rng(seed) for seed in (4, 5)]
    normal, flat = standard_normal(rngs, (3, 2)), uniform(rngs, (4,))
    for i, seed in enumerate((4, 5)):
        rng = np.random.default_rng(seed)
        np.testing.assert_array_equal(normal[i], rng.standard_normal((3, 2)))
        np.testing.assert_array_equal(flat[i], rng.random(4))


def test_gauss_markov_mixes_old_and_new() -> None:
    previous, correlation = np.full((1, 2), 2.0), np.array([[0.6, 1.0]])
    after = gauss_markov([np.random.default_rng(0)], previous, correlation)
    new = np.random.default_rng(0).standard_normal(2)
    np.testing.assert_allclose(after, [[0.6 * 2 + 0.8 * new[0], 2.0]], rtol=1e-15)


def test_put_replaces_the_given_worlds_only() -> None:
    state = Outer(Inner(np.arange(6.0).reshape(3, 2)), np.arange(3))
    put(state, np.array([0, 2]), Outer(Inner(np.array([[0.0, -1.0], [-4.0, -5.0]])), np.array([10, 12])))
    np.testing.assert_array_equal(state.inner.values, [[0, -1], [2, 3], [-4, -5]])
    np.testing.assert_array_equal(state.numbers, [10, 1, 12])


@pytest.mark.parametrize("numbers", [7, 2000])
def test_a_stock_hands_out_the_stream_of_each_world(numbers: int) -> None:
    """Also to a world that follows another generator while others are in the middle of what was drawn ahead."""
    stock, parents = NormalBuffer(2, numbers), [np.random.default_rng(seed) for seed in (4, 5)]
    for world, parent in enumerate(parents):
        stock.follow(world, parent)
    streams = [child_of(np.random.default_rng(seed)) for seed in (4, 5)]
    for number in range(400 if numbers == 7 else 5):
        stock.follow(0, parents[0])
        if number == 2:
            stock.follow(1, np.random.default_rng(6))
            streams[1] = child_of(np.random.default_rng(6))
        row = stock.next()
        drawn = np.concatenate([row.take((3, 2)).reshape(2, 6), row.take((numbers - 6,))], axis=1)
        for world, stream in enumerate(streams):
            np.testing.assert_array_equal(drawn[world], stream.standard_normal(numbers))


def test_uniform_numbers_of_a_stock_are_uniform() -> None:
    stock = NormalBuffer(1, 5000)
    stock.follow(0, np.random.default_rng(0))
    drawn = uniform(stock.next(), (5000,))
    assert drawn.shape == (1, 5000)
    assert stats.kstest(drawn[0], "uniform").pvalue > 0.01
