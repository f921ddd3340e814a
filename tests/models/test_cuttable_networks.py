"""The three networks: their size, and that a cut anywhere changes nothing."""

import pytest
import torch
from torch import nn

from splitgym.models import CuttableNetwork, build

SHAPES = {"resnet18": (3, 32, 32), "cnn": (1, 8, 8), "mlp": (1, 8, 8)}
LENGTHS = {"resnet18": 10, "cnn": 4, "mlp": 3}


def parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def test_resnet18_has_the_published_number_of_parameters():
    assert parameters(build("resnet18", (3, 224, 224), 1000)) == 11_689_512


def test_small_networks_have_the_parameters_counted_by_hand():
    cnn = (9 * 1 * 16 + 16) + (9 * 16 * 32 + 32) + (32 * 4 * 4 * 64 + 64) + (64 * 10 + 10)
    mlp = (64 * 32 + 32) + (32 * 16 + 16) + (16 * 10 + 10)
    assert parameters(build("cnn", (1, 8, 8), 10)) == cnn
    assert parameters(build("mlp", (1, 8, 8), 10)) == mlp


@pytest.mark.parametrize("name", SHAPES)
def test_cut_anywhere_gives_the_whole_networks_output(name):
    network = build(name, SHAPES[name], 7).eval()
    images = torch.randn(2, *SHAPES[name], generator=torch.Generator().manual_seed(1))
    whole = network(images)
    assert whole.shape == (2, 7)
    assert len(network) == len(network.unit_names) == LENGTHS[name]
    for cut_layer in range(1, len(network)):
        smashed = network(images, stop=cut_layer)
        assert torch.equal(network(smashed, start=cut_layer), whole)


@pytest.mark.parametrize("name", SHAPES)
def test_gradients_cross_the_cut(name):
    """Back-propagating through both halves, joined by the cut gradient, gives the whole network's gradients."""
    network = build(name, SHAPES[name], 7).eval()
    images = torch.randn(2, *SHAPES[name], generator=torch.Generator().manual_seed(1))
    network(images).square().sum().backward()
    whole = [parameter.grad.clone() for parameter in network.parameters()]
    network.zero_grad()

    smashed = network(images, stop=2)
    received = smashed.detach().requires_grad_()
    network(received, start=2).square().sum().backward()
    smashed.backward(received.grad)
    for parameter, expected in zip(network.parameters(), whole, strict=True):
        torch.testing.assert_close(parameter.grad, expected)


@pytest.mark.parametrize("name", SHAPES)
def test_the_last_unit_holds_exactly_one_layer_with_weights(name):
    head = build(name, SHAPES[name], 7).units[-1]
    weighted = [layer for layer in head.modules() if next(layer.parameters(recurse=False), None) is not None]
    assert [type(layer) for layer in weighted] == [nn.Linear]


@pytest.mark.parametrize("size", [4, 8, 13, 28, 32])
def test_cnn_takes_images_of_any_size(size):
    assert build("cnn", (3, size, size + 1), 5)(torch.zeros(2, 3, size, size + 1)).shape == (2, 5)


@pytest.mark.parametrize(("stem", "side"), [("7x7", 8), ("3x3", 32)])
def test_stem_decides_how_large_the_first_activations_are(stem, side):
    network = build("resnet18", (3, 32, 32), 7, stem=stem).eval()
    assert network(torch.zeros(1, 3, 32, 32), stop=1).shape == (1, 64, side, side)


@pytest.mark.parametrize(("start", "stop"), [(-1, 2), (2, 1), (0, 4), (4, None)])
def test_units_that_do_not_exist_are_refused(start, stop):
    with pytest.raises(ValueError, match="allowed are 0 <= start <= stop <= 3"):
        build("mlp", (1, 8, 8), 10)(torch.zeros(1, 1, 8, 8), start, stop)


def test_one_unit_cannot_be_cut():
    with pytest.raises(ValueError, match=r"units = \['head'\]"):
        CuttableNetwork({"head": nn.Linear(2, 2)})
