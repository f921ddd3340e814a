"""Rounds over sockets: weights to the bit, charged bytes, clients that are late, lost, or say what cannot be."""

import itertools
import json
import socket
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import replace
from random import Random
from threading import Timer, current_thread
from time import monotonic, sleep

import numpy as np
import pytest
import torch
from cells import SMALL, cell

from splitgym.execution.client_training import ClientTraining
from splitgym.execution.frames import HEADER, MAGIC, VERSION, Kind, ProtocolError
from splitgym.execution.gathering import welcome
from splitgym.execution.link import DroppedError, Link
from splitgym.execution.measured import RemoteClient
from splitgym.execution.pacing import bucket
from splitgym.execution.plans import ClientPlan
from splitgym.execution.serving import Serving
from splitgym.execution.supported import SUPPORTED
from splitgym.execution.u_shaped_client import UShapedClient
from splitgym.inputs import InputError
from splitgym.scenario import build

CODECS = {"fl": ["none"], "epsl-pt": ["none", "bf16"]}
"""To choose from, where it is not what most frameworks have."""


def open_plan(framework):
    """Small, with codecs to choose from."""
    model = {"model": "cnn"} if framework == "u-shaped" else {}
    return {
        **SMALL,
        "task": {**SMALL["task"], **model},
        "plan": {"codecs": CODECS.get(framework, ["none", "fp16", "top-k:0.3"])},
    }


@pytest.mark.parametrize("framework", SUPPORTED)
def test_drawn_rounds_are_the_simulators_to_the_bit_and_as_charged(framework):
    cuts = set()
    with cell(framework, seed=2, real_s=0.1, sections=open_plan(framework), random=True) as own:
        for _ in range(6):
            played = own.play()
            assert played.weights_equal
            assert played.bytes_equal
            assert played.measured.is_whole or played.measured.lost
            cuts.add(played.schedule.cut_layer)
    assert len(cuts) > 1


@pytest.mark.parametrize("framework", ["psl", "epsl"])
def test_greedy_rounds_of_a_convolutional_network_are_the_simulators_to_the_bit(framework):
    sections = {"clients": {"count": 2}, "task": {"evaluation_samples": 20}}
    with cell(framework, scenario="iot", real_s=0.3, sections=sections) as own:
        rounds = [own.play() for _ in range(3)]
    assert all(played.weights_equal and played.bytes_equal for played in rounds)
    assert all(played.measured.took_part == (0, 1) for played in rounds)


def test_bytes_are_those_counted_by_hand():
    # mlp on digits behind unit 1: 32 numbers a row and so many back, 4 rows, 3 clients, 4 bytes each.
    with cell("psl", real_s=0.1) as own:
        played = own.play()
    sent = {1: 32, 2: 16}[played.schedule.cut_layer]
    assert played.measured.payload_bytes == 2 * 3 * 4 * 4 * sent
    assert played.charged_bytes == pytest.approx(played.measured.payload_bytes)


def test_nothing_is_faster_than_the_simulator_says_and_phases_follow_each_other():
    with cell("epsl", real_s=0.5) as own:
        played = own.play()
    phases = [span for span in played.spans if span.client >= 0]
    for client in played.measured.took_part:
        own = [span for span in phases if span.client == client]
        assert [span.stage for span in own] == [
            "client_fp",
            "uplink",
            "server_fp",
            "server_bp",
            "broadcast",
            "unicast",
            "client_bp",
        ]
        assert all(span.measured_stop_s >= span.simulated_stop_s - 1e-6 for span in own)
        assert all(one.measured_stop_s <= two.measured_start_s + 1e-9 for one, two in itertools.pairwise(own))


@pytest.mark.parametrize("framework", ["psl", "fl"])
def test_who_is_late_is_dropped_at_the_timeout_and_is_as_it_was(framework):
    devices = {"count": 3, "compute_min_hz": 3e3, "compute_max_hz": 3e5, "compute_spread": "log-uniform"}
    late = set()
    with cell(framework, seed=6, real_s=0.3, sections={**SMALL, "clients": devices}, random=True) as own:
        for _ in range(8):
            played = own.play()
            timed_out = np.flatnonzero(played.schedule.cost.timed_out).tolist()
            assert played.weights_equal
            assert not set(timed_out) & set(played.measured.took_part)
            assert played.measured.latency_s >= played.schedule.cost.latency_s
            late.update(timed_out)
    assert late


