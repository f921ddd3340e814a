"""The profile against PyTorch's own FLOP counter, real tensors, and numbers counted by hand."""

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from splitgym.models import CuttableNetwork, Profile, build, profile

NETWORKS = [
    ("resnet18", (3, 32, 32), "7x7"),
    ("resnet18", (3, 32, 32), "3x3"),
    ("resnet18", (1, 28, 28), "7x7"),
    ("cnn", (1, 8, 8), "7x7"),
    ("cnn", (3, 29, 34), "7x7"),
    ("mlp", (1, 8, 8), "7x7"),
]


def network_and_profile(name: str, shape: tuple[int, int, int], stem: str) -> tuple[CuttableNetwork, Profile]:
    network = build(name, shape, 7, stem=stem)
    return network, profile(network, shape)


@pytest.mark.parametrize(("name", "shape", "stem"), NETWORKS)
def test_each_unit_costs_what_pytorch_counts(name, shape, stem):
    network, costs = network_and_profile(name, shape, stem)
    x = torch.zeros(2, *shape)
    for index, unit in enumerate(network.units):
        with FlopCounterMode(display=False) as forward:
            output = unit(x)
        with FlopCounterMode(display=False) as backward:
            output.sum().backward()
        assert forward.get_total_flops() == 2 * costs.forward_flops[index]
        assert backward.get_total_flops() == 2 * costs.backward_flops[index]
        assert 32 * output[0].numel() == costs.activation_bits[index]
        x = output.detach().requires_grad_()


@pytest.mark.parametrize(("name", "shape", "stem"), NETWORKS)
def test_the_whole_network_costs_what_pytorch_counts(name, shape, stem):
    network, costs = network_and_profile(name, shape, stem)
    with FlopCounterMode(display=False) as forward:
        output = network(torch.zeros(2, *shape))
    with FlopCounterMode(display=False) as backward:
        output.sum().backward()
    assert forward.get_total_flops() == 2 * costs.forward_flops.sum()
    assert backward.get_total_flops() == 2 * costs.backward_flops.sum()


@pytest.mark.parametrize(("name", "shape", "stem"), NETWORKS)
def test_model_bits_are_the_bytes_that_move_with_a_unit(name, shape, stem):
    network, costs = network_and_profile(name, shape, stem)
    for unit, bits in zip(network.units, costs.model_bits, strict=True):
        state = {key: tensor for key, tensor in unit.state_dict().items() if not key.endswith("num_batches_tracked")}
        assert bits == 8 * sum(tensor.untyped_storage().nbytes() for tensor in state.values())


def test_mlp_counted_by_hand():
    _, costs = network_and_profile("mlp", (1, 8, 8), "7x7")
    np.testing.assert_array_equal(costs.forward_flops, [2 * 64 * 32, 2 * 32 * 16, 2 * 16 * 7])
    np.testing.assert_array_equal(costs.backward_flops, [2 * 64 * 32, 4 * 32 * 16, 4 * 16 * 7])
    np.testing.assert_array_equal(costs.activation_bits, [32 * 32, 32 * 16, 32 * 7])
    np.testing.assert_array_equal(costs.model_bits, [32 * 65 * 32, 32 * 33 * 16, 32 * 17 * 7])


def test_full_size_stem_costs_about_fifteen_times_as_much():
    small, large = (network_and_profile("resnet18", (3, 32, 32), stem)[1] for stem in ("7x7", "3x3"))
    assert 14 < large.forward_flops.sum() / small.forward_flops.sum() < 16


@pytest.mark.parametrize("training", [True, False])
def test_profiling_leaves_the_model_and_the_generators_alone(training):
    network = build("resnet18", (3, 32, 32), 7).train(training)
    network.units[0].requires_grad_(False)
    state = {key: tensor.clone() for key, tensor in network.state_dict().items()}
    random_state = torch.random.get_rng_state()
    with torch.no_grad():
        costs = profile(network, (3, 32, 32))
    assert torch.equal(torch.random.get_rng_state(), random_state)
    assert all(torch.equal(tensor, state[key]) for key, tensor in network.state_dict().items())
    assert all(module.training == training for module in network.modules())
    assert not any(parameter.requires_grad for parameter in network.units[0].parameters())
    assert not any(module._forward_hooks for module in network.modules())
    assert costs.backward_flops[1] == 2 * costs.forward_flops[1]  # frozen and no_grad above do not change the count


def costs_of_four_units() -> Profile:
    return Profile(*(scale * np.array([1.0, 2.0, 4.0, 8.0]) for scale in (1, 10, 100, 1000)))


def test_sums_on_both_sides_of_every_cut():
    costs = costs_of_four_units()
    cuts = costs.cut_layers
    np.testing.assert_array_equal(cuts, [1, 2, 3])
    np.testing.assert_array_equal(costs.client_forward(cuts), [1, 3, 7])
    np.testing.assert_array_equal(costs.server_forward(cuts), [14, 12, 8])
    np.testing.assert_array_equal(costs.client_backward(cuts), [10, 30, 70])
    np.testing.assert_array_equal(costs.server_backward(cuts), [60, 40, 0])
    np.testing.assert_array_equal(costs.smashed_bits(cuts), [100, 200, 400])
    np.testing.assert_array_equal(costs.prefix_bits(cuts), [1000, 3000, 7000])
    assert costs.last_layer_backward == 80


def test_everything_on_one_side():
    costs = costs_of_four_units()
    ends = np.array([0, len(costs)])
    np.testing.assert_array_equal(costs.client_forward(ends), [0, 15])
    np.testing.assert_array_equal(costs.server_forward(ends), [15, 0])
    np.testing.assert_array_equal(costs.client_backward(ends), [0, 150])
    np.testing.assert_array_equal(costs.server_backward(ends), [70, 0])
    np.testing.assert_array_equal(costs.prefix_bits(ends), [0, 15000])


SUMS = ["client_forward", "client_backward", "server_forward", "server_backward", "smashed_bits", "prefix_bits"]


@pytest.mark.parametrize("method", SUMS)
def test_a_number_and_an_array_of_any_shape_agree(method):
    sums = getattr(costs_of_four_units(), method)
    cuts = np.array([[3, 1], [2, 4]])
    assert [[float(sums(int(cut))) for cut in row] for row in cuts] == sums(cuts).tolist()


@pytest.mark.parametrize(
    ("method", "cut_layer"), [(method, cut) for method in SUMS for cut in (-1, 5)] + [(SUMS[4], 0)]
)
def test_cut_layers_that_do_not_exist_are_refused(method, cut_layer):
    with pytest.raises(ValueError, match=f"cut_layer = {cut_layer}: allowed are [01] to 4"):
        getattr(costs_of_four_units(), method)(cut_layer)


def test_a_profile_owns_its_numbers():
    forward = np.ones(3)
    costs = Profile(forward, np.ones(3), np.ones(3), np.ones(3))
    forward[0] = 5
    assert costs.forward_flops[0] == 1
    with pytest.raises(ValueError, match="read-only"):
        costs.forward_flops[0] = 5


def test_arrays_of_different_length_are_refused():
    with pytest.raises(ValueError, match="activation_bits has shape"):
        Profile(np.ones(3), np.ones(3), np.ones(2), np.ones(3))
