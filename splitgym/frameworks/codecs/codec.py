"""What every codec offers, and the codecs by name.

A client encodes the smashed data of its mini-batch; the server decodes the payload, trains on what it decoded, and
encodes the gradient with respect to that; the client decodes this gradient and runs its backward pass. A payload is
what a link carries, byte for byte: all that the other side does not know.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any, NamedTuple

import torch
from torch import Tensor

from splitgym.inputs import InputError
from splitgym.parts import Parts
from splitgym.scenario import ScenarioError
from splitgym.scenario.parts import CODECS as SHIPPED

DTYPES = (torch.float32, torch.float16, torch.bfloat16)
"""Of numbers that are encoded; all are handled as float32, in which each of them is exact."""


class Costs(NamedTuple):
    """What a mini-batch of one client costs, each an int or, for many mini-batches at once, an array.

    A FLOP is an arithmetic operation, a comparison, a conversion, the drawing of a random number, or the packing or
    unpacking of one number. So a multiply-accumulate has two, as in `splitgym.models.profile`. Moving a number is free.
    """

    uplink_bits: Any
    """Of the payload of smashed data."""
    downlink_bits: Any
    """Of the payload of gradients."""
    encode_flops: Any
    """At the client."""
    decode_flops: Any
    """At the server."""
    encode_gradient_flops: Any
    """At the server."""
    decode_gradient_flops: Any
    """At the client."""


@dataclass(frozen=True)
class Context:
    """What both sides know of a mini-batch once its smashed data have been sent, and so is not sent again."""

    shape: torch.Size
    """[b, ...]."""
    dtype: torch.dtype
    positions: Tensor | None = None
    """[b, k] features of each row that were sent, ascending; absent: all."""

    def rows(self, first: int, last: int) -> "Context":
        """The context of rows first..last-1 alone."""
        shape = torch.Size((len(range(self.shape[0])[first:last]), *self.shape[1:]))
        return replace(self, shape=shape, positions=None if self.positions is None else self.positions[first:last])


class Encoded(NamedTuple):
    """What the client has after it encoded smashed data."""

    payload: Tensor
    """[bytes] uint8."""
    context: Context


class Decoded(NamedTuple):
    """What the server has after it decoded smashed data."""

    smashed: Tensor
    """[b, ...]."""
    context: Context
    """Equal to the client's."""