def test_a_client_whose_first_training_comes_too_late_remembers_none_of_it(monkeypatch):
    with cell("fl", seed=1, real_s=0.1) as own:
        decide, others = own.decide, np.array([True, False, True])
        own.execution.decide = lambda state: replace(decide(state), selected=others)
        rounds = [own.play()]
        own.execution.decide = decide
        timeout_s = own.execution.scale * own.env.state.system.round_timeout_s
        # It has trained, with a momentum, before the server goes on without it.
        in_round(own, monkeypatch, ClientTraining, 2, 1, lambda: sleep(timeout_s + 0.2))
        rounds += [own.play() for _ in range(3)]
    assert [played.measured.took_part for played in rounds] == [(0, 2), (0, 2), (0, 1, 2), (0, 1, 2)]
    assert all(played.weights_equal for played in rounds)


def test_a_client_that_comes_too_late_before_the_model_is_sent_is_late(monkeypatch):
    with cell("fl", seed=1, real_s=0.1) as own:
        timeout_s, go_through, slept = (
            own.execution.scale * own.env.state.system.round_timeout_s,
            Serving._go_through,
            [],
        )

        def late(self, client, rows, begin_s):
            if client == 1 and not slept:
                slept.append(client)
                sleep(timeout_s + 0.1)
            return go_through(self, client, rows, begin_s)

        # In the first rows of a round units move; of FL there are none, so only the timeout ends them.
        monkeypatch.setattr(Serving, "_go_through", late)
        first, second = own.play(), own.play()
    assert first.measured.took_part in ((0, 2), ())
    assert first.measured.lost[1] == "too late"
    assert second.measured.took_part == (0, 1, 2)
    assert first.weights_equal
    assert second.weights_equal


def test_who_comes_after_the_deadline_is_late_also_for_a_server_that_wakes_later():
    client = RemoteClient(Link(socket.socketpair()[0]), busy=Future(), due_s=monotonic())
    assert not client.comes()
    assert client.is_late()


def test_who_is_dropped_before_it_is_sent_something_is_sent_nothing():
    server, client = map(Link, socket.socketpair())
    assert not server.send_paced(torch.zeros(9), 2, bucket(1e9, 0.0), lambda seconds: True)
    server.send(Kind.DROP)
    with pytest.raises(DroppedError):
        client.expect_tensor(2, torch.float32, 9)


CHANCE = Random(21)
KILLS = [
    (framework, sharing, round(CHANCE.uniform(0.05, 0.95), 2), CHANCE.randrange(3))
    for framework, sharing in (
        *((name, "static") for name in ("psl", "u-shaped", "hierarchical", "sfl-v1", "fl", "sl")),
        *((name, "on-demand") for name in ("psl", "epsl", "sfl-v1")),
    )
    for _ in range(2)
]


@pytest.mark.parametrize(("framework", "sharing", "share", "victim"), KILLS)
def test_a_client_that_dies_leaves_a_round_of_the_simulator_behind(framework, sharing, share, victim):
    real_s, radio = 0.35, {**SMALL["radio"], "sharing": sharing}
    with cell(framework, seed=1, real_s=real_s, sections={**SMALL, "radio": radio}) as own:
        rounds = [own.play()]
        Timer(share * real_s, own.kill, [victim]).start()
        while victim not in rounds[-1].measured.lost and len(rounds) < 20:
            rounds.append(own.play())
        rounds.append(own.play())
    others = tuple(i for i in range(3) if i != victim)
    assert all(played.weights_equal for played in rounds)
    assert rounds[0].measured.took_part == (0, 1, 2)
    assert rounds[-1].measured.took_part == others
    assert all(played.measured.took_part in ((0, 1, 2), others, ()) for played in rounds)


def in_round(own, monkeypatch, training, number, client, do):
    """Does something in a client's thread when it has computed so often."""
    compute, computed = training.compute, []

    def computing(self, stage):
        compute(self, stage)
        if current_thread() is own.threads[client]:
            computed.append(stage)
            if len(computed) == number:
                do()

    monkeypatch.setattr(training, "compute", computing)


def test_without_a_client_between_the_servers_passes_the_round_counts_for_nobody(monkeypatch):
    with cell("u-shaped", seed=1, real_s=0.2) as own:
        # Four stages of computing in a round; in the second round it dies in the second one, on the tail.
        in_round(own, monkeypatch, UShapedClient, 6, 1, lambda: own.kill(1))
        first, void, after = own.play(), own.play(), own.play()
    assert first.measured.took_part == (0, 1, 2)
    assert void.measured.took_part == ()
    assert set(void.measured.lost) == {0, 1, 2}
    assert after.measured.took_part == (0, 2)
    assert all(played.weights_equal for played in (first, void, after))


