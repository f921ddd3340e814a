"""Back-propagation of a mean field through layers: m rows in, m rows out (see `splitgym.frameworks.mean_field`).

Each class is a layer for shifts, the [m, ...] zeros whose gradients are d_j. Its forward pass computes nothing of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function

from splitgym.frameworks.snapshots import WeightedMean

Gradients = tuple[Tensor | None, ...]


class Linear(Function):
    """A linear layer: every client has its Jacobian; weights see the lambda-means of the inputs."""

    @staticmethod
    def forward(ctx: Any, shift: Tensor, weight: Tensor, bias: Tensor | None, mean: Tensor, output: Tensor) -> Tensor:
        """Gives [m, ...] zeros.

        Args:
            ctx: Keeps what the backward pass needs.
            shift: [m, ..., inputs].
            weight: [outputs, inputs].
            bias: [outputs].
            mean: [m, ..., inputs] lambda-mean of the aggregated rows.
            output: What the layer has made of these rows.
        """
        ctx.save_for_backward(weight, mean)
        return zeros(output, len(mean))

    @staticmethod
    def backward(ctx: Any, d: Tensor) -> Gradients:
        """Gradients of shift, weight, bias."""
        weight, mean = (saved.to(d.dtype) for saved in ctx.saved_tensors)
        rows = d.flatten(0, -2)
        of_bias = rows.sum(0) if ctx.needs_input_grad[2] else None
        return d @ weight, rows.T @ mean.flatten(0, -2), of_bias, None, None


class Convolution(Function):
    """As `Linear`, for convolutions."""

    @staticmethod
    def forward(
        ctx: Any,
        shift: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        mean: Tensor,
        output: Tensor,
        steps: Sequence[Sequence[int]],
        groups: int,
    ) -> Tensor:
        """As `Linear.forward`; steps are stride, padding and dilation along each axis."""
        ctx.save_for_backward(weight, mean)
        ctx.steps, ctx.groups = steps, groups
        return zeros(output, len(mean))

    @staticmethod
    def backward(ctx: Any, d: Tensor) -> Gradients:
        """Gradients of shift, weight, bias."""
        weight, mean = (saved.to(d.dtype) for saved in ctx.saved_tensors)
        no_output_padding = [0] * (weight.dim() - 2)
        wanted = ctx.needs_input_grad[:3]
        gradients = torch.ops.aten.convolution_backward(
            d, mean, weight, [len(weight)], *ctx.steps, False, no_output_padding, ctx.groups, wanted
        )
        return *gradients, None, None, None, None


class Selection(Function):
    """A pooling that selects: the lambda-mean of the selections."""

    @staticmethod
    def forward(ctx: Any, shift: Tensor, rows: Tensor, output: Tensor, weights: Tensor) -> Tensor:
        """Gives [m, ...] zeros.

        Args:
            ctx: Keeps what the backward pass needs.
            shift: [m, ...].
            rows: [n m, ...] aggregated rows, a leaf.
            output: What the layer makes of them, with its graph.
            weights: [n] lambda.
        """
        ctx.rows, ctx.output, ctx.weights = rows, output, weights
        return zeros(output, len(shift))

    @staticmethod
    def backward(ctx: Any, d: Tensor) -> Gradients:
        """Gradient of the shift."""
        # In the memory format of the rows: in another one poolings are slow.
        d = torch.empty_like(ctx.output[: len(d)]).copy_(d)
        of_clients = torch.cat([weight * d for weight in ctx.weights.to(d.dtype)])
        (back,) = torch.autograd.grad(ctx.output, ctx.rows, of_clients)
        return sum(back.chunk(len(ctx.weights))), None, None, None


class BatchNorm(Function):
    """Batch norm of all rows, aggregated or not, in one forward pass, which moves the running statistics.

    Clients are normalised together or each by itself; running statistics become the mean, weighted by lambda, of what
    each of these batches makes of them.
    """

    @staticmethod
    def forward(
        ctx: Any,
        shift: Tensor,
        others: Tensor | None,
        weight: Tensor | None,
        bias: Tensor | None,
        aggregated: Tensor,
        weights: Sequence[Tensor],
        running_mean: Tensor | None,
        running_var: Tensor | None,
        momentum: float,
        eps: float,
    ) -> tuple[Tensor, Tensor | None, Tensor]:
        """Gives [m, ...] zeros, and other and aggregated rows, normalised.

        Args:
            ctx: Keeps what the backward pass needs.
            shift: [m, channels, ...].
            others: [n (b - m), channels, ...] rows that are not aggregated, client by client.
            weight: [channels] gamma.
            bias: [channels] beta.
            aggregated: [n m, channels, ...] aggregated rows, client by client.
            weights: lambda of the clients of each batch.
            running_mean: [channels], moved in place.
            running_var: [channels], moved in place.
            momentum: Of these two.
            eps: Added to variances.
        """
        statistics = WeightedMean(values for values in (running_mean, running_var) if values is not None)
        ctx.batches, outputs = [], []
        parts = aggregated.chunk(len(weights)), [None] * len(weights) if others is None else others.chunk(len(weights))
        for own, rows, rest in zip(weights, *parts, strict=True):
            x = rows if rest is None else torch.cat([rows, rest])
            statistics.begin()
            y, mean, rstd = torch.native_batch_norm(x, weight, bias, running_mean, running_var, True, momentum, eps)
            statistics.add(own.sum())
            outputs.append(y.split([len(rows), len(y) - len(rows)]))
            both = torch.stack([own, torch.ones_like(own)])
            offset, scale = _by_channel(both.sum(1)[:, None] * mean, x), _by_channel(rstd, x)
            weighted, plain = (weighted_sums(both, rows) - offset) * scale
            ctx.batches.append(_Batch(own, mean, rstd, weighted, plain, rest, y.numel() // y.shape[1], eps))
        statistics.finish()
        ctx.save_for_backward(weight)
        aggregated, rest = (torch.cat(part) if len(part) > 1 else part[0] for part in zip(*outputs, strict=True))
        ctx.mark_non_differentiable(aggregated)
        return zeros(aggregated, len(shift)), None if others is None else rest, aggregated

    @staticmethod
    def backward(ctx: Any, d: Tensor, d_others: Tensor | None, _: Tensor) -> Gradients:
        """Gradients of shift, other rows, gamma, beta."""
        batches: list[_Batch] = ctx.batches
        (weight,) = ctx.saved_tensors
        parts = [None] * len(batches) if d_others is None else d_others.chunk(len(batches))
        back, back_others, of_weight, of_bias = zip(
            *(batch.backward(d, part, weight) for batch, part in zip(batches, parts, strict=True)),
            strict=True,
        )
        rest = None if d_others is None else torch.cat(back_others)
        affine = (None, None) if weight is None else (sum(of_weight), sum(of_bias))
        return sum(back), rest, *affine, *[None] * 6


@dataclass(frozen=True)
class _Batch:
    """Rows that batch norm has normalised together."""

    weights: Tensor
    """lambda of its clients."""
    mean: Tensor
    rstd: Tensor
    """1 / sigma, [channels]."""
    weighted: Tensor
    """[m, ...] sum over its clients of the normalised aggregated rows, weighted by lambda."""
    plain: Tensor
    """The same sum without weights."""
    others: Tensor | None
    """Its other rows, as they came."""
    values: int
    """N of a channel."""
    eps: float

    def backward(
        self, d: Tensor, d_others: Tensor | None, weight: Tensor | None
    ) -> tuple[Tensor, Tensor | None, Tensor, Tensor]:
        """Its part of the gradients of shift, other rows, gamma, beta; exact if lambda_i d_j comes to each row."""
        d, axes = d.to(self.weighted.dtype), [0, *range(2, d.dim())]
        share, clients = self.weights.sum(), len(self.weights)
        scale = self.rstd if weight is None else weight * self.rstd
        of_weight, of_bias, straight = (d * self.weighted).sum(axes), share * d.sum(axes), None
        if self.others is not None:
            variance = self.rstd**-2 - self.eps
            # A processor reads the first two statistics, a GPU the last two, and it wants them to be there.
            straight, weight_too, bias_too = torch.ops.aten.native_batch_norm_backward(
                d_others, self.others, weight, self.mean, variance, self.mean, self.rstd, False, self.eps, [True] * 3
            )
            of_weight, of_bias = of_weight + weight_too, of_bias + bias_too
            # scale [of_bias + normalised row of_weight] / N
            common = F.batch_norm(
                self.others,
                self.mean,
                variance,
                scale * of_weight / self.values,
                scale * of_bias / self.values,
                eps=self.eps,
            )
            straight = straight - common
        pull = clients * _by_channel(of_bias, d) + self.plain * _by_channel(of_weight, d)
        back = _by_channel(scale, d) * (share * d - pull / self.values)
        return back, straight, of_weight, of_bias


def zeros(like: Tensor, m: int) -> Tensor:
    """[m, ...] zeros that take no memory, of the type of some rows."""
    return like.new_zeros(1).expand(m, *like.shape[1:])


def weighted_sums(weights: Tensor, rows: Tensor) -> Tensor:
    """[k, m, ...] sums over clients of their rows ([n m, ...], client by client) for k sets of weights ([k, n])."""
    k, n = weights.shape
    # What is channels last would be copied.
    moved = not rows.is_contiguous()
    dense = (rows.movedim(1, -1) if moved else rows).to(weights.dtype)
    with torch.autocast(rows.device.type, enabled=False):
        sums = (weights @ dense.reshape(n, -1)).view(k, -1, *dense.shape[1:])
    return sums.movedim(-1, 2) if moved else sums


def _by_channel(values: Tensor, like: Tensor) -> Tensor:
    """[..., 1, channels, 1, ...] values of each channel that broadcast against rows."""
    return values.view(*values.shape[:-1], 1, values.shape[-1], *[1] * (like.dim() - 2))
