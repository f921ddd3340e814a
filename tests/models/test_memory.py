"""What training needs of memory: a network counted by hand, sums on both sides of a cut, what is refused."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from splitgym.models import CuttableNetwork, Memory, build, memory_of, optimizer_copies
from splitgym.scenario import Training


def said(memory: Memory) -> dict[str, list[float]]:
    return {name: values.tolist() for name, values in vars(memory).items()}


def test_mlp_counted_by_hand():
    # Images of 64 numbers, 32 and 16 neurons whose outputs are those of a ReLU; log probabilities and labels of 7.
    assert said(memory_of(build("mlp", (1, 8, 8), 7), (1, 8, 8))) == {
        "parameter_bytes": [4 * 65 * 32, 4 * 33 * 16, 4 * 17 * 7],
        "buffer_bytes": [0, 0, 0],
        "input_bytes": [4 * 64, 4 * 32, 4 * 16],
        "saved_bytes": [4 * (64 + 32), 4 * 16, 4 * 7 + 8],
        "shared_bytes": [4 * 32, 4 * 16, 0],
        "recomputed_bytes": [4 * 32, 4 * 16, 4 * 7 + 8],
        "batch_bytes": [0, 0, 4],
    }


def test_batch_norm_and_pooling_counted_by_hand():
    """5 maps of 6 x 6 numbers: what batch norm sees, its statistics, what ReLU gives, 9 pooled numbers and indices."""
    layers = (nn.Conv2d(2, 5, 3, padding=1, bias=False), nn.BatchNorm2d(5), nn.ReLU(inplace=True), nn.MaxPool2d(2))
    units = {"one": nn.Sequential(*layers), "head": nn.Sequential(nn.Flatten(), nn.Linear(45, 3))}
    assert said(memory_of(CuttableNetwork(units), (2, 6, 6))) == {
        "parameter_bytes": [4 * (5 * 2 * 9 + 2 * 5), 4 * 46 * 3],
        "buffer_bytes": [4 * 2 * 5 + 8, 0],
        "input_bytes": [4 * 2 * 36, 4 * 45],
        "saved_bytes": [4 * (2 * 36 + 2 * 5 * 36) + 8 * 45, 4 * (45 + 3) + 8],
        # Pooling keeps what it is given, not what it gives.
        "shared_bytes": [0, 0],
        # Maps that are channels last are copied when they are flattened.
        "recomputed_bytes": [4 * 2 * 5 * 36 + 8 * 45, 4 * (45 + 3) + 8],
        "batch_bytes": [4 * 2 * 5, 4],
    }


@pytest.mark.parametrize("training", [True, False])
def test_counting_leaves_the_model_and_the_generators_alone(training):
    units = {"one": nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Dropout()), "head": nn.Flatten()}
    network = CuttableNetwork(units).train(training)
    network.units[0].requires_grad_(False)
    state = {key: tensor.clone() for key, tensor in network.state_dict().items()}
    random_state = torch.random.get_rng_state()
    with torch.no_grad():
        memory = memory_of(network, (1, 4, 4))
    assert torch.equal(torch.random.get_rng_state(), random_state)
    assert all(torch.equal(tensor, state[key]) for key, tensor in network.state_dict().items())
    assert all(module.training == training for module in network.modules())
    assert not any(parameter.requires_grad for parameter in network.units[0].parameters())
    assert all(parameter.grad is None for parameter in network.parameters())
    # Images, what batch norm sees, and the mask of dropout: frozen and no_grad above do not change it.
    assert memory.saved_bytes[0] == 4 * 16 + 4 * 8 + _mask_bytes(8)


def _mask_bytes(numbers: int) -> int:
    """Bytes of a mask of dropout, which depend on the version of PyTorch."""
    masks: list[Tensor] = []
    with torch.autograd.graph.saved_tensors_hooks(lambda mask: masks.append(mask) or mask, lambda mask: mask):
        nn.functional.dropout(torch.ones(numbers, requires_grad=True))
    return sum(mask.untyped_storage().nbytes() for mask in masks)


MEMORY = Memory(
    parameter_bytes=np.array([1.0, 10.0, 100.0]),
    buffer_bytes=np.array([2.0, 0.0, 4.0]),
    input_bytes=np.array([3.0, 30.0, 20.0]),
    saved_bytes=np.array([40.0, 50.0, 6.0]),
    shared_bytes=np.array([30.0, 0.0, 0.0]),
    recomputed_bytes=np.array([37.0, 50.0, 6.0]),
    batch_bytes=np.array([1000.0, 0.0, 5000.0]),
)


def test_sums_on_both_sides_of_every_cut():
    cuts = np.arange(4)
    client = [0, 4 * 1 + 2 + 7 * 40 + 1000, 4 * 11 + 2 + 7 * 90 + 1000, 4 * 111 + 6 + 7 * 96 + 6000]
    server = [4 * 111 + 6 + 9 * 96 + 6000, 4 * 110 + 4 + 9 * 86 + 5000, 4 * 100 + 4 + 9 * 6 + 5000, 0]
    np.testing.assert_array_equal(MEMORY.client_bytes(cuts, 7, 2), client)
    np.testing.assert_array_equal(MEMORY.server_bytes(cuts, 9, 2), server)
    assert MEMORY.server_bytes(1, 9, 2, batches=3) == 4 * 110 + 4 + 9 * 86 + 3 * 5000
    assert MEMORY.node_bytes(1, 2, 9, 0) == 2 * 10 + 9 * 80


def test_sums_with_recomputation():
    cuts = np.arange(4)
    client = [0, 2 * 1 + 2 + 7 * 40 + 1000, 2 * 11 + 2 + 7 * 40 + 1000, 2 * 111 + 6 + 7 * 59 + 5000]
    np.testing.assert_array_equal(MEMORY.client_bytes(cuts, 7, 0, recompute=True), client)
    # On many rows the second unit has the most, and statistics do not matter.
    assert MEMORY.client_bytes(3, 10_000, 0, recompute=True) == 2 * 111 + 6 + 10_000 * 83
    assert MEMORY.server_bytes(2, 10_000, 0, recompute=True) == 2 * 100 + 4 + 10_000 * 26 + 5000


@pytest.mark.parametrize("recompute", [True, False])
def test_numbers_and_arrays_of_any_shape_agree(recompute):
    first, last, rows, batches = (
        np.array([[0], [1]]),
        np.array([1, 2, 3]),
        np.array([[[4]], [[9]]]),
        np.array([1, 1, 2]),
    )
    together = MEMORY.node_bytes(first, last, rows, 1, batches=batches, recompute=recompute)
    assert together.shape == (2, 2, 3)
    each = [
        [
            [float(MEMORY.node_bytes(i, j, b, 1, batches=n, recompute=recompute)) for j, n in ((1, 1), (2, 1), (3, 2))]
            for i in (0, 1)
        ]
        for b in (4, 9)
    ]
    assert together.tolist() == each


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: MEMORY.client_bytes(4, 1, 0), "cut_layer = 4: allowed are 0 to 3"),
        (lambda: MEMORY.server_bytes(-1, 1, 0), "cut_layer = -1: allowed are 0 to 3"),
        (lambda: MEMORY.node_bytes(2, 1, 1, 0), "last = 1: at least first = 2"),
        (lambda: MEMORY.client_bytes(1, 0, 0), "rows = 0: at least 1"),
        (lambda: MEMORY.server_bytes(1, 1, 0, batches=0), "batches = 0: at least 1"),
        (lambda: MEMORY.client_bytes(1, 1, 3), "copies = 3: allowed are 0, 1, 2"),
        (lambda: Memory(*np.ones((6, 3)), np.ones(2)), "batch_bytes has shape"),
        (lambda: Memory(*np.ones((7, 1))), "parameter_bytes has shape"),
    ],
)
def test_what_cannot_be_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_copies_of_the_optimiser():
    kinds = [{"optimizer": "sgd", "momentum": 0}, {"optimizer": "sgd"}, {"optimizer": "adam", "momentum": 0}]
    assert [optimizer_copies(Training(**fields)) for fields in kinds] == [0, 1, 2]
