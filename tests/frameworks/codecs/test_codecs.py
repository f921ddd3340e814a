"""What holds for every codec."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from coded import NAMES, SHAPES, back, chance, normal, relu, there
from hypothesis import given
from hypothesis import strategies as st

from splitgym.frameworks.codecs import CODECS, Codec, Context, Costs, codec
from splitgym.inputs import InputError
from splitgym.scenario import ScenarioError

HUGE = {"c3:3": 1e38 / 300, "c3-unitary:3": 1e38 / 300}
"""Magnitudes that a codec is made for, with 100 features; others: all of float32."""


def test_one_of_each_family_is_tested():
    assert {name.partition(":")[0] for name in NAMES} == set(CODECS)
    assert all(codec(name).name == name for name in NAMES)


@pytest.mark.parametrize("name", NAMES)
@given(shape=SHAPES, seed=st.integers(0, 9), random=st.booleans())
def test_payloads_have_the_bits_that_are_charged(name, shape, seed, random):
    made, generator = codec(name), chance(seed) if random else None
    costs = made.costs(shape[0], shape[1:])
    sent = made.encode(normal(shape, seed), generator)
    assert sent.payload.dtype is torch.uint8
    assert 8 * sent.payload.numel() == costs.uplink_bits
    received = made.decode(sent.payload, shape)
    gradient = made.encode_gradient(normal(shape, seed + 1), received.context, generator)
    assert 8 * gradient.numel() == costs.downlink_bits
    assert received.smashed.shape == made.decode_gradient(gradient, sent.context).shape == shape


@pytest.mark.parametrize("name", NAMES)
@given(features=st.lists(st.integers(1, 40), min_size=1, max_size=3))
def test_costs_of_many_mini_batches_are_those_of_each(name, features):
    rows = np.arange(12)
    together = codec(name).costs(rows, tuple(features))
    for i in rows.tolist():
        assert codec(name).costs(i, tuple(features)) == tuple(each[i] for each in together)
    assert [each[0] for each in together] == [0] * len(Costs._fields)


@pytest.mark.parametrize("name", NAMES)
def test_both_sides_have_the_same_context(name):
    made, smashed = codec(name), relu((7, 3, 4, 4))
    sent = made.encode(smashed, chance())
    received = made.decode(sent.payload, smashed.shape)
    assert (sent.context.shape, sent.context.dtype) == (received.context.shape, received.context.dtype)
    if sent.context.positions is None:
        assert received.context.positions is None
    else:
        assert torch.equal(sent.context.positions, received.context.positions)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_types_stay_and_images_come_back_in_the_memory_format_of_networks(name, dtype):
    smashed = relu((5, 3, 4, 4)).to(dtype, memory_format=torch.channels_last)
    gradient = normal((5, 3, 4, 4)).to(dtype)
    for found in (there(codec(name), smashed, chance()), back(codec(name), smashed, gradient, chance())):
        assert found.dtype is dtype
        assert found.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("name", NAMES)
def test_numbers_do_not_depend_on_the_memory_format(name):
    smashed = relu((5, 3, 4, 4))
    payload = codec(name).encode(smashed, chance()).payload
    assert torch.equal(
        payload, codec(name).encode(smashed.contiguous(memory_format=torch.channels_last), chance()).payload
    )


@pytest.mark.parametrize("name", NAMES)
def test_the_generator_alone_decides_what_is_random(name):
    made, smashed = codec(name), normal((6, 50))
    state = torch.get_rng_state()
    payloads = [made.encode(smashed, chance(seed)).payload for seed in (0, 0, 1)]
    evaluated = [made.encode(smashed).payload for _ in range(2)]
    assert torch.equal(state, torch.get_rng_state())
    assert torch.equal(payloads[0], payloads[1])
    assert torch.equal(payloads[0], payloads[2]) == (not name.startswith(("uniform", "random")))
    assert torch.equal(*evaluated)


@pytest.mark.parametrize("name", NAMES)
def test_ordinary_extreme_and_empty_channels_stay_finite(name):
    largest = HUGE.get(name, torch.finfo(torch.float32).max)
    alternating = torch.tensor([1.0, -1.0]).repeat(50)
    rows = [
        0 * alternating,
        0 * alternating + 3.7,
        largest * alternating,
        1e-45 * alternating,
        largest + 0 * alternating,
    ]
    for mini_batch in (torch.stack(rows), *(row.expand(4, -1) for row in rows)):
        for smashed in (mini_batch, mini_batch.unflatten(1, (4, 5, 5))):
            for generator in (None, chance()):
                assert there(codec(name), smashed, generator).isfinite().all()
                assert back(codec(name), smashed, smashed, generator).isfinite().all()
    zeros = torch.zeros(5, 3, 4, 4)
    assert torch.equal(there(codec(name), zeros, chance()), zeros)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("fault", [torch.inf, -torch.inf, torch.nan])
def test_what_is_not_finite_is_noticed_behind_the_codec(name, fault):
    smashed = relu((6, 4, 5, 5))
    smashed[2, 1, 3, 3] = fault
    for seed in range(5):
        assert not there(codec(name), smashed, chance(seed)).isfinite().all()
    if codec(name).shares_gradients:
        assert not back(codec(name), relu((6, 4, 5, 5)), smashed).isfinite().all()


@pytest.mark.parametrize("name", NAMES)
def test_no_rows_are_no_bytes(name):
    made, nothing = codec(name), torch.zeros(0, 3, 4, 4)
    sent = made.encode(nothing, chance())
    received = made.decode(sent.payload, nothing.shape)
    gradient = made.encode_gradient(nothing, received.context, chance())
    assert len(sent.payload) == len(gradient) == 0
    assert made.decode_gradient(gradient, sent.context).shape == nothing.shape


@pytest.mark.parametrize("name", NAMES)
def test_rows_with_a_gradient_of_all_clients_are_encoded_once_where_that_is_possible(name):
    """Two clients with different data get the same gradient from one payload."""
    made, common = codec(name), normal((6, 40), seed=1)
    sent = [made.encode(relu((9, 40), seed), chance(seed)).context.rows(0, 6) for seed in (2, 3)]
    if not made.shares_gradients:
        assert not torch.equal(sent[0].positions, sent[1].positions)
        with pytest.raises(InputError, match="positions = None"):
            made.encode_gradient(common, Context(common.shape, common.dtype), chance())
        return
    payload = made.encode_gradient(common, Context(common.shape, common.dtype), chance())
    assert 8 * len(payload) == made.costs(6, (40,)).downlink_bits
    first, second = (made.decode_gradient(payload, context) for context in sent)
    assert torch.equal(first, second)


@pytest.mark.parametrize("name", ["none", "bf16", "top-k:0.3", "random-top-k:0.3", "c3:3"])
@pytest.mark.parametrize(("first", "last"), [(0, 9), (3, 6), (6, 9), (6, 20), (4, 4)])
def test_the_gradient_of_some_rows_is_that_of_these_rows(name, first, last):
    """Where rows, or groups of three rows, do not depend on each other."""
    made, smashed, gradient = codec(name), relu((9, 4)), normal((9, 4), seed=1)
    sent, whole = made.encode(smashed, chance(2)), back(made, smashed, gradient, chance(2))
    context, rows = sent.context.rows(first, last), gradient[first:last]
    found = made.decode_gradient(made.encode_gradient(rows, context), context)
    assert found.shape == context.shape == rows.shape
    assert torch.allclose(found, whole[first:last], atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_not_allowed_is_refused_in_one_line(name):
    made, smashed = codec(name), relu((4, 6))
    payload, context = made.encode(smashed)
    with pytest.raises(InputError, match=r"smashed: dtype = torch.float64, allowed: torch.float32"):
        made.encode(smashed.double())
    for wrong in (smashed[:, 0], smashed[:, :0]):
        with pytest.raises(
            InputError, match=r"smashed: shape = \(4,.*\), allowed: \[b, \*features\] with at least one"
        ):
            made.encode(wrong)
    with pytest.raises(InputError, match=rf"payload = .*allowed: {len(payload)} of torch.uint8"):
        made.decode(payload[:-1], smashed.shape)
    for wrong in (payload.to(torch.int64), payload[None]):
        with pytest.raises(InputError, match=rf"payload = .*allowed: {len(payload)} of torch.uint8"):
            made.decode(wrong, smashed.shape)
    with pytest.raises(InputError, match=r"gradient: shape = \(3, 6\), allowed: \(4, 6\)"):
        made.encode_gradient(smashed[:3], context)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("nonsens", "codec = 'nonsens' is unknown"),
        ("topk:0.1", "did you mean 'top-k'"),
        ("top-k:0", "fraction = 0.0, allowed: above 0, at most 1"),
        ("top-k:1.5", "fraction = 1.5, allowed: above 0, at most 1"),
        ("top-k:nan", "fraction = nan, allowed: above 0, at most 1"),
        ("random-top-k:x", "fraction = 'x', allowed: above 0, at most 1"),
        ("c3:0", "rows of a group = 0, allowed: 1..256"),
        ("c3-unitary:-1", "codec c3-unitary: rows of a group = '-1', allowed: 1..256"),
        ("fp16:3", "fp16 has no parameter, allowed: 'fp16'"),
        (7, "codec = 7 is unknown"),
    ],
)
def test_unknown_names_and_parameters_are_refused(asked, said):
    with pytest.raises(ScenarioError, match=said):
        codec(asked)


@dataclass(frozen=True)
class Signs(Codec):
    """One's own: the sign of each number, one byte each, plus bytes that are charged and not sent."""

    name = "signs"
    charged_and_not_sent: int = 0

    def costs(self, rows, features):
        bits = 8 * rows * int(np.prod(features)) + 8 * self.charged_and_not_sent
        return Costs(bits, bits, 0, 0, 0, 0)

    def pack(self, x, generator):
        return (x.sign() + 1).to(torch.uint8).flatten(), None

    def unpack(self, payload, shape):
        return payload.float().view(shape) - 1, None


SIGNS = Signs()


def test_one_of_ones_own_is_found_by_module_and_name_and_has_to_send_what_it_charges():
    assert codec(f"{__name__}:SIGNS") is codec(SIGNS) is SIGNS
    smashed = normal((3, 2, 2, 2))
    assert torch.equal(there(SIGNS, smashed), smashed.sign())
    assert torch.equal(back(SIGNS, smashed, -smashed), -smashed.sign())
    with pytest.raises(InputError, match=r"codec signs: payload = .*allowed: 25 of torch.uint8"):
        Signs(1).encode(smashed)
