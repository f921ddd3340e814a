"""What the cloud trains: the last units, on what the edge server makes of the clients' smashed data."""

import torch
from torch import Tensor

from splitgym.execution.frames import ProtocolError
from splitgym.execution.models import numbers, pack_model, unpack_model
from splitgym.frameworks import Framework
from splitgym.frameworks.groups import Group, add_losses
from splitgym.frameworks.node import Node
from splitgym.frameworks.parallel import begin
from splitgym.frameworks.path_pass import StagePass
from splitgym.frameworks.round_batch import RoundBatch
from splitgym.frameworks.servers import Stage
from splitgym.learning.start import start
from splitgym.models.profiling import features
from splitgym.scenario import Scenario


class CloudTraining:
    """The units behind the second cut, or behind a cut layer that is deeper.

    Args:
        scenario: Of the cell.
        framework: Of the round.
        seed: Of the learner that is played.
    """

    def __init__(self, scenario: Scenario, framework: Framework, seed: int) -> None:
        begun = start(scenario, seed)
        network = begun.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        second = framework.second_cut(scenario, len(network))
        assert second is not None, "the framework has a second cut"
        self._second, self._classes, self._training = second, len(begun.dataset.classes), scenario.training
        self._features = features(network, begun.dataset.input_shape)
        self._node = Node(list(network.units), scenario.training.server_learning_rate, scenario.training)
        self._first = -1

    def units_behind(self, cut: int) -> Tensor:
        """Weights and running statistics of the units behind a cut layer, [n] float32."""
        return pack_model(self._node.units[cut:])

    def begin(self, cut: int, rate_factor: float) -> int:
        """Begins a round, in which clients have the units up to a cut layer; how many numbers come for each row.

        Raises:
            ProtocolError: there is no such layer.
        """
        if not 0 < cut < len(self._features):
            raise ProtocolError(f"frame WORK: cut = {cut}, allowed: 1..{len(self._features) - 1}")
        first = max(cut, self._second)
        if first != self._first:
            self._first = first
            self._node.train_units(first)
        self._node.scale_rate(rate_factor)
        return int(torch.Size(self._features[first - 1]).numel())

    def numbers_between(self, last: int) -> int:
        """How many numbers the units are that come back from clients, up to cut layer `last`."""
        return numbers(self._node.units[self._first : last])

    def take(self, values: Tensor, last: int) -> None:
        """Writes units that come back from clients, up to cut layer `last`."""
        unpack_model(values, self._node.units[self._first : last])

    def train(self, cut: int, labels: Tensor, weights: Tensor, values: Tensor, channels_last: bool) -> Tensor:
        """Forward, loss, backward, and a step.

        Args:
            cut: Of the clients.
            labels: [n, b].
            weights: [n] of the clients.
            values: All that the edge server made of the rows, number by number.
            channels_last: Whether these are images whose channels the edge server has last.

        Returns:
            As many gradients as `values`.

        Raises:
            ProtocolError: labels are none.
        """
        if not bool(((labels >= 0) & (labels < self._classes)).all()):
            raise ProtocolError(f"labels have others than 0..{self._classes - 1}")
        n, b = labels.shape
        rows = values.view(n * b, *self._features[self._first - 1])
        if channels_last:
            rows = rows.to(memory_format=torch.channels_last)
        received = rows.unflatten(0, (n, b)).detach().requires_grad_()
        group = Group(cut, b, list(range(n)))
        batch = RoundBatch(tuple(range(n)), weights, torch.empty(0), labels, 0, torch.zeros(n))
        begin([self._node])
        stage = Stage(None, self._node, self._first, len(self._node.units))
        passed = StagePass(stage, [group], [received], self._training, weights)
        (back,), of_weights = passed.backward([add_losses(passed.made[0], group, batch)])
        self._node.step(of_weights)
        return back.flatten()
