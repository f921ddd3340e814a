"""The mean field of back-propagation: m rows stand for the n m rows of all clients.

Aggregated gradients are common to all clients, so lambda_i zbar_j goes back at row j of client i. In front of every
layer the gradients of row j of all clients are replaced by lambda_i times their sum d_j; so m rows go back. What a
layer then does is exact, with J_ij its Jacobian at row j of client i:

    d_j of its input = sum_i lambda_i J_ij^T d_j,    gradient of the weights of a linear layer = sum_j d_j abar_j^T

with abar_j the lambda-mean of the real rows' inputs. A linear layer has one Jacobian for all, an activation function
needs the lambda-mean of its slopes (of ReLU: of its masks), a pooling that of its selections. Batch norm has for a
channel of which N values are normalised together

    d_j of its input = gamma / sigma [d_j - n (sum d + xmean_j sum d xbar) / N]

where xbar_j is the lambda-mean and xmean_j the plain mean of the normalised rows, and the sums go over aggregated and
other rows. All that is lost is how gradients of the same position differ from client to client.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from splitgym.frameworks.mean_field_gradients import BatchNorm, Convolution, Linear, Selection, weighted_sums, zeros
from splitgym.scenario import ScenarioError


@dataclass(frozen=True)
class Clients:
    """Whose rows go through a network."""

    weights: Tensor
    """[n] lambda_i; sums to 1."""
    together: bool
    """Whether batch norm normalises the rows of all clients together, or those of each client by themselves."""

    def mean(self, rows: Tensor) -> Tensor:
        """[m, ...] lambda-mean of [n m, ...] rows."""
        return weighted_sums(self.weights[None], rows)[0].to(rows.dtype)


class MeanField(Tensor):
    """All clients' rows at one place of a network, to be put through its layers like any tensor.

    As a tensor it has the shape and type of m rows, which networks ask for, and no values.

    Attributes:
        shift: [m, ...] a shift of row j of all clients; zeros, whose gradient is d_j.
        aggregated: [n m, ...] the real rows that are aggregated, client by client, without a graph.
        others: [n (b - m), ...] the other rows, client by client, with their graph; None if m = b.
        clients: Whose rows they are.
    """

    shift: Tensor
    aggregated: Tensor
    others: Tensor | None
    clients: Clients

    @classmethod
    def of(cls, shift: Tensor, aggregated: Tensor, others: Tensor | None, clients: Clients) -> "MeanField":
        """Puts the parts together."""
        field = shift.detach().as_subclass(cls)
        field.shift, field.aggregated, field.others, field.clients = shift, aggregated, others, clients
        return field

    @classmethod
    def at_cut(cls, smashed: Tensor, m: int, clients: Clients) -> "MeanField":
        """Of activations at the cut, [n, b, ...], of which the first m of each client are aggregated."""
        # Joined along the batch: that keeps the memory format of images.
        aggregated, others = torch.cat([own[:m] for own in smashed]), torch.cat([own[m:] for own in smashed])
        shift = zeros(aggregated, m).requires_grad_()
        return cls.of(shift, aggregated, others.requires_grad_() if len(others) else None, clients)

    @property
    def nodes(self) -> list[Tensor]:
        """What has a graph: the shift, and the other rows if there are any."""
        return [self.shift] if self.others is None else [self.shift, self.others]

    def along(self, of_part: Callable[[Tensor], Tensor], shift: Tensor, aggregated: Tensor) -> "MeanField":
        """What comes after a function that other rows go through by themselves."""
        return MeanField.of(shift, aggregated, None if self.others is None else of_part(self.others), self.clients)

    def become(self, other: "MeanField") -> "MeanField":
        """What functions in place do; shape and type stay."""
        self.shift, self.aggregated, self.others = other.shift, other.aggregated, other.others
        return self

    @classmethod
    def __torch_function__(
        cls,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Does what a layer asks for by the rule of that function, and answers questions for shape or type.

        Raises:
            ScenarioError: there is no rule.
        """
        rule = _RULES.get(func.__name__)
        if rule is not None:
            return rule(func, *args, **(kwargs or {}))
        name = torch.overrides.resolve_name(func) or func.__name__
        try:
            with torch._C.DisableTorchFunctionSubclass():
                answer = func(*args, **(kwargs or {}))
        except RuntimeError as error:
            raise _unknown(name) from error
        if isinstance(answer, Tensor):
            raise _unknown(name)
        return answer


def _unknown(function: str) -> ScenarioError:
    return ScenarioError(
        f"training.aggregation_reading = 'virtual' has no rule for {function}, allowed with this network: 'inject'"
    )


def _row_by_row(func: Callable[..., Tensor], *args: Any, **kwargs: Any) -> MeanField:
    """A linear function, without weights, of each row of one field or several."""
    field = next(arg for arg in args if isinstance(arg, MeanField))

    def of(part: str) -> Tensor:
        return func(*(getattr(arg, part) if isinstance(arg, MeanField) else arg for arg in args), **kwargs)

    shift = of("shift")
    with torch.no_grad():
        aggregated = of("aggregated")
    _check_rows(func, field, shift, aggregated)
    return field.along(lambda _: of("others"), shift, aggregated)


