"""How smashed data and their gradients go over the cut: encoded, counted, decoded."""

from collections.abc import Sequence

import torch
from torch import Tensor

from splitgym.frameworks.codecs import Codec, Context
from splitgym.frameworks.codecs.floats import NONE
from splitgym.frameworks.round_batch import RoundBatch

TO_SERVER = ("uplink", "unicast")
TO_CLIENTS = ("unicast", "uplink")
"""Links of activations and of their gradients, by where the activations go."""


class Crossing:
    """The smashed data of some clients on their way to the server, and the way back of the gradients.

    With a second cut in front of the clients' tails, likewise what the server makes of them on the way to the clients.

    Args:
        round_batch: Says with which codecs; its traffic is filled.
        smashed: [n, b, ...] activations at the cut, detached.
        members: Whose, by position among the participants; absent: of all of them.
        links: Resources that carry activations and gradients, by name.

    Attributes:
        received: [n, b, ...] what the other side has of them.
    """

    def __init__(
        self,
        round_batch: RoundBatch,
        smashed: Tensor,
        members: Sequence[int] | None = None,
        links: tuple[str, str] = TO_SERVER,
    ) -> None:
        self._link, self._link_back = links
        self._traffic, self._chance = round_batch.traffic, round_batch.chance
        self._codecs = round_batch.codecs_of(members)
        self._aggregated: list[Context] = []
        self._others: list[Context] = []
        self.received = smashed
        if self._codecs is None:
            self._traffic.over(self._link, [smashed])
            return
        # Aggregated rows are sent apart from the others, as their gradients come back apart.
        first, rest = smashed[:, : round_batch.aggregated_rows], smashed[:, round_batch.aggregated_rows :]
        pieces = (self._send(first, self._aggregated), self._send(rest, self._others))
        self.received = joined([torch.cat(own) for own in zip(*pieces, strict=True)])

    def to_all(self, gradients: Tensor) -> Tensor:
        """[m, ...] gradients of aggregated rows, the same for all clients, as these decode what is sent once."""
        if self._codecs is None or not len(gradients):
            self._traffic.to_all([gradients])
            return gradients
        codec, context = self._codecs[0], self._aggregated[0]
        payload = codec.encode_gradient(gradients, context, self._chance)
        self._traffic.payload("broadcast", payload)
        return codec.decode_gradient(payload, context)

    def back(self, gradients: Tensor) -> Tensor:
        """[n, b - m, ...] gradients of each client's other rows, as the side that sent these decodes them."""
        if self._codecs is None:
            self._traffic.over(self._link_back, [gradients])
            return gradients
        decoded = []
        for codec, context, own in zip(self._codecs, self._others, gradients, strict=True):
            payload = codec.encode_gradient(own, context, self._chance)
            self._traffic.payload(self._link_back, payload)
            decoded.append(codec.decode_gradient(payload, context))
        return joined(decoded)

    def _send(self, smashed: Tensor, contexts: list[Context]) -> list[Tensor]:
        """Sends some rows of every client, [n, rows, ...], and adds their contexts; what the other side decodes."""
        assert self._codecs is not None
        decoded = []
        for codec, own in zip(self._codecs, smashed, strict=True):
            sent = codec.encode(own, self._chance)
            self._traffic.payload(self._link, sent.payload)
            contexts.append(sent.context)
            decoded.append(codec.decode(sent.payload, own.shape, own.dtype).smashed)
        return decoded


def as_received(codecs: Sequence[Codec], smashed: Tensor, rows: int) -> Tensor:
    """[n, r, ...] smashed data of clients as the server has them when nothing is random.

    Args:
        codecs: [n].
        smashed: [n, r, ...].
        rows: How many a client encodes at a time.
    """
    if all(codec is NONE for codec in codecs):
        return smashed
    return joined([_received(codec, own, rows) for codec, own in zip(codecs, smashed, strict=True)])


def _received(codec: Codec, smashed: Tensor, rows: int) -> Tensor:
    """`as_received` of one client, [r, ...]."""
    parts = (codec.decode(codec.encode(part).payload, part.shape, part.dtype) for part in smashed.split(rows))
    return torch.cat([part.smashed for part in parts])


def joined(parts: Sequence[Tensor]) -> Tensor:
    """[n, rows, ...] of n times [rows, ...]; joined along the rows, not stacked: that keeps the memory format."""
    return torch.cat(list(parts)).unflatten(0, (len(parts), len(parts[0])))
