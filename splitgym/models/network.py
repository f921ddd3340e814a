"""A network that can be cut between any two of its units."""

from collections.abc import Mapping

from torch import Tensor, nn


class HeConvolution(nn.Conv2d):
    """A convolution with a bias in front of a ReLU, in a network so deep without batch norm that its start matters.

    Its weights are drawn as He et al. (2015) say, its biases are 0 at first.
    """


class CuttableNetwork(nn.Module):
    """Units run one after the other; cut layer j puts `units[:j]` on the client and `units[j:]` on the server.

    The last unit holds the network's last layer, and no other layer with weights: gradients with respect to its output
    are what EPSL aggregates.

    Args:
        units: The L units by name, in the order of the forward pass.

    Raises:
        ValueError: fewer than two units, so there is nowhere to cut.
    """

    def __init__(self, units: Mapping[str, nn.Module]) -> None:
        super().__init__()
        if len(units) < 2:
            raise ValueError(f"units = {list(units)}: a network that can be cut needs at least two")
        self.unit_names = tuple(units)
        self.units = nn.ModuleList(units.values())

    def __len__(self) -> int:
        return len(self.units)

    @property
    def has_batch_norm(self) -> bool:
        """Whether a row's output depends, in training, on the other rows of its batch."""
        return any(isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d) for layer in self.modules())

    def forward(self, x: Tensor, start: int = 0, stop: int | None = None) -> Tensor:
        """Runs units start..stop-1 (counted from 0); all of them by default.

        Args:
            x: Input of unit `start`, [samples, ...]; images [samples, channels, height, width] for unit 0.
            start: First unit to run; on the server's side this is the cut layer.
            stop: Unit to stop before; on the client's side this is the cut layer. None: run to the end.

        Returns:
            Output of unit stop-1, [samples, ...]; logits [samples, classes] after the last.
        """
        stop = len(self) if stop is None else stop
        if not 0 <= start <= stop <= len(self):
            raise ValueError(f"start = {start}, stop = {stop}: allowed are 0 <= start <= stop <= {len(self)}")
        for index in range(start, stop):
            x = self.units[index](x)
        return x
