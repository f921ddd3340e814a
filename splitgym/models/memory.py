"""What a node needs of memory while it trains consecutive units of a network."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from splitgym.arrays import Floats
from splitgym.models.per_unit import checked_cut_layer, own_arrays, sum_until
from splitgym.scenario import Training

_Whole = NDArray[np.integer]
Counts = int | _Whole
"""Cut layers, rows or batches: one number or an array."""


def optimizer_copies(training: Training) -> int:
    """o: numbers that the optimiser keeps for each weight, 0 (SGD), 1 (SGD with momentum) or 2 (Adam: both moments).

    Not counted: Adam's step counters, 4 bytes for each tensor of weights.
    """
    if training.optimizer == "adam":
        return 2
    return int(training.momentum > 0)


@dataclass(frozen=True, eq=False)
class Memory:
    """Bytes of training per unit of a network with L units, in single precision.

    A node that trains units i+1..j on r rows needs

        W (2 + o) + B + r S + n F  bytes:

    weights W, their gradients (as many) and o further copies in the optimiser; buffers B; S for each row and F for each
    batch that batch norm normalises by itself: what the forward pass saves for the backward pass. These are all tensors
    that autograd saves (`torch.autograd.graph.saved_tensors_hooks`), each storage once, without weights and buffers.
    It is not the sum of all layers' outputs: what batch norm gives to a ReLU in place is no storage of its own, indices
    of max-pooling have 8 bytes each, and maps, which are channels last, are copied where they are flattened.

    Whoever has the last unit computes the loss, so the last unit's bytes include what the cross-entropy saves: log
    probabilities, labels (8 bytes), and one number. Parallel frameworks compute their loss's gradient without autograd,
    and hold as much for it.

    With recomputation (Chen et al., Training deep nets with sublinear memory cost, arXiv:1604.06174) the forward pass
    keeps the input of each unit alone, and the backward pass runs the unit's forward pass once more. Instead of
    r S + n F there is the most, over the node's units, of the inputs up to that unit and what it saves beside its own.

    Not counted: what is not saved but there for a moment, such as gradients of activations, which in front of an early
    cut need as much again; workspaces of convolutions; what the allocator rounds up; the second precision of
    `training.precision = "bf16"`; copies of running statistics of which `training.batch_statistics = "per-client"`
    takes the mean. The server's r = n b rows are those of psl and of `training.aggregation_reading = "inject"`: the
    mean field of "virtual" has other passes, which may hold more. Nor is counted what training costs here because it is
    a simulation: clients that run in groups, and the whole network at the server.

    Attributes:
        parameter_bytes: Weights, float64 [L], like all others.
        buffer_bytes: Running statistics and counters of batch norm, and frozen weights: neither gradient nor optimiser
            state.
        input_bytes: Its input, per row.
        saved_bytes: What it saves and no unit in front of it has saved, per row.
        shared_bytes: What units up to this one have saved and units behind it save again, per row: without a cut
            behind this unit it is there once, with a cut on both sides.
        recomputed_bytes: What it saves beside its input, per row.
        batch_bytes: What it saves whatever the number of rows: mean and inverse standard deviation of batch norm.

    Raises:
        ValueError: the arrays do not have one common length of at least two units.
    """

    parameter_bytes: Floats
    buffer_bytes: Floats
    input_bytes: Floats
    saved_bytes: Floats
    shared_bytes: Floats
    recomputed_bytes: Floats
    batch_bytes: Floats

    def __post_init__(self) -> None:
        own_arrays(self)

    def __len__(self) -> int:
        return len(self.parameter_bytes)

    def client_bytes(self, cut_layer: Counts, rows: Counts, copies: int, *, recompute: bool = False) -> Floats:
        """Bytes of a client that trains units 1..cut_layer on a mini-batch of so many rows; see `node_bytes`."""
        return self.node_bytes(0, cut_layer, rows, copies, recompute=recompute)

    def server_bytes(
        self, cut_layer: Counts, rows: Counts, copies: int, *, batches: Counts = 1, recompute: bool = False
    ) -> Floats:
        """Bytes of a server that trains units cut_layer+1..L on the rows of all clients; see `node_bytes`."""
        return self.node_bytes(cut_layer, len(self), rows, copies, batches=batches, recompute=recompute)

    def node_bytes(
        self, first: Counts, last: Counts, rows: Counts, copies: int, *, batches: Counts = 1, recompute: bool = False
    ) -> Floats:
        """Bytes of a node that trains units first+1..last; all arrays broadcast against each other.

        Args:
            first: Cut layer in front of its units, 0..L.
            last: Cut layer behind its units, first..L; `first`: it has none, and needs nothing.
            rows: Rows of one pass, at least 1.
            copies: o, see `optimizer_copies`.
            batches: Parts of the rows that batch norm normalises by themselves, at least 1.
            recompute: Whether each unit's forward pass runs a second time in the backward pass.

        Raises:
            ValueError: an argument is out of its range.
        """
        first, last = (checked_cut_layer(cut, len(self)) for cut in (first, last))
        if np.any(first > last):
            raise ValueError(f"last = {last}: at least first = {first}")
        rows, batches = _at_least_one("rows", rows), _at_least_one("batches", batches)
        if copies not in (0, 1, 2):
            raise ValueError(f"copies = {copies}: allowed are 0, 1, 2")
        of_weights = _between((2 + copies) * self.parameter_bytes + self.buffer_bytes, first, last)
        saved = self._recomputed if recompute else self._saved
        return of_weights + saved(first, last, rows, batches)

    def _saved(self, first: _Whole, last: _Whole, rows: _Whole, batches: _Whole) -> Floats:
        """What the forward pass saves, r S + n F."""
        shared = np.concatenate(([0.0], self.shared_bytes))[first]
        per_row = np.where(first < last, shared + _between(self.saved_bytes, first, last), 0.0)
        return rows * per_row + batches * _between(self.batch_bytes, first, last)

    def _recomputed(self, first: _Whole, last: _Whole, rows: _Whole, batches: _Whole) -> Floats:
        """The most, over all units of the node, of inputs up to the unit and what it saves beside its input."""
        most = np.zeros(np.broadcast_shapes(first.shape, last.shape, rows.shape, batches.shape))
        for unit in range(len(self)):
            inputs = _between(self.input_bytes, first, np.maximum(first, unit + 1))
            there = rows * (inputs + self.recomputed_bytes[unit]) + batches * self.batch_bytes[unit]
            most = np.where((first <= unit) & (unit < last), np.maximum(most, there), most)
        return most


def _between(values: Floats, first: _Whole, last: _Whole) -> Floats:
    """Sum over units first+1..last."""
    return sum_until(values, last) - sum_until(values, first)


def _at_least_one(name: str, values: Counts) -> _Whole:
    numbers = np.asarray(values)
    if np.any(numbers < 1):
        raise ValueError(f"{name} = {values}: at least 1")
    return numbers
