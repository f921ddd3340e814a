"""The mean field: where it is exact it is `inject` to rounding, elsewhere hand-computed; its rows; what it refuses."""

import copy
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from small_nodes import assert_close, assert_same, differs, held, training
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from splitgym.frameworks.mean_field import Clients, MeanField
from splitgym.frameworks.nodes import Nodes
from splitgym.frameworks.round_batch import RoundBatch
from splitgym.frameworks.server_pass import CutGradients, inject, virtual
from splitgym.models import CuttableNetwork, profile
from splitgym.models.resnet import ResidualBlock
from splitgym.scenario import ScenarioError, Training

SHARES = (0.5, 0.3, 0.2)
CLASSES = 5


def initialised(units: Sequence[nn.Module], seed: int) -> list[nn.Module]:
    """Units in double precision with random weights, batch norm's included."""
    generator = torch.Generator().manual_seed(seed)
    for unit in units:
        for parameter in unit.double().parameters():
            nn.init.normal_(parameter, std=0.5, generator=generator)
    return list(units)


def around(units: Sequence[nn.Module], clients: int, settings: Training) -> Nodes:
    """Nodes whose client parts are one unit that does nothing."""
    network = CuttableNetwork({f"unit{k}": unit for k, unit in enumerate([nn.Identity(), *units])})
    made = Nodes(network, clients, settings)
    made.move_cut(1, range(clients), np.full(clients, 1 / clients))
    made.server.set_mode(True)
    return made


def task(shape: tuple[int, ...], weights: Sequence[float], b: int, m: int, seed: int) -> tuple[Tensor, RoundBatch]:
    """Random smashed data, [n, b, ...], and the round that it belongs to."""
    generator, n = torch.Generator().manual_seed(seed), len(weights)
    share = torch.tensor(weights, dtype=torch.float64)
    smashed = torch.randn(n, b, *shape, generator=generator, dtype=torch.float64)
    labels = torch.randint(CLASSES, (n, b), generator=generator)
    losses = torch.zeros(n, dtype=torch.float64)
    return smashed, RoundBatch(tuple(range(n)), share / share.sum(), smashed, labels, m, losses)


def both(units: Sequence[nn.Module], smashed: Tensor, own: RoundBatch, settings: Training) -> list[CutGradients]:
    """The gradients of both readings; losses and running statistics must be the same."""
    found, after = [], []
    for reading in (virtual, inject):
        made = around(copy.deepcopy(list(units)), len(own.weights), settings)
        found.append(reading(made, smashed, own))
        after.append([own.losses.clone(), *(buffer for unit in made.server.units for buffer in unit.buffers())])
    assert_close(*after, rtol=1e-10)
    return found


@st.composite
def sizes(draw: st.DrawFn, least_rows: int = 1) -> tuple[list[float], int, int, int]:
    """Weights of the clients, b, m, a seed."""
    weights = draw(st.lists(st.floats(0.05, 1.0), min_size=1, max_size=4))
    b = draw(st.integers(least_rows, 5))
    return weights, b, draw(st.integers(0, b)), draw(st.integers(0, 999))


@st.composite
def linear_layers(draw: st.DrawFn) -> list[nn.Module]:
    """Layers of 4 channels for images of 7 x 8, linear all of them."""
    convolution = st.builds(
        lambda kernel, stride, padding, groups, bias: nn.Conv2d(4, 4, kernel, stride, padding, 1, groups, bias),
        st.sampled_from([1, 2, (1, 3), 3]),
        st.sampled_from([1, 2, (2, 1)]),
        st.sampled_from([1, (1, 2), 2]),
        st.sampled_from([1, 2, 4]),
        st.booleans(),
    )
    others = st.sampled_from([nn.Identity(), nn.AvgPool2d(2, padding=1), nn.Conv2d(4, 4, 3, padding=2, dilation=2)])
    return draw(st.lists(st.one_of(convolution, others), max_size=3))


def with_head(layers: Sequence[nn.Module], pooled: int = 1) -> list[nn.Module]:
    """Units of these layers and a linear head."""
    head = nn.Sequential(nn.AdaptiveAvgPool2d(pooled), nn.Flatten(), nn.Linear(4 * pooled**2, CLASSES))
    return [*map(copy.deepcopy, layers), head]


