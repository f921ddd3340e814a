"""Mini-batches of one client."""

from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from splitgym.learning.batches import BatchOrder


@given(count=st.integers(1, 40), size=st.integers(1, 25), draws=st.integers(1, 12), seed=st.integers(0, 99))
def test_whole_epochs_without_replacement_whatever_the_sizes(count: int, size: int, draws: int, seed: int) -> None:
    samples = np.arange(count) * 3 + 100
    order = BatchOrder(samples, np.random.default_rng(seed))
    drawn = np.concatenate([order.draw(size) for _ in range(draws)])
    assert len(drawn) == size * draws
    for first in range(0, len(drawn), count):
        epoch = drawn[first : first + count]
        assert len(set(epoch)) == len(epoch)
        assert set(epoch) <= set(samples)


def test_a_client_with_less_data_than_a_batch_repeats_it_evenly() -> None:
    order = BatchOrder(np.array([4, 7, 9]), np.random.default_rng(0))
    assert sorted(Counter(order.draw(8).tolist()).values()) == [2, 3, 3]
    assert sorted(Counter(order.draw(1).tolist()).values()) == [1]
    assert set(BatchOrder(np.array([4]), np.random.default_rng(0)).draw(5)) == {4}


def test_order_comes_from_the_generator_and_changes_from_epoch_to_epoch() -> None:
    samples = np.arange(50)
    orders = [BatchOrder(samples, np.random.default_rng(seed)) for seed in (1, 1, 2)]
    one, two, other = ([order.draw(50).tolist() for _ in range(2)] for order in orders)
    assert one == two
    assert one[0] != other[0]
    assert one[0] != one[1]
    assert samples.tolist() == list(range(50))
