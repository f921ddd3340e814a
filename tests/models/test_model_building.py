"""Initial weights: from the given generator only, with the distributions the documentation names."""

import math
import subprocess
import sys

import pytest
import torch
from torch import nn

import splitgym.models
from splitgym.models import build
from splitgym.models.network import CuttableNetwork, HeConvolution


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("name", ["resnet18", "cnn", "mlp"])
def test_weights_follow_the_given_generator_and_nothing_else(name):
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    first = build(name, (1, 8, 8), 10, seeded(5)).state_dict()
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.manual_seed(2)
    same = build(name, (1, 8, 8), 10, seeded(5)).state_dict()
    other = build(name, (1, 8, 8), 10, seeded(6)).state_dict()
    assert all(torch.equal(first[key], same[key]) for key in first)
    assert not any(torch.equal(first[key], other[key]) for key in first if first[key].ndim > 1)


def test_without_a_generator_the_weights_are_those_of_seed_0():
    default, zero = build("mlp", (1, 8, 8), 10), build("mlp", (1, 8, 8), 10, seeded(0))
    assert all(torch.equal(a, b) for a, b in zip(default.parameters(), zero.parameters(), strict=True))


def test_one_generator_gives_two_different_networks():
    generator = seeded(3)
    first, second = (build("mlp", (1, 8, 8), 10, generator) for _ in range(2))
    assert not torch.equal(first.units[0][1].weight, second.units[0][1].weight)


def test_resnet_starts_as_he_et_al():
    for layer in build("resnet18", (3, 32, 32), 10).modules():
        if isinstance(layer, nn.Conv2d):
            fan_out = layer.out_channels * layer.kernel_size[0] * layer.kernel_size[1]
            assert layer.weight.std().item() == pytest.approx(math.sqrt(2 / fan_out), rel=0.05)
        if isinstance(layer, nn.BatchNorm2d):
            assert layer.weight.min() == layer.weight.max() == layer.running_var.min() == layer.running_var.max() == 1
            assert layer.bias.abs().max() == layer.running_mean.abs().max() == layer.num_batches_tracked == 0


@pytest.mark.parametrize("name", ["cnn", "mlp"])
def test_small_networks_start_as_pytorch_starts_its_layers(name):
    """Compared with layers that PyTorch made itself: same range, same spread."""
    torch.manual_seed(0)
    for layer in build(name, (1, 16, 16), 200).modules():
        if not isinstance(layer, nn.Conv2d | nn.Linear):
            continue
        fan_in = layer.weight[0].numel()
        theirs = nn.Linear(fan_in, 2000)
        for ours, reference in ((layer.weight, theirs.weight), (layer.bias, theirs.bias)):
            assert ours.abs().max().item() <= 1 / math.sqrt(fan_in)
            assert ours.std().item() == pytest.approx(reference.std().item(), rel=0.35)
            if ours.numel() > 1000:
                assert ours.abs().max().item() > 0.98 / math.sqrt(fan_in)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("resnet", (3, 32, 32), 10), "model = 'resnet' is unknown, did you mean 'resnet18'?"),
        (("mlp", (8, 8), 10), r"input_shape = \(8, 8\)"),
        (("mlp", (1, 0, 8), 10), r"input_shape = \(1, 0, 8\)"),
        (("cnn", (1, 1, 8), 10), "at least 2 x 2"),
        (("mlp", (1, 8, 8), 1), "classes = 1"),
        (("resnet18", (3, 32, 32), 10, None, "5x5"), "stem = '5x5': allowed are '7x7', '3x3'"),
    ],
)
def test_what_cannot_be_built_is_said_in_one_line(arguments, message):
    with pytest.raises(ValueError, match=message) as raised:
        build(*arguments)
    assert "\n" not in str(raised.value)


def test_a_profile_is_read_without_torch():
    code = "import sys, splitgym.models as models; models.Profile; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_unknown_public_name():
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = splitgym.models.nothing


def test_convolutions_in_front_of_relus_start_as_he_says():
    """Variance 2 over the numbers that go into an output, so that depth alone does not end what is learnt."""

    def deep(input_shape, classes):
        return CuttableNetwork({"conv": HeConvolution(32, 64, 3), "head": nn.Flatten()})

    first, again, other = (build(deep, (32, 8, 8), 2, seeded(seed)).units[0] for seed in (1, 1, 2))
    assert float(first.weight.detach().var()) == pytest.approx(2 / (32 * 9), rel=0.05)
    assert torch.equal(first.bias, torch.zeros(64))
    assert torch.equal(first.weight, again.weight)
    assert not torch.equal(first.weight, other.weight)
