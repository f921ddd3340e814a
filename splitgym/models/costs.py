"""What each unit of a network costs, and the sums over both sides of a cut that the system model uses."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from splitgym.arrays import Floats, Ints
from splitgym.models.memory import Memory
from splitgym.models.per_unit import checked_cut_layer, own_arrays, sum_until


@dataclass(frozen=True, eq=False)
class Profile:
    """Costs per unit of a network with L units, for one sample.

    The methods take a cut layer j, an int or an integer array, and answer with a number or an array of its shape. The
    client holds units 1..j, the server units j+1..L; j = 0 puts everything on the server, j = L on the client.

    Attributes:
        forward_flops: FLOPs of a unit's forward pass, float64 [L].
        backward_flops: FLOPs of its backward pass, float64 [L].
        activation_bits: Bits of its output, float64 [L].
        model_bits: Bits of its weights and batch-norm statistics, float64 [L] (per unit, whatever the batch).

    Raises:
        ValueError: the four arrays do not have one common length of at least two units.
    """

    forward_flops: Floats
    backward_flops: Floats
    activation_bits: Floats
    model_bits: Floats

    def __post_init__(self) -> None:
        own_arrays(self)

    def __len__(self) -> int:
        return len(self.forward_flops)

    @property
    def cut_layers(self) -> Ints:
        """The cut layers 1..L-1 that leave both sides something to do, int64 [L-1]."""
        return np.arange(1, len(self), dtype=np.int64)

    @property
    def last_layer_backward(self) -> float:
        """Phi_s^last: FLOPs of the last layer's backward pass, which EPSL runs for every sample."""
        return float(self.backward_flops[-1])

    def client_forward(self, cut_layer: int | NDArray[np.integer]) -> Floats:
        """Phi_c^F(j): FLOPs of the client's forward pass."""
        return sum_until(self.forward_flops, self._checked(cut_layer))

    def client_backward(self, cut_layer: int | NDArray[np.integer]) -> Floats:
        """Phi_c^B(j): FLOPs of the client's backward pass."""
        return sum_until(self.backward_flops, self._checked(cut_layer))

    def server_forward(self, cut_layer: int | NDArray[np.integer]) -> Floats:
        """Phi_s^F(j): FLOPs of the server's forward pass, last layer included."""
        return self.forward_flops.sum() - sum_until(self.forward_flops, self._checked(cut_layer))

    def server_backward(self, cut_layer: int | NDArray[np.integer]) -> Floats:
        """Phi_s^B(j): FLOPs of the server's backward pass *without* the last layer (see `last_layer_backward`)."""
        hidden = self.backward_flops[:-1]
        return hidden.sum() - sum_until(hidden, np.minimum(self._checked(cut_layer), len(hidden)))

    def smashed_bits(self, cut_layer: int | NDArray[np.integer]) -> Floats:
        """psi_j, j >= 1: bits of the activations at the cut; their gradient chi_j has as many."""
        return self.activation_bits[self._checked(cut_layer, lowest=1) - 1]

    def prefix_bits(self, cut_layer: int | NDArray[np.integer]) -> Floats:
        """Bits of the client's part of the model."""
        return sum_until(self.model_bits, self._checked(cut_layer))

    def _checked(self, cut_layer: int | NDArray[np.integer], lowest: int = 0) -> NDArray[np.integer]:
        return checked_cut_layer(cut_layer, len(self), lowest)


class NetworkCosts(NamedTuple):
    """What the simulator has to know of a network that it does not train."""

    profile: Profile
    has_batch_norm: bool
    """Whether a row's output depends, in training, on the other rows of its batch."""
    features: tuple[tuple[int, ...], ...]
    """[L] shape of each unit's output, of one sample."""
    tensors: tuple[int, ...]
    """[L] tensors of each unit's weights and running statistics."""
    memory: Memory
    """What training it needs of memory."""