@hypothesis_settings(deadline=None, max_examples=60)
@given(sizes(), linear_layers(), st.sampled_from([1, 2]), st.sampled_from(["none", "unbiased"]), st.booleans())
def test_without_activation_functions_every_gradient_is_that_of_inject(
    size: tuple[list[float], int, int, int], layers: list[nn.Module], pooled: int, correction: str, images: bool
) -> None:
    weights, b, m, seed = size
    units = with_head(layers, pooled) if images else [nn.Linear(3, 6, bias=b % 2 == 0), nn.Linear(6, CLASSES)]
    smashed, own = task((4, 7, 8) if images else (3,), weights, b, m, seed)
    settings = training(b, aggregation_correction=correction)
    one, other = both(initialised(units, seed), smashed, own, settings)
    assert_close([one.common, one.own, *one.of_server], [other.common, other.own, *other.of_server], rtol=1e-10)


@hypothesis_settings(deadline=None, max_examples=60)
@given(sizes(least_rows=2), linear_layers(), linear_layers(), st.sampled_from(["joint", "per-client"]), st.booleans())
def test_batch_norm_between_linear_layers_gives_the_gradients_of_all_rows(
    size: tuple[list[float], int, int, int],
    before: list[nn.Module],
    behind: list[nn.Module],
    statistics: str,
    affine: bool,
) -> None:
    """At the cut, of its own weights and of those behind it; in front of it clients' gradients differ for weights."""
    weights, b, m, seed = size
    norm = nn.BatchNorm2d(4, affine=affine)
    units = initialised(with_head([*before, norm, *behind]), seed)
    smashed, own = task((4, 7, 8), weights, b, m, seed)
    one, other = both(units, smashed, own, training(b, batch_statistics=statistics))
    exact = len([p for unit in units[len(before) :] for p in unit.parameters()])
    for mean_field, reference in ((one.common, other.common), (one.own, other.own)):
        torch.testing.assert_close(mean_field, reference, rtol=1e-8, atol=1e-10)
    assert_close(one.of_server[-exact:], other.of_server[-exact:], rtol=1e-8)


def test_a_single_row_of_each_client_is_normalised_with_those_of_the_others() -> None:
    units = initialised(with_head([nn.BatchNorm2d(4)]), 0)
    smashed, own = task((4, 7, 8), SHARES, 1, 1, 0)
    one, other = both(units, smashed, own, training(1, batch_statistics="per-client"))
    assert_close([one.common, *one.of_server], [other.common, *other.of_server])


class OwnForm(nn.Module):
    """A block as users write it: functions, methods of tensors, addition in place."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(4, 4, 3, padding=1), nn.Conv2d(4, 4, 1)
        self.norm, self.last = nn.BatchNorm2d(4), nn.Linear(4, CLASSES)
        self.offset = nn.Parameter(torch.zeros(4, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        out = F.gelu(self.norm(self.first(x)))
        out += torch.tanh(self.second(x)) - self.offset
        F.relu(out, inplace=True)
        out = F.max_pool2d(F.pad(out, (1, 1)), 3, 2, 1).mean((2, 3))
        assert out.dim() == 2
        return self.last(out.view(x.size(0), -1))


NETWORKS: dict[str, Callable[[], list[nn.Module]]] = {
    "residual": lambda: with_head([ResidualBlock(4, 4), ResidualBlock(4, 8), nn.Conv2d(8, 4, 1)]),
    "pooling": lambda: with_head([nn.Conv2d(4, 4, 3), nn.MaxPool2d(3, 2, padding=1), nn.LeakyReLU(0.1, inplace=True)]),
    "rows": lambda: [
        nn.Sequential(nn.Flatten(), nn.Linear(224, 6), nn.BatchNorm1d(6), nn.Sigmoid()),
        nn.Linear(6, CLASSES),
    ],
    "own form": lambda: [OwnForm()],
}


@pytest.mark.parametrize("statistics", ["joint", "per-client"])
@pytest.mark.parametrize("m", [2, 5])
@pytest.mark.parametrize("name", NETWORKS)
def test_clients_with_the_same_rows_lose_nothing(name: str, m: int, statistics: str) -> None:
    """Then there are no differences between clients to be averaged, whatever the layers."""
    smashed, own = task((4, 7, 8), SHARES, 5, m, 1)
    smashed[1:], own.labels[1:] = smashed[0].clone(), own.labels[0].clone()
    one, other = both(initialised(NETWORKS[name](), 1), smashed, own, training(5, batch_statistics=statistics))
    assert_close([one.common, one.own, *one.of_server], [other.common, other.own, *other.of_server], rtol=1e-7)


@pytest.mark.parametrize("name", NETWORKS)
def test_clients_with_different_rows_do(name: str) -> None:
    """Guards the test above."""
    smashed, own = task((4, 7, 8), SHARES, 5, 5, 1)
    one, other = both(initialised(NETWORKS[name](), 1), smashed, own, training(5))
    assert differs([one.common], [other.common])


def shift_gradient(layer: Callable[[Tensor], Tensor], rows: list[Any], d: list[Any]) -> tuple[Tensor, Tensor]:
    """What a layer makes of two clients' single row, weights 3/4 and 1/4, and of the gradient d of the mean row."""
    smashed = torch.tensor(rows, dtype=torch.float64)[:, None]
    clients = Clients(torch.tensor([0.75, 0.25], dtype=torch.float64), together=True)
    field = MeanField.at_cut(smashed, 1, clients)
    after = layer(field)
    assert isinstance(after, MeanField)
    (found,) = torch.autograd.grad(after.shift, field.shift, torch.tensor([d], dtype=torch.float64))
    return after.aggregated, found[0]


