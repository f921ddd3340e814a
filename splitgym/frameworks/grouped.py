"""Many small client networks as one: convolutions become one grouped convolution, linear layers a batched product."""

from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from splitgym.frameworks.node import Node, mixed_precision

_FEW_INPUTS = 32
"""Up to so many inputs of a convolution's output a product of patches is faster than a grouped convolution."""

_LAYERS = (nn.Conv2d, nn.Linear, nn.ReLU, nn.MaxPool2d, nn.Flatten)


def groupable(clients: Sequence[Sequence[nn.Module]]) -> bool:
    """Whether the clients' units can run as groups: all alike, and of layers known here.

    Residual blocks with batch norm are not among them: on a CPU they are no faster in groups.
    """
    layers = list(_layers(clients[0]))
    if len({len(units) for units in clients}) != 1 or not all(isinstance(layer, _LAYERS) for layer in layers):
        return False
    flat = [isinstance(layer, nn.Flatten) for layer in layers]
    maps_before_rows = all(
        any(flat[:k]) == isinstance(layer, nn.Linear)
        for k, layer in enumerate(layers)
        if isinstance(layer, nn.Linear | nn.Conv2d | nn.MaxPool2d)
    )
    return maps_before_rows and all(_plain(layer) for layer in layers)


def grouped_forward(clients: Sequence[Sequence[nn.Module]], images: Tensor) -> tuple[Tensor, list[Tensor]]:
    """Runs every client's units on its own rows.

    Args:
        clients: Units of each of n clients, all alike.
        images: [n, b, ...]; or [1, b, ...], the same for all clients, whose first layer then reads them once.

    Returns:
        Output, [n, b, ...], in the memory format of images; and the weights used, one leaf of the graph for each
        parameter of a client, with those of all clients along its first axis.
    """
    n, leaves = len(clients), list[Tensor]()
    # Rows of all clients one after the other, [n b, ...]; or, between convolutions, their maps side by side. Rows that
    # are the same for all stand there once, [b, ...], until the first weights.
    x, as_maps, sets = images.flatten(0, 1), False, len(images)
    stacked = sum(isinstance(layer, nn.Conv2d) for layer in _layers(clients[0])) > 1
    for layers in zip(*(list(_layers(units)) for units in clients), strict=True):
        layer = layers[0]
        if isinstance(layer, nn.Conv2d):
            weight, bias = _leaves(layers)
            if not leaves and weight[0].numel() <= _FEW_INPUTS and not (stacked and sets < n):
                x = _patch_product(x, layer, weight, bias, sets)
            else:
                x, as_maps = x if as_maps else _to_maps(x, sets), True
                x = F.conv2d(x, weight, bias, layer.stride, layer.padding, layer.dilation, groups=sets)
            leaves, sets = [*leaves, weight, bias], n
        elif isinstance(layer, nn.Linear):
            weight, bias = _leaves(layers)
            rows, weights = x.unflatten(0, (sets, -1)), weight.unflatten(0, (n, -1)).transpose(1, 2)
            x = torch.baddbmm(bias.view(n, 1, -1), rows.expand(n, -1, -1), weights).flatten(0, 1)
            leaves, sets = [*leaves, weight, bias], n
        elif isinstance(layer, nn.Flatten):
            x, as_maps = (_to_rows(x, n) if as_maps else x).flatten(1), False
        else:
            # Not in place: x may be a view.
            x = F.relu(x) if isinstance(layer, nn.ReLU) else layer(x)
    output = (_to_rows(x, n) if as_maps else x).unflatten(0, (sets, -1))
    return output.expand(n, *output.shape[1:]), leaves


class GroupedPass:
    """All clients in one pass; see `splitgym.frameworks.parallel.ClientPass`."""

    def __init__(self, clients: Sequence[Node], images: Tensor) -> None:
        self._clients = clients
        with mixed_precision(images, clients[0].training):
            self._output, self._leaves = grouped_forward([client.units for client in clients], images)
        self.smashed = self._output.detach()

    def backward(self, gradients: Tensor) -> Sequence[Sequence[Tensor]]:
        """See `ClientPass.backward`."""
        joint = torch.autograd.grad(self._output, self._leaves, gradients)
        parts = [gradient.chunk(len(self._clients)) for gradient in joint]
        return [
            [part[i].view_as(parameter) for part, parameter in zip(parts, client.parameters, strict=True)]
            for i, client in enumerate(self._clients)
        ]


def _layers(units: Sequence[nn.Module]) -> Iterator[nn.Module]:
    for unit in units:
        yield from _layers(list(unit)) if isinstance(unit, nn.Sequential) else [unit]


def _plain(layer: nn.Module) -> bool:
    """Whether a layer is used in the form that is known here."""
    if isinstance(layer, nn.Conv2d):
        padded_with_zeros = layer.padding_mode == "zeros" and not isinstance(layer.padding, str)
        return layer.bias is not None and layer.groups == 1 and padded_with_zeros
    if isinstance(layer, nn.Flatten):
        return layer.start_dim == 1 and layer.end_dim == -1
    return not isinstance(layer, nn.Linear) or layer.bias is not None


def _leaves(layers: Sequence[nn.Module]) -> Iterator[Tensor]:
    """Weight and bias of all clients, joined along the first axis, as leaves of the graph if one is being made."""
    for name in ("weight", "bias"):
        joined = torch.cat([getattr(layer, name).detach() for layer in layers])
        yield joined.requires_grad_(torch.is_grad_enabled())


def _patch_product(images: Tensor, layer: nn.Conv2d, weight: Tensor, bias: Tensor, sets: int) -> Tensor:
    """A first convolution with few inputs as a batched product of image patches and weights, [n b, out, h, w].

    The images are n sets of b, or one set for all clients.
    """
    n = len(weight) // layer.out_channels
    assert not isinstance(layer.padding, str)
    patches = F.unfold(images, layer.kernel_size, layer.dilation, layer.padding, layer.stride)
    rows = patches.transpose(1, 2).reshape(sets, -1, patches.shape[1]).expand(n, -1, -1)
    product = torch.baddbmm(bias.view(n, 1, -1), rows, weight.reshape(n, -1, rows.shape[2]).transpose(1, 2))
    height, width = (_length(images.shape[2 + axis], axis, layer) for axis in (0, 1))
    # Rows are channels last already.
    return product.view(-1, height, width, layer.out_channels).permute(0, 3, 1, 2)


def _length(length: int, axis: int, layer: nn.Conv2d) -> int:
    """Height or width after a convolution."""
    reach = layer.dilation[axis] * (layer.kernel_size[axis] - 1) + 1
    return (length + 2 * int(layer.padding[axis]) - reach) // layer.stride[axis] + 1


def _to_maps(x: Tensor, n: int) -> Tensor:
    """[n b, c, h, w] as [b, n c, h, w], channels last."""
    return x.unflatten(0, (n, -1)).transpose(0, 1).flatten(1, 2).contiguous(memory_format=torch.channels_last)


def _to_rows(x: Tensor, n: int) -> Tensor:
    """[b, n c, h, w] as [n b, c, h, w], channels last."""
    rows = x.unflatten(1, (n, -1)).transpose(0, 1)
    return rows.flatten(0, 1).contiguous(memory_format=torch.channels_last)
