"""C3 against circular convolutions written out, autograd, and the published size of its error."""

import numpy as np
import pytest
import torch
from coded import back, normal, there
from hypothesis import given
from hypothesis import strategies as st

from splitgym.frameworks.codecs import codec

FAMILIES = ("c3", "c3-unitary")


def bound(made, smashed):
    """[groups, D] what is sent, read from the bytes."""
    payload = bytes(made.encode(smashed).payload.tolist())
    return np.frombuffer(payload, "<f4").reshape(-1, smashed[0].numel())


def keys_of(made, R, D):
    """[R, D] keys: what is sent of a group that has 1 at the first feature of one row and 0 elsewhere."""
    rows = torch.zeros(R, R, D)
    rows[range(R), range(R), 0] = 1
    return np.concatenate([bound(made, group) for group in rows])


def convolved(keys, rows):
    """sum_i K_i (*) Z_i, term by term."""
    D = rows.shape[1]
    return np.array(
        [sum(k[m] * z[(n - m) % D] for k, z in zip(keys, rows, strict=False) for m in range(D)) for n in range(D)]
    )


def correlated(key, bound):
    """K (corr) V, term by term."""
    D = len(bound)
    return np.array([sum(key[m] * bound[(n + m) % D] for m in range(D)) for n in range(D)])


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("R", "D"), [(1, 1), (2, 7), (3, 12), (4, 2)])
def test_encoding_and_decoding_are_convolution_and_correlation(family, R, D):
    made, b = codec(f"{family}:{R}"), 2 * R + 1
    keys, smashed = keys_of(made, R, D).astype(float), normal((b, D))
    rows = smashed.double().numpy()
    sent = [convolved(keys, rows[first : first + R]) for first in range(0, b, R)]
    assert bound(made, smashed) == pytest.approx(np.array(sent), abs=1e-5)
    received = [correlated(keys[i % R], sent[i // R]) for i in range(b)]
    assert there(made, smashed).numpy() == pytest.approx(np.array(received), abs=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
@given(R=st.integers(1, 5), b=st.integers(1, 11), D=st.integers(1, 40), seed=st.integers(0, 9))
def test_decoding_is_the_adjoint_of_encoding(family, R, b, D, seed):
    """<encode Z, U> = <Z, decode U>, where U comes down as a gradient with respect to what was sent."""
    made, smashed = codec(f"{family}:{R}"), normal((b, D), seed)
    sent = made.encode(smashed)
    up = np.frombuffer(bytes(sent.payload.tolist()), "<f4").astype(float)
    u = np.random.default_rng(seed).standard_normal(len(up)).astype("<f4")
    down = made.decode_gradient(torch.frombuffer(bytearray(u.tobytes()), dtype=torch.uint8), sent.context)
    scale = np.linalg.norm(up) * np.linalg.norm(u) + 1e-6
    assert abs(up @ u - float((smashed.double() * down.double()).sum())) < 1e-5 * scale


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("b", "R"), [(6, 3), (7, 3), (2, 4)])
def test_gradients_are_those_of_autograd(family, b, R):
    made, smashed, D = codec(f"{family}:{R}"), normal((b, 2, 3, 2)), 12
    circulants = torch.tensor(np.array([[np.roll(key, m) for m in range(D)] for key in keys_of(made, R, D)])).double()
    leaf = smashed.double().requires_grad_()
    rows = torch.cat([leaf.flatten(1), torch.zeros(-b % R, D)]).view(-1, R, D)
    # circulants[i][m] is the key moved by m, so that Z_i times it is their convolution.
    v = torch.einsum("gim,imn->gn", rows, circulants)
    received = torch.einsum("gn,imn->gim", v, circulants).reshape(-1, D)[:b].view(leaf.shape)
    assert torch.allclose(there(made, smashed).double(), received, atol=1e-5)
    loss = (received**3).sum() + received.exp().mean()
    at_server, expected = torch.autograd.grad(loss, [received, leaf])
    found = back(made, smashed, at_server.float()).double()
    assert float((found - expected).norm() / expected.norm()) < 1e-5


@pytest.mark.parametrize("b", [1, 5])
def test_a_unitary_key_alone_is_the_identity(b):
    smashed = normal((b, 3, 5, 4))
    assert torch.allclose(there(codec("c3-unitary:1"), smashed), smashed, atol=1e-5)
    assert torch.allclose(back(codec("c3-unitary:1"), smashed, -smashed), -smashed, atol=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("D", [9, 10])
def test_keys_have_unit_norm_and_unitary_ones_a_flat_spectrum(family, D):
    keys = keys_of(codec(f"{family}:4"), 4, D)
    assert np.linalg.norm(keys, axis=1) == pytest.approx(np.ones(4), rel=1e-5)
    assert np.allclose(np.abs(np.fft.fft(keys)), 1.0, atol=1e-5) == (family == "c3-unitary")
    assert np.linalg.matrix_rank(keys) == 4


@pytest.mark.parametrize(
    ("family", "R", "expected"), [("c3", 2, 2), ("c3", 8, 8), ("c3-unitary", 2, 1), ("c3-unitary", 8, 7)]
)
def test_the_error_is_that_of_the_other_rows(family, R, expected):
    """Relative to the power of features without a mean: R with Gaussian keys, R - 1 with unitary ones."""
    smashed = normal((8 * R, 4000))
    error = (there(codec(f"{family}:{R}"), smashed) - smashed).square().sum() / smashed.square().sum()
    assert float(error) == pytest.approx(expected, rel=0.05)


def test_a_group_of_fewer_rows_is_sent_as_such():
    """The rows that are left at the end have no noise of rows that are not there."""
    smashed = normal((5, 30))
    found = there(codec("c3-unitary:4"), smashed)
    assert torch.allclose(found[4], smashed[4], atol=1e-5)
    assert torch.allclose(found[:4], there(codec("c3-unitary:4"), smashed[:4]), atol=1e-5)


def test_bits_and_flops_are_counted_by_hand():
    # 3 rows in 2 groups, D = 8: 5 transforms of 2.5 * 8 * 3 FLOPs, 5 Fourier coefficients of each row.
    assert codec("c3:2").costs(3, (2, 4)) == (512, 512, 420, 390, 420, 390)