def test_relu_takes_the_mean_of_the_masks_by_hand() -> None:
    rows, found = shift_gradient(F.relu, [[1.0, -1.0, 2.0], [3.0, 4.0, -5.0]], [2.0, 2.0, 2.0])
    assert rows.tolist() == [[1, 0, 2], [3, 4, 0]]
    assert found.tolist() == [2, 0.5, 1.5]


def test_max_pooling_takes_the_mean_of_the_selections_by_hand() -> None:
    """Windows of three values, two apart: the first client selects positions 0 and 3, the second 2 and 2."""
    rows, found = shift_gradient(
        lambda x: F.max_pool1d(x, 3, 2), [[[9.0, 1.0, 2.0, 8.0, 0.0]], [[1.0, 2.0, 7.0, 3.0, 4.0]]], [[4.0, 8.0]]
    )
    assert rows.tolist() == [[[9, 8]], [[7, 7]]]
    assert found.tolist() == [[3, 0, 1 + 2, 6, 0]]


def test_weights_see_the_mean_of_the_rows_by_hand() -> None:
    layer = nn.Linear(2, 1).double()
    clients = Clients(torch.tensor([0.75, 0.25], dtype=torch.float64), together=True)
    field = MeanField.at_cut(torch.tensor([[[4.0, 0.0]], [[0.0, 8.0]]], dtype=torch.float64), 1, clients)
    after = layer(field)
    of_weight, of_bias = torch.autograd.grad(after.shift, [layer.weight, layer.bias], torch.full((1, 1), 10.0).double())
    assert of_weight.tolist() == [[30, 20]]
    assert of_bias.tolist() == [10]


@pytest.mark.parametrize(
    ("reading", "m", "back"),
    [(virtual, 0, 12), (virtual, 1, 10), (virtual, 3, 6), (virtual, 4, 4), (inject, 3, 12)],
)
def test_a_server_computes_what_its_phases_charge(reading: Callable[..., CutGradients], m: int, back: int) -> None:
    """All n b = 12 rows go forward, m + n (b - m) back: counted by torch in the convolutions."""
    if reading is virtual and m > 0 and torch.__version__.startswith("2.4."):
        pytest.skip("the counter of torch 2.4 does not know tensors of a class of one's own")
    units = with_head([nn.Conv2d(4, 4, 3), nn.Conv2d(4, 4, 2)])
    charged = profile(CuttableNetwork({str(k): unit for k, unit in enumerate(units)}), (4, 7, 8))
    made = around(initialised(units, 0), 3, training(4))
    smashed, own = task((4, 7, 8), SHARES, 4, m, 0)
    with FlopCounterMode(display=False) as counter:
        reading(made, smashed, own)
    flops = counter.get_flop_counts()["Global"]
    forward = charged.forward_flops[:-1].sum()
    assert flops[torch.ops.aten.convolution] == 12 * forward
    assert flops[torch.ops.aten.convolution_backward] == back * 2 * forward


