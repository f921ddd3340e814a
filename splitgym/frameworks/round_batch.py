"""The mini-batches of a round, and the bits that the nodes hand over in it."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from splitgym.frameworks.class_gaussians import ClassGaussians
from splitgym.frameworks.codecs import Codec
from splitgym.frameworks.exchange import IN_EVERY_ROUND, Exchange
from splitgym.frameworks.payloads import model_bits

BITS = 32
"""Of a number that is sent, whatever precision computes with it."""


@dataclass
class Traffic:
    """Bits that the nodes hand over in a round."""

    bits: Counter[str] = field(default_factory=Counter)
    """Of each resource that carries bits, by its name."""

    def up(self, tensors: Iterable[Tensor]) -> None:
        """From one client to the server."""
        self.over("uplink", tensors)

    def down(self, tensors: Iterable[Tensor]) -> None:
        """From the server to one client."""
        self.over("unicast", tensors)

    def to_all(self, tensors: Iterable[Tensor]) -> None:
        """From the server to every client that listens, sent once."""
        self.over("broadcast", tensors)

    def payload(self, link: str, payload: Tensor) -> None:
        """Bytes ([n] uint8) over a resource of that name."""
        self.bits[link] += 8 * len(payload)

    def model(self, link: str, tensors: Iterable[Tensor], bits: int) -> None:
        """Weights and running statistics over a resource of that name, in numbers of so many bits."""
        sizes = [tensor.numel() for tensor in tensors]
        self.bits[link] += int(model_bits(sum(sizes), len(sizes), bits))

    def over(self, link: str, tensors: Iterable[Tensor]) -> None:
        """Over a resource of that name, such as a wired link, either way."""
        self.bits[link] += BITS * sum(tensor.numel() for tensor in tensors)


@dataclass(frozen=True)
class RoundBatch:
    """The mini-batches of one round: n clients that take part, b samples each."""

    participants: tuple[int, ...]
    """Indices of the n clients."""
    weights: Tensor
    """[n] lambda_i: share of client i in the data of those that take part, or what `training.client_weights` makes of
    it; sums to 1."""
    images: Tensor
    """[n, b, ...]; a client that trains several steps has all of their mini-batches in it."""
    labels: Tensor
    """[n, b] class indices, as many rows as in `images`; of text one at each place of a window, [n, b, window]."""
    aggregated_rows: int
    """m: the first m positions of the mini-batch have their last-layer gradients averaged over clients."""
    losses: Tensor
    """[n] to be filled: mean cross-entropy of each client's mini-batch."""
    slots: tuple[tuple[int, ...], ...] | None = None
    """Which clients work at the same time: positions among the participants, slot by slot; absent: all together."""
    traffic: Traffic = field(default_factory=Traffic)
    """To be filled."""
    codecs: tuple[Codec, ...] | None = None
    """[n] how each client's smashed data and their gradients are sent; absent: as they are."""
    steps: int = 1
    """Mini-batches of each client."""
    sizes: tuple[int, ...] | None = None
    """[n] rows of each client, the first of its images and labels, where they differ: what follows is none of its data;
    absent: all."""
    chance: torch.Generator | None = None
    """For what codecs draw at random, and for generated rows."""
    gaussians: ClassGaussians | None = None
    """Of the smashed data of each class, where the server balances labels."""
    exchange: Exchange = IN_EVERY_ROUND
    """Which models go down and up."""

    def model_down(self, tensors: Iterable[Tensor], bits: int) -> None:
        """Counts a model, in numbers of so many bits, that goes to all clients at once."""
        self._over("broadcast", list(tensors), bits)

    def model_up(self, tensors: Iterable[Tensor], bits: int) -> None:
        """Likewise one that comes from one client to be averaged, or to be handed on."""
        self._over("uplink", list(tensors), bits)

    def _over(self, radio: str, tensors: Sequence[Tensor], bits: int) -> None:
        """Counts a model on the radio, and on the link to who averages it."""
        for link in (radio, *([] if self.exchange.link is None else [self.exchange.link])):
            self.traffic.model(link, tensors, bits)

    def rows_of(self, place: int) -> int:
        """Rows of the participant at a place."""
        return self.labels.shape[1] if self.sizes is None else self.sizes[place]

    def codecs_of(self, members: Sequence[int] | None) -> tuple[Codec, ...] | None:
        """The codecs of some of the participants, by their positions; absent: of all of them."""
        if self.codecs is None or members is None:
            return self.codecs
        return tuple(self.codecs[k] for k in members)

    def of(self, members: Sequence[int]) -> "RoundBatch":
        """The round_batch of some of the participants, by their positions; traffic is counted in common."""
        index = torch.tensor(members, device=self.weights.device)
        weights = self.weights[index]
        sizes = None if self.sizes is None else tuple(self.sizes[k] for k in members)
        rows = self.labels.shape[1] if sizes is None else max(sizes)
        return replace(
            self,
            participants=tuple(self.participants[k] for k in members),
            weights=weights / weights.sum(),
            images=self.images[index][:, :rows],
            labels=self.labels[index][:, :rows],
            losses=torch.zeros_like(weights),
            slots=None,
            codecs=self.codecs_of(members),
            sizes=None if sizes is None or len(set(sizes)) == 1 else sizes,
        )
