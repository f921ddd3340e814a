"""What the server trains between the first and the last units of the clients, without labels."""

from collections.abc import Sequence

import torch
from torch import Tensor

from splitgym.execution.schedule import Schedule
from splitgym.execution.server_training import ServerTraining
from splitgym.frameworks.codecs import Context
from splitgym.frameworks.crossing import joined
from splitgym.frameworks.parallel import begin
from splitgym.frameworks.server_pass import per_client, run_parts


class UShapedTraining(ServerTraining):
    """The server's side of U-shaped split learning, with a second cut that nobody decides.

    Rows of all clients are one batch. Of a client that is lost between the server's passes a part of the batch is
    missing: then the round counts for nobody.
    """

    needs_labels = False

    def begin(self, schedule: Schedule, number: int) -> None:
        """See `ServerTraining.begin`."""
        super().begin(schedule, number)
        self._at_tails: dict[int, Context] = {}
        self._from_tails: dict[int, Tensor] = {}
        self._served: Sequence[int] = ()
        self._counts = False

    def to_send(self, stage: str, client: int) -> Tensor:
        """See `ServerTraining.to_send`."""
        return self._to_tails[client] if stage == "tail_unicast" else super().to_send(stage, client)

    def expected(self, stage: str, client: int) -> tuple[torch.dtype, int]:
        """See `ServerTraining.expected`."""
        if stage == "tail_uplink":
            costs = self._codec.costs(self.rows, self._features[self.nodes.second_cut - 1])
            return torch.uint8, int(costs.downlink_bits) // 8
        return super().expected(stage, client)

    def compute(self, stage: str, members: Sequence[int]) -> bool:
        """See `ServerTraining.compute`; forward in one stage, backward in the other."""
        if stage == "server_fp":
            self._forward(members)
            return True
        self._counts = list(members) == list(self._served)
        if self._counts:
            self._backward(members)
        return self._counts

    def finish(self, members: Sequence[int]) -> None:
        """See `ServerTraining.finish`; what counts for nobody is undone."""
        if self._served and not self._counts:
            self.nodes.load_state_dict(self._before)

    def took_part(self, served: Sequence[int], members: Sequence[int]) -> Sequence[int]:
        """See `ServerTraining.took_part`."""
        return self._served if self._counts else ()

    def _take(self, stage: str, client: int, values: Tensor) -> None:
        if stage == "tail_uplink":
            self._from_tails[client] = self._codec.decode_gradient(values, self._at_tails[client])
        else:
            super()._take(stage, client, values)

    def _forward(self, members: Sequence[int]) -> None:
        nodes, found = self.nodes, self._codec
        self._before, self._served = nodes.state_dict(), members
        self._move_cut(members)
        begin([nodes.server])
        self._lambda = torch.tensor(self._weights.of(members), dtype=torch.float32)
        self._rows = joined([self._smashed[i] for i in members]).detach().requires_grad_()
        cut, second, server = nodes.cut_layer, nodes.second_cut, nodes.server
        (self._body,) = run_parts(
            lambda x: server.forward(x, cut, second),
            server.units[cut:second],
            [self._rows],
            nodes.training,
            self._lambda,
        )
        encoded = [found.encode(own) for own in self._body.detach()]
        self._to_tails = {i: each.payload for i, each in zip(members, encoded, strict=True)}
        self._at_tails = {i: each.context for i, each in zip(members, encoded, strict=True)}

    def _backward(self, members: Sequence[int]) -> None:
        nodes = self.nodes
        from_tails = joined([self._from_tails[i] for i in members])
        at_body = from_tails * per_client(self._lambda, from_tails)
        at_rows, *of_server = torch.autograd.grad(self._body, [self._rows, *nodes.server.parameters], [at_body])
        own = at_rows / per_client(self._lambda, at_rows)
        self._check(bool(torch.isfinite(own.sum() + from_tails.sum())))
        for i, gradient in zip(members, own, strict=True):
            self._back[i] = self._codec.encode_gradient(gradient, self._contexts[i][1])
        nodes.server.step(of_server)
        self._weights.count(members)
