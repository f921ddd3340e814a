"""Top-k and randomised top-k, against a plain decoder of their bytes, autograd, and the law of their draws."""

import struct
from itertools import permutations

import numpy as np
import pytest
import torch
from coded import SHAPES, back, bits_of, chance, normal, numbers_in, size, there
from hypothesis import given
from hypothesis import strategies as st

from splitgym.frameworks.codecs import codec
from splitgym.frameworks.codecs.top_k import RandomTopK
from splitgym.scenario import ScenarioError

FAMILIES = ("top-k", "random-top-k")


def decoded(payload, shape, fraction):
    """Smashed data of the documented layout, and the positions of each row."""
    b, d = shape[0], size(shape[1:])
    k = max(1, round(fraction * d))
    width = next(w for w in range(64) if 2**w >= d)
    values = struct.unpack(f"<{b * k}f", bytes(payload[: 4 * b * k].tolist()))
    positions = numbers_in(bits_of(payload[4 * b * k :]), width, b * k)
    rows = np.zeros((b, d), np.float32)
    for n, (value, position) in enumerate(zip(values, positions, strict=True)):
        rows[n // k, position] = value
    return rows.reshape(shape), np.array(positions).reshape(b, k)


@pytest.mark.parametrize("family", FAMILIES)
@given(shape=SHAPES, fraction=st.sampled_from([0.05, 0.3, 0.5, 1.0]), seed=st.integers(0, 9))
def test_a_plain_program_decodes_the_bytes(family, shape, fraction, seed):
    made, smashed = codec(f"{family}:{fraction}"), normal(shape, seed)
    for generator in (None, chance(seed)):
        payload = made.encode(smashed, generator).payload
        rows, positions = decoded(payload, shape, fraction)
        assert np.array_equal(made.decode(payload, shape).smashed.numpy(), rows)
        # Distinct, ascending, and each with its own number.
        assert (np.diff(positions, axis=1) > 0).all()
        flat = smashed.numpy().reshape(shape[0], -1)
        assert np.array_equal(
            np.take_along_axis(rows.reshape(flat.shape), positions, 1), np.take_along_axis(flat, positions, 1)
        )
        if generator is None or family == "top-k":
            expected = np.sort(np.argsort(-np.abs(flat), 1, kind="stable")[:, : positions.shape[1]], 1)
            assert np.array_equal(positions, expected)


@pytest.mark.parametrize("family", FAMILIES)
def test_all_features_are_the_identity(family):
    smashed = normal((5, 3, 4, 4))
    assert torch.equal(there(codec(f"{family}:1"), smashed, chance()), smashed)
    assert torch.equal(back(codec(f"{family}:1"), smashed, -smashed, chance()), -smashed)


@pytest.mark.parametrize("family", FAMILIES)
def test_gradients_are_those_of_autograd_and_decoding_is_the_adjoint_of_encoding(family):
    made, smashed, target = codec(f"{family}:0.2"), normal((6, 3, 4, 4)), normal((6, 3, 4, 4), seed=1)
    received = there(made, smashed, chance(7))
    mask = (received != 0).double()
    leaf = smashed.double().requires_grad_()
    sent = leaf * mask
    loss = ((sent - target.double()) ** 3).sum() + sent.flatten(1).norm(dim=1).sum()
    at_server, expected = torch.autograd.grad(loss, [sent, leaf])
    found = back(made, smashed, at_server.float(), chance(7))
    assert torch.allclose(found.double(), expected, rtol=1e-6, atol=1e-7)
    assert ((found != 0) == (mask != 0)).all()
    # <encode Z, U> = <Z, decode U>: all of U where positions were sent, nothing elsewhere.
    assert float((received * target).sum()) == pytest.approx(
        float((smashed * back(made, smashed, target, chance(7))).sum())
    )


def law_of_draws(d, k, alpha):
    """Probability of each set of k of d features, of which the first k are the largest: all orders of k draws."""
    single = [(1 - alpha) / k] * k + [alpha / (d - k)] * (d - k)
    sets = {}
    for order in permutations(range(d), k):
        probability, left = 1.0, 1.0
        for feature in order:
            probability, left = probability * single[feature] / left, left - single[feature]
        sets[tuple(sorted(order))] = sets.get(tuple(sorted(order)), 0.0) + probability
    return sets


@pytest.mark.parametrize(("d", "k", "alpha"), [(4, 2, 0.1), (5, 2, 0.3), (6, 3, 0.1), (5, 1, 0.2)])
def test_draws_follow_their_law(d, k, alpha):
    rows, law = 30_000, law_of_draws(d, k, alpha)
    assert sum(law.values()) == pytest.approx(1.0)
    smashed = torch.arange(d, 0, -1.0).expand(rows, -1)
    context = RandomTopK(k / d, alpha).encode(smashed, chance()).context
    sets, counts = np.unique(context.positions.numpy(), axis=0, return_counts=True)
    found = dict(zip(map(tuple, sets.tolist()), counts.tolist(), strict=True))
    assert found.keys() <= law.keys()
    for chosen, probability in law.items():
        deviation = (probability * (1 - probability) / rows) ** 0.5
        assert abs(found.get(chosen, 0) / rows - probability) < 5 * deviation, chosen


def test_alpha_lies_between_0_and_1():
    for alpha in (0.0, 1.0):
        with pytest.raises(ScenarioError, match=rf"codec random-top-k: alpha = {alpha}, allowed: above 0, below 1"):
            RandomTopK(0.1, alpha)


def test_bits_and_flops_are_counted_by_hand():
    # 3 rows; 2 of 20 features, 5 bits for each position: 24 bytes of values and 30 bits, that is 4 bytes.
    assert codec("top-k:0.1").costs(3, (4, 5)) == (224, 192, 3 * 100 + 12, 12, 6, 6)
    assert codec("random-top-k:0.1").costs(3, (4, 5)) == (224, 192, 3 * 240 + 12, 12, 6, 6)
    assert codec("top-k:0.1").costs(3, (1,))[:2] == (96, 96)