class Codec(ABC):
    """How smashed data go up and their gradients come down.

    One of one's own says `name`, `costs`, `pack` and `unpack`, and where gradients are packed in another way also
    `pack_gradient` and `unpack_gradient`. Payloads are on the device of the data. Numbers that are not finite are
    decoded as numbers that are not finite, so that a round that diverges is noticed behind the codec, too.
    """

    @property
    def shares_gradients(self) -> bool:
        """Whether one payload of gradients serves all clients, as the aggregated rows of EPSL need.

        These are encoded and broadcast once: their context is `Context(shape, dtype)`. False: what a client knows
        differs from client to client.
        """
        return True

    @property
    @abstractmethod
    def name(self) -> str:
        """What users call it."""

    @abstractmethod
    def costs(self, rows: Any, features: Sequence[int]) -> Costs:
        """What mini-batches cost, from their shape alone.

        Args:
            rows: b, an int or an array of many; 0 rows cost nothing.
            features: Shape of one row.
        """

    @abstractmethod
    def pack(self, x: Tensor, generator: torch.Generator | None) -> tuple[Tensor, Tensor | None]:
        """Payload of [b, ...] contiguous float32 numbers, b > 0, and the positions that a `Context` keeps."""

    @abstractmethod
    def unpack(self, payload: Tensor, shape: torch.Size) -> tuple[Tensor, Tensor | None]:
        """[b, ...] float32 numbers of a payload, b > 0, and the positions that a `Context` keeps."""

    def pack_gradient(self, gradient: Tensor, context: Context, generator: torch.Generator | None) -> Tensor:
        """Payload of a gradient, [b, ...] contiguous float32, b > 0; as `pack` unless a codec says otherwise."""
        return self.pack(gradient, generator)[0]

    def unpack_gradient(self, payload: Tensor, context: Context) -> Tensor:
        """[b, ...] float32 gradient of a payload, b > 0; as `unpack` unless a codec says otherwise."""
        return self.unpack(payload, context.shape)[0]

    def with_parameter(self, parameter: str) -> "Codec":
        """The same codec with what a name has behind the colon, such as "0.05" in "top-k:0.05"."""
        asked = f"{self.name}:{parameter}"
        raise ScenarioError(f"codec = {asked!r}: {self.name} has no parameter, allowed: {self.name!r}")

    @torch.no_grad()
    def encode(self, smashed: Tensor, generator: torch.Generator | None = None) -> Encoded:
        """Encodes a mini-batch at the client.

        Args:
            smashed: [b, ...] float32, float16 or bfloat16.
            generator: For what is random; on the device of the data, or on the CPU, which gives the same numbers for
                every device. Absent: nothing is random, the form for evaluation.

        Raises:
            InputError: a shape or a type is not allowed.
        """
        _check(smashed, "smashed")
        context = Context(smashed.shape, smashed.dtype)
        payload, positions = _nothing(smashed.device), None
        if len(smashed):
            payload, positions = self.pack(smashed.to(torch.float32).contiguous(), generator)
        self._check_bytes(payload, self._costs(smashed.shape).uplink_bits)
        return Encoded(payload, replace(context, positions=positions))

    @torch.no_grad()
    def decode(self, payload: Tensor, shape: Sequence[int], dtype: torch.dtype = torch.float32) -> Decoded:
        """Decodes a mini-batch at the server.

        Args:
            payload: Of `encode`.
            shape: [b, ...] of the smashed data.
            dtype: Theirs.

        Returns:
            Smashed data, images in the memory format of networks: channels last.

        Raises:
            InputError: the payload is not as long as this shape has it.
        """
        shape, positions = torch.Size(shape), None
        self._check_bytes(payload, self._costs(shape).uplink_bits)
        values = payload.new_empty(shape, dtype=torch.float32)
        if shape[0]:
            values, positions = self.unpack(payload, shape)
        return Decoded(_as_sent(values, dtype), Context(shape, dtype, positions))

    @torch.no_grad()
    def encode_gradient(self, gradient: Tensor, context: Context, generator: torch.Generator | None = None) -> Tensor:
        """Encodes a gradient with respect to decoded smashed data, at the server.

        Args:
            gradient: [b, ...], of one client; where the codec `shares_gradients` also one for all clients.
            context: Of `decode`; for some of its rows alone `Context.rows`.
            generator: As for `encode`.

        Returns:
            The payload.
        """
        _check(gradient, "gradient")
        if gradient.shape != context.shape:
            raise InputError(f"gradient: shape = {tuple(gradient.shape)}, allowed: {tuple(context.shape)}")
        payload = _nothing(gradient.device)
        if len(gradient):
            payload = self.pack_gradient(gradient.to(torch.float32).contiguous(), context, generator)
        return self._check_bytes(payload, self._costs(context.shape).downlink_bits)

    @torch.no_grad()
    def decode_gradient(self, payload: Tensor, context: Context) -> Tensor:
        """Decodes a gradient at the client: [b, ...] with respect to its smashed data, in their type.

        Args:
            payload: Of `encode_gradient`.
            context: Of `encode`, with the same rows.
        """
        self._check_bytes(payload, self._costs(context.shape).downlink_bits)
        values = payload.new_empty(context.shape, dtype=torch.float32)
        if context.shape[0]:
            values = self.unpack_gradient(payload, context)
        return _as_sent(values, context.dtype)

    def _costs(self, shape: Sequence[int]) -> Costs:
        return self.costs(shape[0], tuple(shape[1:]))

    def _check_bytes(self, payload: Tensor, bits: int) -> Tensor:
        if payload.dtype is not torch.uint8 or payload.dim() != 1 or 8 * len(payload) != bits:
            found = f"{tuple(payload.shape)} {payload.dtype}"
            raise InputError(f"codec {self.name}: payload = {found}, allowed: {bits // 8} of torch.uint8")
        return payload


def _check(x: Tensor, what: str) -> None:
    if x.dtype not in DTYPES:
        raise InputError(f"{what}: dtype = {x.dtype}, allowed: {', '.join(map(str, DTYPES))}")
    if x.dim() < 2 or not prod(x.shape[1:]):
        raise InputError(f"{what}: shape = {tuple(x.shape)}, allowed: [b, *features] with at least one feature")


def _nothing(device: torch.device) -> Tensor:
    return torch.empty(0, dtype=torch.uint8, device=device)


def _as_sent(values: Tensor, dtype: torch.dtype) -> Tensor:
    """In the type that was sent, and in the memory format of networks."""
    layout = torch.channels_last if values.dim() == 4 else torch.contiguous_format
    return values.to(dtype).contiguous(memory_format=layout)


CODECS: Parts[Codec] = Parts("codec", lambda part: isinstance(part, Codec), SHIPPED, ScenarioError)
"""All codecs; what is asked for is imported."""


def codec(asked: str | Codec) -> Codec:
    """A codec.

    Args:
        asked: Name in `CODECS`, some with a parameter behind a colon: the fraction of features that is kept in
            "top-k:0.1" and "random-top-k:0.1", the rows of a group in "c3:4" and "c3-unitary:4"; or `module:NAME` of
            one of one's own, or the codec.

    Raises:
        ScenarioError: there is none (the message suggests the nearest), or its parameter is not allowed.
    """
    name, colon, parameter = asked.partition(":") if isinstance(asked, str) else ("", "", "")
    # What can be no attribute of a module is the parameter of a misspelt name.
    if colon and (name in CODECS or not parameter.isidentifier()):
        return CODECS.find(name).with_parameter(parameter)
    return CODECS.find(asked)
