"""Rounds of clients, edge server and cloud over sockets: weights to the bit, charged bytes, a lost cloud."""

import socket
from itertools import pairwise

import numpy as np
import pytest
from cells import SMALL, cell
from hypothesis import given, settings
from hypothesis import strategies as st

from splitgym.execution.cloud_process import CloudProcess, CloudWork
from splitgym.execution.cloud_training import CloudTraining
from splitgym.execution.frames import HEADER, MAGIC, VERSION, Kind, ProtocolError, pack_json
from splitgym.execution.hierarchical_training import LostCloudError
from splitgym.execution.link import Link
from splitgym.frameworks import get
from splitgym.scenario import build


def three_tiers(model="cnn", second=2, **cloud):
    return {
        **SMALL,
        "task": {**SMALL["task"], "model": model},
        "cloud": {"cut_layer": second, "compute_hz": 2e7, "cycles_per_flop": 1.0, "link_bits_per_s": 1e6, **cloud},
        "plan": {"codecs": ["none", "fp16", "top-k:0.3"]},
    }


@pytest.mark.parametrize(("model", "second", "seed"), [("cnn", 2, 2), ("cnn", 3, 5), ("mlp", 0, 4), ("resnet18", 4, 1)])
def test_drawn_rounds_are_the_simulators_to_the_bit_and_as_charged(model, second, seed):
    cuts = []
    with cell("hierarchical", seed=seed, real_s=0.1, sections=three_tiers(model, second), random=True) as own:
        for _ in range(2 if model == "resnet18" else 8):
            played = own.play()
            assert played.weights_equal
            assert played.bytes_equal
            cuts.append(played.schedule.cut_layer)
    if (model, second) == ("cnn", 2):
        # Units have moved between clients and cloud, both ways.
        assert any(one <= second < two for one, two in pairwise(cuts))
        assert any(one > second >= two for one, two in pairwise(cuts))


def test_phases_of_wire_and_cloud_end_no_earlier_than_the_simulators():
    """From the start of the first one: where one ends and the next begins, a process says that may have to wait."""
    with cell("hierarchical", real_s=0.5, sections=three_tiers()) as own:
        played = own.play()
    behind = [span for span in played.spans if span.stage in ("backhaul_up", "cloud_fp", "cloud_bp", "backhaul_down")]
    assert len(behind) == 4 * 3
    for span in behind:
        lasted = [stop - start for start, stop in _since_the_wire(span, behind[0])]
        assert lasted[0] > 0.9 * lasted[1]


def _since_the_wire(span, first):
    """When the wire was first used and when a phase ended: as measured, as simulated."""
    return (first.measured_start_s, span.measured_stop_s), (first.simulated_start_s, span.simulated_stop_s)


def test_a_client_that_dies_is_left_out_in_three_tiers():
    with cell("hierarchical", seed=1, real_s=0.2, sections=three_tiers()) as own:
        first = own.play()
        own.kill(1)
        rounds = [own.play() for _ in range(2)]
    assert first.measured.took_part == (0, 1, 2)
    assert all(played.weights_equal and played.measured.took_part == (0, 2) for played in rounds)


def test_without_the_cloud_nobody_can_go_on_and_that_is_said_in_one_line():
    with cell("hierarchical", seed=1, real_s=0.2, sections=three_tiers()) as own:
        own.play()
        own.kill(3)
        with pytest.raises(LostCloudError, match="round 2: the cloud has gone"):
            own.play()


HOSTILE = {
    "no frame": b"GET / HTTP/1.1\r\n\r\n",
    "a huge tensor": HEADER.pack(MAGIC, VERSION, Kind.TENSOR, 0, 2**60),
    "another kind": HEADER.pack(MAGIC, VERSION, Kind.DONE, 2, 8) + bytes(8),
    "half a header": MAGIC,
}


@pytest.mark.parametrize("said", HOSTILE.values(), ids=list(HOSTILE))
def test_a_cloud_that_says_what_cannot_be_ends_the_run_in_one_line(said):
    with cell("hierarchical", seed=1, real_s=0.2, sections=three_tiers()) as own:
        own.ends[3].sendall(said)
        own.kill(3)
        with pytest.raises(LostCloudError):
            own.play()


WORK = CloudWork(5, [[6, 0.1], [7, 0.1]], 8, 100.0, 1, 0, 3, 4, 1.0, True)


def test_work_is_read_as_it_was_written():
    assert CloudWork.from_json(WORK.to_json()) == WORK


@settings(max_examples=60)
@given(
    st.sampled_from(sorted(WORK.to_json())),
    st.sampled_from([-1, 2**70, 1.5, "x", None, [], [[1]], [["a", 1.0]], [[6, -1.0]], {}, float("nan")]),
)
def test_work_that_is_none_is_refused(name, value):
    said = {**WORK.to_json(), name: value}
    try:
        read = CloudWork.from_json(said)
    except ProtocolError:
        return
    assert np.all(np.isfinite([read.bytes_per_s, read.rate_factor]))
    assert 0 < read.clients * read.rows <= 2**24


@pytest.fixture(scope="module")
def training():
    return CloudTraining(build("toy", three_tiers()), get("hierarchical"), seed=0)


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (Kind.WORK, b"{}"),
        (Kind.WORK, b"no json"),
        (Kind.WORK, pack_json({**WORK.to_json(), "cut": 0})),
        (Kind.WORK, pack_json({**WORK.to_json(), "cut": 100})),
        (Kind.FETCH, pack_json({"cut": -1})),
        (Kind.FETCH, b"{}"),
        (Kind.PLAN, b"{}"),
    ],
)
def test_a_cloud_refuses_what_is_no_work(training, kind, body):
    server, cloud = map(Link, socket.socketpair())
    server.send(kind, 0, body)
    with pytest.raises(ProtocolError):
        CloudProcess(cloud, training).run()