def test_the_server_of_sl_remembers_nothing_of_a_client_whose_model_is_not_back(monkeypatch):
    with cell("sl", seed=1, real_s=0.2) as own:
        # It dies behind its second stage of computing in the first round: the server has trained on its data.
        in_round(own, monkeypatch, ClientTraining, 2, 0, lambda: own.kill(0))
        rounds = [own.play() for _ in range(3)]
    assert [played.measured.took_part for played in rounds] == [(1, 2)] * 3
    assert all(played.weights_equal for played in rounds)


def test_a_client_of_sl_that_dies_before_its_data_come_leaves_what_the_server_learnt_from_others(monkeypatch):
    with cell("sl", seed=1, real_s=0.2) as own:
        # Two stages of computing in a round; in the second round it dies behind the first one.
        in_round(own, monkeypatch, ClientTraining, 3, 2, lambda: own.kill(2))
        rounds = [own.play() for _ in range(3)]
    assert [played.measured.took_part for played in rounds] == [(0, 1, 2), (0, 1), (0, 1)]
    assert all(played.weights_equal for played in rounds)


HOSTILE = {
    "no frame": b"GET / HTTP/1.1\r\n\r\n",
    "a huge tensor": HEADER.pack(MAGIC, VERSION, Kind.TENSOR, 3, 2**60),
    "an unknown kind": HEADER.pack(MAGIC, VERSION, 77, 0, 0),
    "another version": HEADER.pack(MAGIC, VERSION + 1, Kind.DONE, 2, 8) + bytes(8),
    "another row": HEADER.pack(MAGIC, VERSION, Kind.DONE, 9, 8) + bytes(8),
    "half a header": MAGIC,
    "what only a server says": HEADER.pack(MAGIC, VERSION, Kind.RATE, 2, 8) + bytes(8),
}


@pytest.mark.parametrize("said", HOSTILE.values(), ids=list(HOSTILE))
def test_a_client_that_says_what_cannot_be_is_lost_and_the_round_goes_on(said, monkeypatch):
    with cell("psl", real_s=0.2) as own:

        def speak():
            own.ends[1].sendall(said)
            own.kill(1)

        in_round(own, monkeypatch, ClientTraining, 1, 1, speak)
        played, after = own.play(), own.play()
    assert list(played.measured.lost) == [1]
    assert played.measured.took_part == after.measured.took_part == (0, 2)
    assert played.weights_equal
    assert after.weights_equal


@pytest.mark.parametrize("framework", ["psl", "hierarchical"])
def test_without_the_server_all_others_end(framework):
    with cell(framework, real_s=1.0, sections={**SMALL, "episode": {"round_timeout_s": 0.2}}) as own:
        Timer(0.3, lambda: [link.close() for link in own.links]).start()
        with suppress(InputError):  # Of the cloud, or as nobody is left.
            own.play()
        for thread in own.threads:
            thread.join(20)
        assert not any(thread.is_alive() for thread in own.threads)


def test_when_nobody_is_left_that_is_said():
    with cell("psl", real_s=0.1) as own:
        for client in range(3):
            own.kill(client)
        own.play()
        with pytest.raises(InputError, match="no client is left"):
            own.play()


@pytest.mark.parametrize("answer", [{"samples": 0}, {"samples": "7"}, {"samples": 1.5}, {}])
def test_a_client_that_is_not_ready_ends_the_run_in_one_line(answer):
    server, client = map(Link, socket.socketpair())
    client.send(Kind.READY, body=json.dumps(answer).encode())
    with pytest.raises(InputError, match="client 0 is lost before the first round"):
        welcome([server], build("toy"), "psl", 0, print)


@pytest.mark.parametrize(
    ("name", "value"),
    [("held", -1), ("cut", 1.5), ("todo", [{}]), ("todo", "x"), ("rate_factor", None), ("other", 1)],
)
def test_a_plan_that_is_none_is_refused(name, value):
    plan = ClientPlan(0, 1, 4, 4, 0, 0, 1.0, ()).to_json()
    assert ClientPlan.from_json(dict(plan)) == ClientPlan(0, 1, 4, 4, 0, 0, 1.0, ())
    with pytest.raises(ProtocolError, match="PLAN"):
        ClientPlan.from_json({**plan, name: value})
