"""What the server trains where models come back from the clients: FL, SFL and SL."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from splitgym.execution.schedule import Schedule
from splitgym.execution.server_training import ServerTraining
from splitgym.frameworks import Access
from splitgym.frameworks.node import Remembered
from splitgym.frameworks.nodes import model_state
from splitgym.frameworks.snapshots import write, write_mean


class AveragedTraining(ServerTraining):
    """The server's side where models come back: FL and SFL (version 1), which average them, and SL, which hands one on.

    A client that is lost before its model is back has not taken part: it counts neither here nor there.
    """

    def begin(self, schedule: Schedule, number: int) -> None:
        """See `ServerTraining.begin`."""
        super().begin(schedule, number)
        self._copies: dict[int, list[Tensor]] = {}
        self._moved = False
        self._remembered: Remembered | None = None

    def compute(self, stage: str, members: Sequence[int]) -> bool:
        """Every member's rows with a copy of the server's part, all from the same start; of one member in SL."""
        nodes, cut = self.nodes, self._schedule.cut_layer
        self._take_up(members)
        begun = model_state(nodes.server.units[cut:])
        start_values = [tensor.clone() for tensor in begun]
        for i in members:
            write(start_values, begun)
            server = nodes.server_of(i)
            server.set_mode(True)
            self._remembered = server.remembered()
            at_cut = self._smashed[i].detach().requires_grad_()
            loss = F.cross_entropy(server.logits(at_cut, cut), self._labels[i])
            self._check(bool(torch.isfinite(loss)))
            gradient, *of_server = torch.autograd.grad(loss, [at_cut, *server.parameters], allow_unused=True)
            self._back[i] = self._codec.encode_gradient(gradient, self._contexts[i][1])
            server.step(of_server)
            self._copies[i] = [tensor.clone() for tensor in begun]
        write(start_values, begun)
        return True

    def answer(self, client: int) -> None:
        """See `ServerTraining.answer`; with a copy of its own there is nothing to conclude."""
        self.compute("server_fp", [client])

    def finish(self, members: Sequence[int]) -> None:
        """Averages what members have made of the models; in SL the one that is back is handed on."""
        remembered, self._remembered = self._remembered, None
        if not members:
            if self._hands_on and remembered is not None:
                self.nodes.server.remember(remembered)
            return
        self._take_up(members)
        weights = torch.tensor(self._weights.of(members), dtype=torch.float32)
        units = self.nodes.server.units
        behind = model_state(units[len(self._prefix) :])
        if self._copies:
            self._put([self._copies[i] for i in members], weights, behind)
        shapes = model_state(self._prefix)
        self._put([_split(self._models[i], shapes) for i in members], weights, shapes)
        self._weights.count(members)

    def took_part(self, served: Sequence[int], members: Sequence[int]) -> Sequence[int]:
        """Those whose models are back."""
        return members

    @property
    def _hands_on(self) -> bool:
        """Whether there is one model, of one client after the other."""
        return self._framework.access is Access.SEQUENTIAL

    def _put(self, models: list[list[Tensor]], weights: Tensor, targets: list[Tensor]) -> None:
        if self._hands_on:
            write(models[0], targets)
        else:
            write_mean(models, weights, targets)

    def _take_up(self, members: Sequence[int]) -> None:
        if not self._moved:
            self._move_cut(members)
            self._moved = True


def _split(values: Tensor, like: Sequence[Tensor]) -> list[Tensor]:
    parts = values.split([tensor.numel() for tensor in like])
    return [part.view(tensor.shape) for part, tensor in zip(parts, like, strict=True)]
