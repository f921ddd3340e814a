"""The decoder with adapters: what it computes, and what its blocks cost, counted by hand."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from splitgym.inputs import InputError
from splitgym.models import build, measure, memory_of
from splitgym.models.frozen import AdaptedLinear, Frozen

WINDOW, ALPHABET, WIDTH, RANK = 16, 11, 64, 3
SHAPE = (1, 1, WINDOW)


def network(seed: int = 0, rank: int = RANK):
    return build("transformer", SHAPE, ALPHABET, torch.Generator().manual_seed(seed), rank=rank)


def trained(seed: int = 0):
    """Adapters that add something."""
    made, chance = network(seed), torch.Generator().manual_seed(seed + 1)
    for layer in made.modules():
        if isinstance(layer, AdaptedLinear):
            nn.init.normal_(layer.up.weight, std=0.1, generator=chance)
    return made


def codes(rows: int = 5, seed: int = 3) -> torch.Tensor:
    return torch.randint(ALPHABET, (rows, 1, 1, WINDOW), generator=torch.Generator().manual_seed(seed)).float()


def with_layers(made, replaced):
    """A copy with other layers in place of the adapted ones."""
    other = copy.deepcopy(made)
    for parent in list(other.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, AdaptedLinear):
                setattr(parent, name, replaced(child))
    return other


def test_it_begins_as_the_base_model_to_the_bit() -> None:
    made = network()
    torch.testing.assert_close(made(codes()), with_layers(made, lambda layer: layer.frozen)(codes()), rtol=0, atol=0)


def test_merged_layers_compute_the_same() -> None:
    made = trained()
    base = with_layers(made, lambda layer: layer.frozen)(codes())
    assert (made(codes()) - base).abs().max() > 0.01
    torch.testing.assert_close(made(codes()), with_layers(made, AdaptedLinear.merged)(codes()), rtol=1e-4, atol=1e-5)


def test_a_character_depends_on_none_behind_it() -> None:
    made, one = trained(), codes()
    other = one.clone()
    other[..., 9:] = (other[..., 9:] + 1) % ALPHABET
    first, second = made(one), made(other)
    torch.testing.assert_close(first[:, :9], second[:, :9])
    assert (first[:, 9] - second[:, 9]).abs().max() > 1e-3


def test_adapters_alone_are_trained_and_kept_as_a_state() -> None:
    made = network()
    per_block = RANK * ((WIDTH + 3 * WIDTH) + (WIDTH + WIDTH) + (WIDTH + 4 * WIDTH) + (4 * WIDTH + WIDTH))
    expected = 4 * per_block + RANK * (WIDTH + ALPHABET)
    assert sum(weight.numel() for weight in made.parameters()) == expected
    assert sum(value.numel() for value in made.state_dict().values()) == expected


def test_gradients_of_adapters_are_finite_differences() -> None:
    made = trained().double()
    labels = torch.randint(ALPHABET, (5, WINDOW), generator=torch.Generator().manual_seed(4))

    def loss() -> torch.Tensor:
        return F.cross_entropy(made(codes().double()).flatten(0, 1), labels.flatten())

    weights, chance = list(made.parameters()), torch.Generator().manual_seed(5)
    gradients = torch.autograd.grad(loss(), weights)
    for weight, gradient in zip(weights, gradients, strict=True):
        direction = torch.randn(weight.shape, generator=chance, dtype=torch.float64)
        with torch.no_grad():
            weight.add_(direction, alpha=1e-5)
            above = loss()
            weight.sub_(direction, alpha=2e-5)
            below = loss()
            weight.add_(direction, alpha=1e-5)
        assert float((gradient * direction).sum()) == pytest.approx(float(above - below) / 2e-5, rel=1e-5, abs=1e-10)


def test_flops_of_blocks_are_those_counted_by_hand() -> None:
    """Two FLOPs for a multiply-accumulate; frozen weights have no gradient, nor has what is in front of adapters."""
    profile = measure("transformer", SHAPE, ALPHABET, "7x7", rank=RANK).profile
    layers = ((WIDTH, 3 * WIDTH), (WIDTH, WIDTH), (WIDTH, 4 * WIDTH), (4 * WIDTH, WIDTH))
    dense = sum(2 * WINDOW * inputs * outputs for inputs, outputs in layers)
    adapters = sum(2 * WINDOW * RANK * (inputs + outputs) for inputs, outputs in layers)
    attention = 2 * 2 * WINDOW * WINDOW * WIDTH
    block, back = dense + adapters + attention, dense + 2 * adapters + 2 * attention
    head = 2 * WINDOW * (WIDTH * ALPHABET + RANK * (WIDTH + ALPHABET))
    assert profile.forward_flops.tolist() == [block] * 4 + [head]
    of_first_input = 2 * WINDOW * (WIDTH * 3 * WIDTH + RANK * WIDTH)
    back_of_head = 2 * WINDOW * (WIDTH * ALPHABET + 2 * RANK * (WIDTH + ALPHABET))
    assert profile.backward_flops.tolist() == [back - of_first_input, back, back, back, back_of_head]
    assert profile.activation_bits.tolist() == [32 * WINDOW * WIDTH] * 4 + [32 * WINDOW * ALPHABET]


def test_forward_flops_are_those_of_the_counter_of_torch() -> None:
    made, profile = network(), measure("transformer", SHAPE, ALPHABET, "7x7", rank=RANK).profile
    # It does not know the fused attention of processors.
    with FlopCounterMode(display=False) as counter, torch.no_grad(), sdpa_kernel(SDPBackend.MATH):
        made(codes(1))
    assert counter.get_total_flops() == profile.forward_flops.sum()


def test_memory_of_a_block_is_that_counted_by_hand() -> None:
    """Per row: inputs of two norms and what they give, queries, keys, values and what attention makes of them, both
    sides of GELU; what adapters have in between; statistics of norms, and of attention one number a head and place."""
    memory, heads = memory_of(network(), SHAPE), 4
    numbers = 16 * WINDOW * WIDTH + 4 * WINDOW * RANK + 4 * WINDOW + heads * WINDOW
    assert memory.saved_bytes[1:3].tolist() == [4 * numbers] * 2
    assert memory.input_bytes.tolist() == [4 * WINDOW] + 4 * [4 * WINDOW * WIDTH]
    frozen = [[b.numel() for layer in unit.modules() if isinstance(layer, Frozen) for b in layer.buffers(recurse=False)]
              for unit in network().units]  # fmt: skip
    assert memory.buffer_bytes.tolist() == [4 * sum(each) for each in frozen]
    dense = (3 + 1 + 4 + 4) * WIDTH * WIDTH + (3 + 1 + 4 + 1) * WIDTH + 4 * WIDTH
    assert memory.buffer_bytes[1] == 4 * dense
    assert memory.parameter_bytes[1] == 4 * RANK * 16 * WIDTH


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 1, 16), (1, 1, 1)])
def test_images_are_refused(shape) -> None:
    with pytest.raises(InputError, match="'transformer' needs windows of characters"):
        build("transformer", shape, ALPHABET)


def test_a_narrower_transformer_is_refused() -> None:
    with pytest.raises(InputError, match="width"):
        measure("transformer", SHAPE, ALPHABET, "7x7", 0.5)
