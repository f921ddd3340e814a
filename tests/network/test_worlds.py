"""Drawing for many worlds, and taking worlds out and putting them back."""

from dataclasses import dataclass

import numpy as np

from splitgym.network.worlds import gauss_markov, put, standard_normal, take, uniform


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


def test_take_and_put_leave_the_original_alone() -> None:
    state = Outer(Inner(np.arange(6.0).reshape(3, 2)), np.arange(3))
    worlds = np.array([0, 2])
    part = take(state, worlds)
    np.testing.assert_array_equal(part.inner.values, [[0, 1], [4, 5]])
    merged = put(state, worlds, Outer(Inner(-part.inner.values), part.numbers + 10))
    np.testing.assert_array_equal(merged.inner.values, [[0, -1], [2, 3], [-4, -5]])
    np.testing.assert_array_equal(merged.numbers, [10, 1, 12])
    np.testing.assert_array_equal(state.inner.values, np.arange(6.0).reshape(3, 2))