def _added_in_place(func: Callable[..., Tensor], field: MeanField, other: Any, **kwargs: Any) -> MeanField:
    return field.become(_row_by_row(torch.add, field, other, **kwargs))


def _reshaped(func: Callable[..., Tensor], field: MeanField, *args: Any, **kwargs: Any) -> MeanField:
    """Another shape of each row; a network says it with the number of rows of the shift, if it says it."""
    shift = func(field.shift, *args, **kwargs)
    _check_rows(func, field, shift, field.aggregated)

    def of(rows: Tensor) -> Tensor:
        return rows.reshape(len(rows), *shift.shape[1:])

    return field.along(of, shift, of(field.aggregated))


def _check_rows(func: Callable[..., Tensor], field: MeanField, shift: Tensor, aggregated: Tensor) -> None:
    """Refuses what leaves another number of rows."""
    if (shift.shape[:1], aggregated.shape[:1]) != (field.shift.shape[:1], field.aggregated.shape[:1]):
        raise _unknown(f"{func.__name__} that mixes rows")


def _activation(
    func: Callable[..., Tensor], field: MeanField, *args: Any, inplace: bool = False, **kwargs: Any
) -> MeanField:
    """A function of each value."""
    rows, output = _with_graph(func, field.aggregated, *args, **kwargs)
    (slopes,) = torch.autograd.grad(output, rows, torch.ones_like(output))
    shift = field.shift * field.clients.mean(slopes)
    after = field.along(lambda x: func(x, *args, **kwargs), shift, output.detach())
    return field.become(after) if inplace else after


def _selection(func: Callable[..., Tensor], field: MeanField, *args: Any, **kwargs: Any) -> MeanField:
    """A pooling that selects."""
    rows, output = _with_graph(func, field.aggregated, *args, **kwargs)
    shift = Selection.apply(field.shift, rows, output, field.clients.weights)
    return field.along(lambda x: func(x, *args, **kwargs), shift, output.detach())


def _with_graph(func: Callable[..., Tensor], rows: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
    """Rows as a leaf, and what the function makes of them."""
    leaf = rows.detach().requires_grad_()
    with torch.enable_grad():
        return leaf, func(leaf, *args, **kwargs)


def _linear(func: Callable[..., Tensor], field: MeanField, weight: Tensor, bias: Tensor | None = None) -> MeanField:
    with torch.no_grad():
        aggregated = func(field.aggregated, weight, bias)
    shift = Linear.apply(field.shift, weight, bias, field.clients.mean(field.aggregated), aggregated)
    return field.along(lambda x: func(x, weight, bias), shift, aggregated)


def _convolution(
    func: Callable[..., Tensor],
    field: MeanField,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | Sequence[int] = 1,
    padding: int | str | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
) -> MeanField:
    """A convolution of all rows of a mean field; see `Convolution` for its gradients."""
    if isinstance(padding, str):
        raise _unknown(f"{func.__name__} with padding = {padding!r}")
    axes = weight.dim() - 2
    steps = [[step] * axes if isinstance(step, int) else list(step) for step in (stride, padding, dilation)]

    def of(rows: Tensor) -> Tensor:
        return func(rows, weight, bias, *steps, groups)

    with torch.no_grad():
        aggregated = of(field.aggregated)
    mean = field.clients.mean(field.aggregated)
    return field.along(of, Convolution.apply(field.shift, weight, bias, mean, aggregated, steps, groups), aggregated)


def _batch_norm(
    func: Callable[..., Tensor],
    field: MeanField,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> MeanField:
    """Batch norm of all rows of a mean field; see `BatchNorm` for its gradients."""
    if not training:
        raise _unknown(f"{func.__name__} in evaluation mode")
    weights = field.clients.weights
    shift, others, aggregated = BatchNorm.apply(
        field.shift,
        field.others,
        weight,
        bias,
        field.aggregated,
        [weights] if field.clients.together else weights.split(1),
        running_mean,
        running_var,
        momentum,
        eps,
    )
    return MeanField.of(shift, aggregated, others, field.clients)


_ROW_BY_ROW = """
    add __add__ __radd__ sub __sub__ __rsub__ avg_pool1d avg_pool2d avg_pool3d adaptive_avg_pool1d adaptive_avg_pool2d
    adaptive_avg_pool3d mean pad float contiguous
"""
_ACTIVATIONS = """
    relu relu6 leaky_relu elu selu celu gelu silu mish hardswish hardsigmoid hardtanh softplus softsign tanh sigmoid
    logsigmoid dropout
"""
_RULES: Mapping[str, Callable[..., MeanField]] = {
    "linear": _linear,
    **dict.fromkeys(("conv1d", "conv2d", "conv3d"), _convolution),
    "batch_norm": _batch_norm,
    **dict.fromkeys(("max_pool1d", "max_pool2d", "max_pool3d"), _selection),
    **dict.fromkeys(_ACTIVATIONS.split(), _activation),
    **dict.fromkeys(("flatten", "view", "reshape", "squeeze", "unsqueeze"), _reshaped),
    **dict.fromkeys(_ROW_BY_ROW.split(), _row_by_row),
    **dict.fromkeys(("add_", "__iadd__"), _added_in_place),
}
"""What a function does to a field, by its name in torch, in `torch.nn.functional` and among a tensor's methods."""
