"""What a client trains that has the last units, too, and keeps its labels."""

import torch
from torch import Tensor

from splitgym.execution.client_training import ClientTraining
from splitgym.execution.models import digest
from splitgym.execution.plans import ClientPlan
from splitgym.frameworks import Framework
from splitgym.frameworks.node import Node
from splitgym.frameworks.server_pass import loss_gradients
from splitgym.models.profiling import features
from splitgym.scenario import Scenario


class UShapedClient(ClientTraining):
    """First and last units of one client; arguments as of `ClientTraining`."""

    sends_labels = False

    def __init__(self, scenario: Scenario, framework: Framework, seed: int, client: int) -> None:
        super().__init__(scenario, framework, seed, client)
        second = framework.second_cut(scenario, len(self._units))
        assert second is not None, "the framework has a second cut"
        self._of_row = features(self._network, self._input_shape)[second - 1]
        self._tail = Node(self._units[second:], scenario.training.client_learning_rate, scenario.training)

    def take_up(self, plan: ClientPlan) -> None:
        """See `ClientTraining.take_up`."""
        super().take_up(plan)
        self._tail.scale_rate(plan.rate_factor)

    def compute(self, stage: str) -> None:
        """See `ClientTraining.compute`."""
        if stage == "tail_fp":
            self._run_tail()
        elif stage != "tail_bp":
            super().compute(stage)
        if stage == "client_bp":
            self._tail.step(self._of_tail)

    def to_send(self, stage: str) -> Tensor:
        """See `ClientTraining.to_send`."""
        return self._from_tail if stage == "tail_uplink" else super().to_send(stage)

    def expected(self, stage: str) -> tuple[torch.dtype, int]:
        """See `ClientTraining.expected`."""
        if stage == "tail_unicast":
            return torch.uint8, int(self._codec.costs(self._planned.rows, self._of_row).uplink_bits) // 8
        return super().expected(stage)

    def receive(self, stage: str, values: Tensor) -> None:
        """See `ClientTraining.receive`."""
        if stage == "tail_unicast":
            self._to_tail = values
        else:
            super().receive(stage, values)

    def digest(self) -> bytes:
        """See `ClientTraining.digest`."""
        return digest([*self._node.units, *self._tail.units])

    def _run_tail(self) -> None:
        """Forward, loss and backward; what goes back over the second cut is encoded."""
        found, labels = self._codec, self.labels()
        decoded = found.decode(self._to_tail, (len(labels), *self._of_row))
        rows = decoded.smashed.requires_grad_()
        self._tail.set_mode(True)
        logits = self._tail.logits(rows)
        z = loss_gradients(logits.detach(), labels) / len(labels)
        gradient, *self._of_tail = torch.autograd.grad(logits, [rows, *self._tail.parameters], z)
        self._from_tail = found.encode_gradient(gradient, decoded.context)
