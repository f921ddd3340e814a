"""What the server trains: the units behind the cut, on what clients send; it has no data of theirs."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from splitgym.arrays import Floats, Ints
from splitgym.execution.frames import ProtocolError
from splitgym.execution.link import Link
from splitgym.execution.measured import Measured
from splitgym.execution.models import digest, numbers, pack_model, unpack_model
from splitgym.execution.plans import ClientPlan, ClientRow
from splitgym.execution.schedule import MIGRATION, Row, Schedule
from splitgym.frameworks import Framework
from splitgym.frameworks.codecs import Codec, Context, codec
from splitgym.frameworks.crossing import joined
from splitgym.frameworks.nodes import Nodes
from splitgym.frameworks.one_by_one import added_up, pass_of_one
from splitgym.frameworks.parallel import begin
from splitgym.frameworks.round_batch import RoundBatch
from splitgym.frameworks.server_pass import CutGradients, server_pass
from splitgym.inputs import InputError
from splitgym.learning.rates import rate_factor
from splitgym.learning.start import start
from splitgym.learning.weights import ClientWeights
from splitgym.models.profiling import features
from splitgym.scenario import Scenario


class NotFiniteError(InputError):
    """A loss or a gradient is not finite: the models have diverged."""


class ServerTraining:
    """The server's side of PSL, EPSL and PSL on fewer rows.

    Args:
        scenario: Of the cell.
        framework: Of the round.
        seed: Of the learner that is played.
        samples: [C] training samples of each client, as these say.

    Attributes:
        links: To nodes behind the server.
        needs_labels: Whether labels come with the smashed data.
        nodes: The server; its clients only tell how many units each of them holds.
    """

    needs_labels = True
    links: tuple[Link, ...] = ()

    def __init__(self, scenario: Scenario, framework: Framework, seed: int, samples: Ints) -> None:
        begun = start(scenario, seed)
        network = begun.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._training, self._framework = scenario.training, framework
        self._codecs = [codec(name) for name in scenario.plan.codecs]
        self._classes = len(begun.dataset.classes)
        self._features = features(network, begun.dataset.input_shape)
        self.data_share: Floats = samples / samples.sum()
        self._weights = ClientWeights(self.data_share, scenario.training)
        second = framework.second_cut(scenario, len(network))
        self.nodes = Nodes(network, len(samples), scenario.training, framework.segments, second, self._codecs[0])

    def begin(self, schedule: Schedule, number: int) -> None:
        """Begins a round, counted from 1."""
        self._schedule, self._number = schedule, number
        self._labels: dict[int, Tensor] = {}
        self._contexts: dict[int, list[Context]] = {}
        self._smashed: dict[int, Tensor] = {}
        self._given: dict[int, Tensor] = {}
        self._models: dict[int, Tensor] = {}
        self._back: dict[int, Tensor] = {}
        self._of_one: dict[int, list[Tensor]] = {}

    @property
    def rows(self) -> int:
        """On how many rows each client trains."""
        schedule = self._schedule
        return schedule.batch_size - (0 if self._aggregates else schedule.aggregated_rows)

    @property
    def _aggregates(self) -> bool:
        """Whether the rows that phi says are averaged, and not left out."""
        return self._framework.averages_gradients or not self._schedule.aggregated_rows

    @property
    def aggregated_rows(self) -> int:
        """Rows of a mini-batch whose gradients are averaged, m."""
        return self._schedule.aggregated_rows if self._aggregates else 0

    def plan_for(self, client: int, todo: tuple[ClientRow, ...]) -> ClientPlan:
        """What a client is told of the round."""
        schedule = self._schedule
        return ClientPlan(
            held=int(self.nodes.client_cut_layer[client]),
            cut=schedule.cut_layer,
            batch_size=schedule.batch_size,
            rows=self.rows,
            aggregated_rows=self.aggregated_rows,
            codec=int(np.max(schedule.decision.codec)),
            rate_factor=rate_factor(self._training, self._number),
            todo=todo,
        )

    def moving(self, client: int, down: bool) -> int:
        """How many numbers of units move to a client, or from it."""
        held, cut = int(self.nodes.client_cut_layer[client]), self._schedule.cut_layer
        first, last = (held, cut) if down else (cut, held)
        return numbers(self.nodes.server.units[first:last]) if held else 0

    def to_send(self, stage: str, client: int) -> Tensor:
        """What a row carries to one client."""
        if stage == MIGRATION:
            held = int(self.nodes.client_cut_layer[client])
            return pack_model(self.nodes.server.units[held : self._schedule.cut_layer])
        return self._back[client]

    def to_all(self, stage: str) -> Tensor:
        """What a row carries to all clients."""
        if stage == "model_down":
            return pack_model(self._prefix)
        return self._to_all

    def expected(self, stage: str, client: int) -> tuple[torch.dtype, int]:
        """Type and length of what a row brings from a client."""
        if stage == MIGRATION:
            return torch.float32, self.moving(client, down=False)
        if stage == "model_up":
            return torch.float32, numbers(self._prefix)
        return torch.uint8, sum(self._payload_bytes())

    def receive(self, stage: str, client: int, values: Tensor, labels: Tensor | None = None) -> None:
        """Takes what a row brought from a client.

        Raises:
            ProtocolError: that cannot be of this round.
        """
        if stage == MIGRATION:
            self._given[client] = values
        elif stage == "model_up":
            self._models[client] = values
        else:
            if labels is not None:
                if not bool(((labels >= 0) & (labels < self._classes)).all()):
                    raise ProtocolError(f"labels of client {client} have others than 0..{self._classes - 1}")
                self._labels[client] = labels
            try:
                self._take(stage, client, values)
            except (RuntimeError, ValueError, IndexError) as error:
                raise ProtocolError(f"{stage} of client {client} cannot be decoded: {error}") from error

    def compute(self, stage: str, members: Sequence[int]) -> bool:
        """All that the server does before it answers, from a stage on, for clients whose data are there.

        Returns:
            False: the round cannot go on, and counts for nobody.

        Raises:
            NotFiniteError: there is no answer.
        """
        nodes = self.nodes
        self._move_cut(members)
        batch = self._batch(members)
        begin([nodes.server])
        received = joined([self._smashed[i] for i in members])
        gradients = server_pass(nodes, received, batch)
        self._check(bool(torch.isfinite(batch.losses).all()) and gradients.finite)
        nodes.step_servers(gradients.of_server)
        self._weights.count(members)
        self._answer(members, gradients)
        return True

    def go_behind(self, rows: Sequence[Row], members: Sequence[int], measured: Measured) -> None:
        """Plays rows of nodes and links behind the server; there are none."""
        raise NotImplementedError

    def answer(self, client: int) -> None:
        """Likewise for one client, whose data are there, before those of the others.

        Raises:
            NotFiniteError: there is no answer.
        """
        server, cut = self.nodes.server, self._schedule.cut_layer
        server.set_mode(True)
        loss, at_cut, of_server = pass_of_one(server, cut, self._smashed[client], self._labels[client])
        self._check(bool(torch.isfinite(loss + at_cut.sum())))
        self._of_one[client] = of_server
        self._back[client] = self._codec.encode_gradient(at_cut, self._contexts[client][1])

    def conclude(self, served: Sequence[int]) -> None:
        """Learns from the clients that it has answered one by one."""
        if self._of_one and served:
            self._move_cut(served)
            weights = torch.tensor(self._weights.of(served), dtype=torch.float32)
            self.nodes.step_servers(added_up(weights, [self._of_one[i] for i in served]))
            self._weights.count(served)
        self._of_one = {}

    def finish(self, members: Sequence[int]) -> None:
        """Ends the round with those that are still there."""

    def took_part(self, served: Sequence[int], members: Sequence[int]) -> Sequence[int]:
        """Which clients the round counts: those that were served, or those that are still there."""
        return served

    @property
    def cut_layer(self) -> int:
        """Where the network is cut now; 0 before the first round."""
        return self.nodes.cut_layer

    def digest(self) -> bytes:
        """SHA-256 of its weights and running statistics."""
        return digest(self.nodes.server.units)

    @property
    def _prefix(self) -> Any:
        """Units that clients train."""
        units = self.nodes.server.units
        return units if len(self._framework.segments) == 1 else units[: self._schedule.cut_layer]

    def _take(self, stage: str, client: int, values: Tensor) -> None:
        """Takes what a codec has packed."""
        self._smashed[client] = self._decode(client, values)

    def _check(self, finite: bool) -> None:
        if not finite:
            raise NotFiniteError(f"round {self._number}: loss or gradients are not finite; execution ends here")

    def _move_cut(self, members: Sequence[int]) -> None:
        """Moves the cut for good, with the units that members gave up."""
        nodes, cut = self.nodes, self._schedule.cut_layer
        for i in members:
            if i in self._given:
                unpack_model(self._given[i], nodes.clients[i].units[cut:])
        nodes.move_cut(cut, members, self.data_share)
        nodes.scale_rates(rate_factor(self._training, self._number))

    def _batch(self, members: Sequence[int]) -> RoundBatch:
        """The round for `server_pass`; images stay with the clients."""
        return RoundBatch(
            participants=tuple(members),
            weights=torch.tensor(self._weights.of(members), dtype=torch.float32),
            images=torch.empty(0),
            labels=torch.stack([self._labels[i] for i in members]),
            aggregated_rows=self.aggregated_rows,
            losses=torch.zeros(len(members)),
        )

    def _pieces(self) -> list[torch.Size]:
        """Shapes of the aggregated rows of a client and of the others, which are encoded apart."""
        of_row, m = self._features[self._schedule.cut_layer - 1], self.aggregated_rows
        return [torch.Size((rows, *of_row)) for rows in (m, self.rows - m)]

    @property
    def _codec(self) -> Codec:
        """Of all clients."""
        return self._codecs[int(np.max(self._schedule.decision.codec))]

    def _payload_bytes(self) -> list[int]:
        found = self._codec
        return [int(found.costs(shape[0], tuple(shape[1:])).uplink_bits) // 8 for shape in self._pieces()]

    def _decode(self, client: int, payload: Tensor) -> Tensor:
        """[b, ...] of a client's payload."""
        found = self._codec
        parts = payload.split(self._payload_bytes())
        decoded = [found.decode(part, shape) for part, shape in zip(parts, self._pieces(), strict=True)]
        self._contexts[client] = [each.context for each in decoded]
        filled = [each.smashed for each in decoded if len(each.smashed)]
        return torch.cat(filled) if len(filled) > 1 else filled[0]

    def _answer(self, members: Sequence[int], gradients: CutGradients) -> None:
        """Encodes what goes back."""
        found = self._codec
        first = self._contexts[members[0]]
        if len(gradients.common):
            self._to_all = found.encode_gradient(gradients.common, first[0])
        for i, own in zip(members, gradients.own, strict=True):
            self._back[i] = found.encode_gradient(own, self._contexts[i][1])
