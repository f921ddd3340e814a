"""Adapters are averaged as products, against plain linear algebra."""

import copy

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from splitgym.frameworks.fetched_units import mix
from splitgym.frameworks.mean_of_adapters import MeanOfAdapters, adapters_of, factors
from splitgym.frameworks.snapshots import MixedMean, WeightedMean, state_of
from splitgym.models.frozen import AdaptedLinear

INPUTS, OUTPUTS, RANK = 9, 7, 2


def normal(*shape: int, seed: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def layer(seed: int, outputs: int = OUTPUTS) -> AdaptedLinear:
    made, chance = AdaptedLinear(INPUTS, outputs, RANK).double(), torch.Generator().manual_seed(seed)
    for tensor in (*made.parameters(), *made.buffers()):
        torch.nn.init.normal_(tensor, generator=chance)
    return made


def product(of: AdaptedLinear) -> np.ndarray:
    return (of.up.weight @ of.down.weight).detach().numpy()


def nearest(matrix: np.ndarray, rank: int) -> np.ndarray:
    u, s, v = np.linalg.svd(matrix)
    return (u[:, :rank] * s[:rank]) @ v[:rank]


@given(st.integers(0, 10_000), st.integers(0, 4), st.integers(1, 3))
def test_factors_are_those_of_the_nearest_product(seed: int, rank_of_mean: int, rank: int) -> None:
    matrix = normal(OUTPUTS, rank_of_mean, seed=seed) @ normal(rank_of_mean, INPUTS, seed=seed + 1)
    up, down = factors(matrix, normal(rank, INPUTS, seed=seed + 2))
    assert up.shape == (OUTPUTS, rank)
    assert torch.linalg.matrix_rank(down) == rank
    singular = np.linalg.svd(matrix.numpy(), compute_uv=False)
    error = np.linalg.norm(matrix.numpy() - (up @ down).numpy())
    assert error == pytest.approx(np.sqrt(np.square(singular[rank:]).sum()), abs=1e-8)


def test_what_nodes_have_in_common_stays() -> None:
    """A in common: B is the mean of all B. B in common: A is the mean. Nothing learnt: A stays."""
    a, b, other = normal(RANK, INPUTS, seed=1), normal(OUTPUTS, RANK, seed=2), normal(OUTPUTS, RANK, seed=3)
    up, down = factors((0.3 * b + 0.7 * other) @ a, a)
    torch.testing.assert_close((up, down), (0.3 * b + 0.7 * other, a))
    mean = 0.5 * a + 0.5 * normal(RANK, INPUTS, seed=4)
    torch.testing.assert_close(factors(b @ mean, mean), (b, mean))
    torch.testing.assert_close(factors(torch.zeros(OUTPUTS, INPUTS, dtype=torch.float64), a), (torch.zeros_like(b), a))


def of_nodes(weights: list[float]) -> tuple[list[AdaptedLinear], np.ndarray]:
    """Layers of some nodes, and the mean of their products."""
    made = [layer(seed) for seed in range(len(weights))]
    return made, sum(w * product(each) for w, each in zip(weights, made, strict=True))


def test_a_mean_over_nodes_is_that_of_products() -> None:
    """Not the product of the means, and nothing frozen changes."""
    weights = [0.2, 0.5, 0.3]
    made, expected = of_nodes(weights)
    shared = layer(7)
    frozen = copy.deepcopy(shared.frozen)
    mean = WeightedMean(state_of([shared]), [shared])
    for weight, own in zip(weights, made, strict=True):
        mean.begin()
        shared.load_state_dict(own.state_dict())
        mean.add(torch.tensor(weight, dtype=torch.float64))
    mean.finish()
    np.testing.assert_allclose(product(shared), nearest(expected, RANK), atol=1e-9)
    apart = sum(w * own.up.weight for w, own in zip(weights, made, strict=True)) @ sum(
        w * own.down.weight for w, own in zip(weights, made, strict=True)
    )
    assert np.abs(product(shared) - apart.detach().numpy()).max() > 0.1
    torch.testing.assert_close(list(shared.frozen.buffers()), list(frozen.buffers()), rtol=0, atol=0)


def test_units_that_are_averaged_and_handed_on_end_as_the_mean_of_both() -> None:
    weights = [0.2, 0.5, 0.3]
    made, _ = of_nodes(weights)
    shared = layer(7)
    mean = MixedMean(shared)
    for weight, own, averaged in zip(weights, made, [True, False, False], strict=True):
        mean.begin(averaged)
        shared.load_state_dict(own.state_dict())
        mean.add(weight, averaged)
    mean.finish()
    expected = 0.2 * product(made[0]) + 0.8 * product(made[2])
    np.testing.assert_allclose(product(shared), nearest(expected, RANK), atol=1e-9)


def test_mixing_replaces_a_part_of_the_product() -> None:
    made, expected = of_nodes([0.25, 0.35])
    common = layer(7)
    expected = expected + 0.4 * product(common)
    mix([common], [[each] for each in made], np.array([0.25, 0.35]))
    np.testing.assert_allclose(product(common), nearest(expected, RANK), atol=1e-9)


def test_a_mean_of_wide_layers_is_cut_to_their_rank() -> None:
    wide = torch.nn.Sequential(layer(1, outputs=40), torch.nn.ReLU())
    mean = MeanOfAdapters([wide])
    for seed in (2, 3, 4):
        mean.add(1 / 3, [torch.nn.Sequential(layer(seed, outputs=40))])
    mean.finish()
    assert np.linalg.matrix_rank(product(adapters_of([wide])[0])) == RANK