@pytest.mark.parametrize("m", [3, 8])
def test_the_memory_format_of_images_changes_nothing_but_rounding(m: int) -> None:
    units = initialised(with_head([ResidualBlock(4, 4), nn.Conv2d(4, 4, 3), nn.MaxPool2d(2)]), 0)
    smashed, own = task((4, 7, 8), SHARES, 8, m, 0)
    images = smashed.flatten(0, 1).contiguous(memory_format=torch.channels_last).unflatten(0, (3, 8))
    found = []
    for rows, form in ((smashed, torch.contiguous_format), (images, torch.channels_last)):
        made = around([copy.deepcopy(unit).to(memory_format=form) for unit in units], 3, training(8))
        gradients = virtual(made, rows, own)
        found.append([gradients.common, gradients.own, *gradients.of_server])
    assert_close(*found, rtol=1e-10)


class FromSavedStatistics(TorchDispatchMode):
    """Batch norm goes back as a GPU computes it, with what the forward pass has saved."""

    answered = 0

    def __torch_dispatch__(self, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: Any = None) -> Any:
        if func is not torch.ops.aten.native_batch_norm_backward.default:
            return func(*args, **(kwargs or {}))
        self.answered += 1
        d, x, weight, _, _, mean, rstd = args[:7]
        mean, rstd, weight = (values[:, None, None] for values in (mean, rstd, weight))
        return d * weight * rstd, (d * (x - mean) * rstd).sum((0, 2, 3)), d.sum((0, 2, 3))


@pytest.mark.parametrize("statistics", ["joint", "per-client"])
def test_batch_norm_goes_back_from_saved_statistics_too(statistics: str) -> None:
    units = initialised(with_head([nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4)]), 0)
    smashed, own = task((4, 7, 8), SHARES, 4, 2, 0)
    found = []
    for mode in (nullcontext(), gpu := FromSavedStatistics()):
        made = around(copy.deepcopy(units), 3, training(4, batch_statistics=statistics))
        with mode:
            gradients = virtual(made, smashed, own)
        found.append([gradients.common, gradients.own, *gradients.of_server])
    assert gpu.answered == (1 if statistics == "joint" else 3)
    assert_close(*found, rtol=1e-10)


class Product(nn.Module):
    """Weights that no rule knows, in place."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(4, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        x *= self.scale
        return x


UNKNOWN: dict[str, tuple[nn.Module, str]] = {
    "group_norm": (nn.GroupNorm(2, 4), r"torch\.nn\.functional\.group_norm"),
    "transposed": (nn.ConvTranspose2d(4, 4, 2), "conv_transpose2d"),
    "same": (nn.Conv2d(4, 4, 2, padding="same"), "conv2d with padding = 'same'"),
    "frozen": (nn.BatchNorm2d(4).eval(), "batch_norm in evaluation mode"),
    "over rows": (nn.Flatten(0, 1), "flatten that mixes rows"),
    "product": (Product(), r"torch\.Tensor\.mul_"),
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_a_layer_without_a_rule_is_refused_by_name(name: str) -> None:
    layer, named = UNKNOWN[name]
    clients = Clients(torch.tensor(SHARES, dtype=torch.float64), together=True)
    field = MeanField.at_cut(torch.zeros(3, 4, 4, 7, 8, dtype=torch.float64), 2, clients)
    with pytest.raises(ScenarioError, match=rf"aggregation_reading = 'virtual'.*{named}.*allowed.*'inject'"):
        layer.double()(field)


def test_a_network_with_a_layer_without_a_rule_trains_with_inject_and_without_aggregation() -> None:
    units = initialised(with_head([nn.GroupNorm(2, 4)]), 0)
    made = around(units, 3, training(4))
    before = held(made.server.units)
    smashed, own = task((4, 7, 8), SHARES, 4, 2, 0)
    with pytest.raises(ScenarioError, match="group_norm"):
        virtual(made, smashed, own)
    assert_same(held(made.server.units), before)
    assert inject(made, smashed, own).finite
    assert virtual(made, *task((4, 7, 8), SHARES, 4, 0, 0)).finite
