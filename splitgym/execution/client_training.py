"""What a client trains: its own data and its own units, and nothing of the others."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from splitgym.execution.frames import ProtocolError
from splitgym.execution.models import digest, numbers, pack_model, unpack_model
from splitgym.execution.plans import ClientPlan
from splitgym.frameworks import Framework
from splitgym.frameworks.codecs import Codec, Context, codec
from splitgym.frameworks.node import Node, Remembered
from splitgym.frameworks.segments import Weights, segment_at
from splitgym.frameworks.snapshots import Snapshot, buffers_of
from splitgym.learning.batches import BatchOrder
from splitgym.learning.start import start
from splitgym.scenario import Scenario
from splitgym.scenario.nodes import CLIENT


class ClientTraining:
    """The data and the first units of one client, and what rounds do with them.

    Args:
        scenario: Of the cell.
        framework: Says whether units stay with the client.
        seed: Of the learner that is played.
        client: Its index.

    Attributes:
        samples: How many it has.
        sends_labels: Whether labels go with the smashed data.
    """

    sends_labels = True

    def __init__(self, scenario: Scenario, framework: Framework, seed: int, client: int) -> None:
        begun = start(scenario, seed)
        own = begun.parts[client]
        images = torch.from_numpy(begun.dataset.train_images[own])
        self._images = images.contiguous(memory_format=torch.channels_last)
        self._labels = torch.from_numpy(begun.dataset.train_labels[own])
        self._order = BatchOrder(np.arange(len(own)), begun.orders[client])
        # Initial weights of what it holds first; what it fetches later is written into units of the same kind.
        self._network = begun.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._units, self._input_shape = list(self._network.units), begun.dataset.input_shape
        first = segment_at(framework.segments, CLIENT)
        self._keeps_units = first is not None and first.weights is Weights.OWN
        self._holds_all = len(framework.segments) == 1
        self._steps = framework.steps(scenario.training)
        self._node = Node([], scenario.training.client_learning_rate, scenario.training)
        self._codecs = [codec(name) for name in scenario.plan.codecs]
        self._plan: ClientPlan | None = None
        self._before: tuple[Any, Snapshot, list[Any], Remembered] | None = None
        self.samples = len(own)

    def take_up(self, plan: ClientPlan) -> None:
        """Begins a round; until the next one begins, `go_back` undoes it."""
        if self._keeps_units and len(self._node.units) != plan.held:
            raise ProtocolError(f"held = {plan.held}, allowed: {len(self._node.units)}, the units that are here")
        units = list(self._node.units)
        self._before = self._order.state_dict(), Snapshot(buffers_of(self._units)), units, self._node.remembered()
        self._plan, self._given = plan, units[plan.cut :] if plan.held else []
        if not (self._keeps_units and 0 < plan.held < plan.cut):
            self.hold(plan.cut)
        self._node.scale_rate(plan.rate_factor)
        self._common: Tensor | None = None
        self._own: Tensor | None = None

    def hold(self, cut: int) -> None:
        """From now on holds the units up to a cut layer, as far as it has them."""
        if self._holds_all:
            cut = len(self._units)
        units = self._node.units[:cut] if self._node.units and self._keeps_units else self._units[:cut]
        self._hold(units)

    def go_back(self) -> None:
        """Is again as it was before the round, in which it takes no part."""
        if self._before is not None:
            order, statistics, units, remembered = self._before
            self._order.load_state_dict(order)
            statistics.restore()
            self._hold(units)
            self._node.remember(remembered)
            self._before = None

    def compute(self, stage: str) -> None:
        """What a row that it computes does."""
        if stage == "client_fp":
            if self._holds_all:
                self._train_alone()
            else:
                self._forward()
        elif stage == "client_bp" and not self._holds_all:
            self._backward()

    def labels(self) -> Tensor:
        """[b] of the rows that are sent, which the server needs for the loss."""
        return self._own_labels

    def to_send(self, stage: str) -> Tensor:
        """What a row of its uplink carries."""
        if stage == "uplink":
            return torch.cat(self._payloads)
        return pack_model(self._given if stage == "migration" else self._node.units)

    def expected(self, stage: str) -> tuple[torch.dtype, int]:
        """Type and length of what a row brings it."""
        plan = self._planned
        if stage == "migration":
            return torch.float32, numbers(self._units[plan.held : plan.cut])
        if stage == "model_down":
            return torch.float32, numbers(self._node.units)
        context = self._contexts[0 if stage == "broadcast" else -1]
        costs = self._codec.costs(context.shape[0], tuple(context.shape[1:]))
        return torch.uint8, int(costs.downlink_bits) // 8

    def receive(self, stage: str, values: Tensor) -> None:
        """Takes what a row brought it."""
        plan = self._planned
        if stage == "migration":
            # Whatever these hold is void: the units have been the server's.
            fetched = self._units[plan.held : plan.cut]
            unpack_model(values, fetched)
            self._hold([*self._node.units, *fetched])
        elif stage == "model_down":
            unpack_model(values, self._node.units)
        elif stage == "broadcast":
            self._common = values
        else:
            self._own = values

    def digest(self) -> bytes:
        """SHA-256 of its weights and running statistics."""
        return digest(self._node.units)

    @property
    def _codec(self) -> Codec:
        """Of the round."""
        return self._codecs[self._planned.codec]

    @property
    def _planned(self) -> ClientPlan:
        assert self._plan is not None, "take up a plan first"
        return self._plan

    def _hold(self, units: Sequence[Any]) -> None:
        if [id(unit) for unit in units] != [id(unit) for unit in self._node.units]:
            self._node.units = list(units)
            self._node.train_units(0)

    def _draw(self) -> tuple[Tensor, Tensor]:
        """The mini-batches of the round, [rows, ...] and [rows]."""
        index = torch.from_numpy(self._order.draw(self._planned.batch_size * self._steps))[None]
        return self._images[index][0], self._labels[index][0]

    def _forward(self) -> None:
        """Forward on its mini-batch; what the cut carries is encoded."""
        plan = self._planned
        images, labels = self._draw()
        images, self._own_labels = images[: plan.rows], labels[: plan.rows]
        self._node.set_mode(True)
        self._smashed = self._node.forward(images)
        detached, found = self._smashed.detach(), self._codec
        pieces = (detached[: plan.aggregated_rows], detached[plan.aggregated_rows :])
        encoded = [found.encode(piece) for piece in pieces]
        self._payloads = [each.payload for each in encoded]
        self._contexts: list[Context] = [each.context for each in encoded]

    def _backward(self) -> None:
        """Backward with the gradients that came, and a step."""
        found, parts = self._codec, list[Tensor]()
        for payload, context in zip((self._common, self._own), self._contexts, strict=True):
            if payload is not None:
                parts.append(found.decode_gradient(payload, context))
        gradient = torch.cat(parts) if len(parts) > 1 else parts[0]
        self._node.step(torch.autograd.grad(self._smashed, self._node.parameters, gradient))

    def _train_alone(self) -> None:
        """The whole network on all mini-batches of the round, one after the other."""
        images, labels = self._draw()
        self._node.set_mode(True)
        for rows, of_rows in zip(images.chunk(self._steps), labels.chunk(self._steps), strict=True):
            output = self._node.forward(rows)
            logits = output.detach().requires_grad_()
            (gradient,) = torch.autograd.grad(F.cross_entropy(logits, of_rows), [logits])
            self._node.step(torch.autograd.grad(output, self._node.parameters, gradient))
