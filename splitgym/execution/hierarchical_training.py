"""What the edge server trains between clients and cloud, and what goes to the cloud and comes back over the wire."""

from collections.abc import Sequence
from time import monotonic

import torch

from splitgym.arrays import Ints
from splitgym.execution.cloud_process import CloudWork
from splitgym.execution.frames import Kind, pack_json
from splitgym.execution.link import FAULTS, NUMBER, Link
from splitgym.execution.measured import Measured
from splitgym.execution.models import numbers, pack_model, unpack_model
from splitgym.execution.pacing import bucket
from splitgym.execution.schedule import Row, Schedule
from splitgym.execution.server_training import ServerTraining
from splitgym.frameworks import Framework
from splitgym.frameworks.crossing import joined
from splitgym.frameworks.groups import Group
from splitgym.frameworks.parallel import begin
from splitgym.frameworks.path_pass import StagePass
from splitgym.frameworks.server_pass import CutGradients
from splitgym.inputs import InputError
from splitgym.learning.rates import rate_factor
from splitgym.scenario import Scenario


class LostCloudError(InputError):
    """The cloud has gone: nobody can go on."""


class HierarchicalTraining(ServerTraining):
    """The edge server of three tiers; arguments beside `cloud` as of `ServerTraining`.

    Args:
        cloud: Link to its process.
    """

    def __init__(self, scenario: Scenario, framework: Framework, seed: int, samples: Ints, cloud: Link) -> None:
        super().__init__(scenario, framework, seed, samples)
        self.links = (cloud,)
        self._cloud = cloud

    def begin(self, schedule: Schedule, number: int) -> None:
        """See `ServerTraining.begin`; units that clients fetch are taken from the cloud, off the clock."""
        super().begin(schedule, number)
        if schedule.cut_layer > max(self.nodes.second_cut, self.nodes.cut_layer):
            self._fetch()

    def compute(self, stage: str, members: Sequence[int]) -> bool:
        """See `ServerTraining.compute`; forward in one stage, backward in the other."""
        if stage == "server_fp":
            self._forward(members)
        else:
            self._backward(members)
        return True

    def go_behind(self, rows: Sequence[Row], members: Sequence[int], measured: Measured) -> None:
        """See `ServerTraining.go_behind`: to the cloud and back.

        Raises:
            LostCloudError: it has gone.
        """
        try:
            self._go(rows, members, measured)
        except FAULTS as error:
            raise LostCloudError(f"round {self._number}: the cloud has gone ({type(error).__name__})") from error

    def digest(self) -> bytes:
        """See `ServerTraining.digest`; with what the cloud has."""
        self._fetch()
        return super().digest()

    def _fetch(self) -> None:
        """Takes over what the cloud has of its units."""
        first = max(self.nodes.second_cut, self.nodes.cut_layer)
        units = self.nodes.server.units[first:]
        try:
            self._cloud.send(Kind.FETCH, body=pack_json({"cut": first}))
            values, _ = self._cloud.expect_tensor(0, torch.float32, numbers(units), charged=False)
        except FAULTS as error:
            raise LostCloudError(f"the cloud has gone ({type(error).__name__})") from error
        unpack_model(values, units)

    def _forward(self, members: Sequence[int]) -> None:
        nodes, before = self.nodes, self.nodes.cut_layer
        self._move_cut(members)
        self._given_up = before
        begin([nodes.server])
        batch = self._batch(members)
        self._group, self._of_members = Group(nodes.cut_layer, self.rows, [*range(len(members))]), batch
        at_cut = joined([self._smashed[i] for i in members]).detach().requires_grad_()
        self._passed = StagePass(nodes.stages[0], [self._group], [at_cut], nodes.training, batch.weights)

    def _backward(self, members: Sequence[int]) -> None:
        (at_cut,), of_server = self._passed.backward([self._from_cloud])
        own = at_cut / self._group.weights(self._of_members, at_cut)
        self._check(bool(torch.isfinite(own.sum())))
        self.nodes.stages[0].server.step(of_server)
        self._weights.count(members)
        self._answer(members, CutGradients(own[0, :0], own, of_server))

    def _go(self, rows: Sequence[Row], members: Sequence[int], measured: Measured) -> None:
        up, *computing, down = rows
        cloud, schedule, scale = self._cloud, self._schedule, measured.scale
        made = self._passed.made[0].detach()
        images = made.flatten(0, 1)
        paces = [[row.number, scale * schedule.common_seconds(row, len(members))] for row in computing]
        work = CloudWork(
            up=up.number,
            computing=paces,
            down=down.number,
            bytes_per_s=schedule.wire_rate(down) / 8.0 / scale,
            cut=self.nodes.cut_layer,
            given=self._given_up if self._given_up > self.nodes.second_cut else 0,
            clients=len(members),
            rows=self.rows,
            rate_factor=rate_factor(self._training, self._number),
            channels_last=images.dim() == 4 and images.is_contiguous(memory_format=torch.channels_last),
        )
        begin_s = monotonic()
        cloud.send(Kind.WORK, body=pack_json(work.to_json()))
        cloud.send_uncharged(self._of_members.labels, up.number)
        cloud.send_uncharged(self._of_members.weights, up.number)
        if work.given > work.cut:
            first = max(work.cut, self.nodes.second_cut)
            cloud.send_uncharged(pack_model(self.nodes.server.units[first : work.given]), up.number)
        tokens = bucket(schedule.wire_rate(up) / 8.0 / scale, monotonic())
        cloud.send_paced(images.flatten(), up.number, tokens)
        cloud.expect(Kind.ARRIVED, up.number, 0)
        begin_s = _noted(measured, up, members, begin_s)
        for row in computing:
            (needed_s,) = NUMBER.unpack(cloud.expect(Kind.DONE, row.number, NUMBER.size))
            begin_s = _noted(measured, row, members, begin_s)
        measured.note_if_slow(computing[0].stage, needed_s, sum(seconds for _, seconds in paces))
        values, _ = cloud.expect_tensor(down.number, torch.float32, made.numel())
        _noted(measured, down, members, begin_s)
        self._from_cloud = torch.empty_like(made).copy_(values.view(made.shape))


def _noted(measured: Measured, row: Row, members: Sequence[int], begin_s: float) -> float:
    """Notes that a row is done now."""
    now_s = monotonic()
    measured.note(row, members, begin_s, now_s)
    return now_s
