"""Rounds over sockets with a band that is shared on demand: rates follow the simulator's law, weights to the bit."""

import socket
import struct
from math import inf, nan

import pytest
from cells import SMALL, cell

from splitgym.execution.client_process import ClientProcess
from splitgym.execution.frames import Kind, ProtocolError
from splitgym.execution.link import Link
from splitgym.execution.pacing import bucket
from splitgym.execution.plans import ClientRow
from splitgym.execution.schedule import Schedule
from splitgym.execution.shared_band import SharedBand
from splitgym.frameworks import Resource
from splitgym.scenario import ScenarioError

UNEQUAL = {"count": 3, "compute_min_hz": 3e5, "compute_max_hz": 3e6, "compute_spread": "log-uniform"}


def on_demand(framework, **sections):
    codecs = {"fl": ["none"], "epsl-pt": ["none", "bf16"]}.get(framework, ["none", "fp16", "top-k:0.3"])
    return {
        **SMALL,
        "clients": UNEQUAL,
        "radio": {"subchannels": 5, "sharing": "on-demand"},
        "plan": {"codecs": codecs},
        **sections,
    }


@pytest.mark.parametrize("framework", ["psl", "epsl", "psl-drop", "epsl-pt", "fl", "sl", "sfl-v1"])
def test_drawn_rounds_are_the_simulators_to_the_bit_and_as_charged(framework):
    with cell(framework, seed=3, real_s=0.05, sections=on_demand(framework), random=True) as own:
        for _ in range(6):
            played = own.play()
            assert played.weights_equal
            assert played.bytes_equal


@pytest.mark.parametrize("framework", ["u-shaped", "hierarchical"])
def test_with_batch_norm_over_all_rows_the_server_waits_for_all_and_weights_are_equal(framework):
    sections = on_demand(
        framework,
        task={**SMALL["task"], "model": "resnet18"},
        cloud={"cut_layer": 4, "link_bits_per_s": 1e7},
        episode={"round_timeout_s": 1e4},
    )
    with cell(framework, seed=3, real_s=0.5, sections=sections) as own:
        played = own.play()
    assert played.measured.took_part == (0, 1, 2)
    assert not played.schedule.answers_apart
    assert played.weights_equal
    assert played.bytes_equal


@pytest.mark.parametrize("framework", ["psl", "epsl", "sfl-v1"])
def test_at_the_simulators_events_all_that_it_charges_has_been_sent(framework):
    with cell(framework, seed=1, sections=on_demand(framework), random=True) as own:
        compared = 0
        for _ in range(4):
            schedule = own.execution.decided()
            compared += replay(schedule)
            own.env.play(schedule.decision)
    assert compared > 10


def replay(schedule: Schedule) -> int:
    """Begins and ends transmissions when the simulator does; how many were compared."""
    cost, band = schedule.cost, SharedBand(schedule, schedule.slots[0])
    rows = [row for row in schedule.rows if row.resource in (Resource.UPLINK, Resource.UNICAST)]
    events = []
    for row in rows:
        for i in schedule.participants:
            if cost.stop_s[row.number, i] > cost.start_s[row.number, i]:
                events += [(cost.start_s[row.number, i], 1, row, i), (cost.stop_s[row.number, i], 0, row, i)]
    for now_s, begins, row, i in sorted(events, key=lambda event: event[:2]):
        if begins:
            sent = row.resource == Resource.UPLINK
            bits = schedule.amount(row, 1) if row.number > 1 else moved_bits(schedule, row.number, i)
            band.begin(i, bits, sent, now_s)
        else:
            band._go_on(now_s)
            assert band._left_bits[i] == pytest.approx(0.0, abs=1e-6 * schedule.amount(row, 1) + 1e-3)
            band.end(i, now_s)
    return len(events) // 2


def moved_bits(schedule: Schedule, row: int, client: int) -> float:
    """Of the units that move to a client (row 0) or from it."""
    held, cut = int(schedule.state.client_cut_layer[client]), schedule.cut_layer
    first, last = (held, cut) if row == 0 else (cut, held)
    bits = schedule.system.prefix_bits
    return float(bits[last] - bits[first])


def test_what_answers_one_by_one_otherwise_than_it_trains_is_refused():
    sections = on_demand("u-shaped", task={**SMALL["task"], "model": "cnn"})
    with (
        pytest.raises(ScenarioError, match="on-demand' with framework = 'u-shaped'"),
        cell("u-shaped", sections=sections),
    ):
        pass


@pytest.mark.parametrize("said", [b"", bytes(7), bytes(9), *(struct.pack("<d", x) for x in (-1.0, nan, inf))])
def test_a_rate_that_is_none_is_refused(said):
    server, client = map(Link, socket.socketpair())
    process, tokens = ClientProcess(client, None), bucket(0.0, 0.0)
    row = ClientRow(3, "uplink", Resource.UPLINK, None)
    server.send(Kind.RATE, 3, said)
    with pytest.raises(ProtocolError, match="RATE"):
        process._is_dropped_within(1.0, row, tokens)


def test_a_rate_counts_for_the_row_that_it_is_meant_for():
    server, client = map(Link, socket.socketpair())
    process, tokens = ClientProcess(client, None), bucket(0.0, 0.0)
    row = ClientRow(3, "uplink", Resource.UPLINK, None)
    for number, rate in ((2, 5.0), (3, 7.0)):
        server.send(Kind.RATE, number, struct.pack("<d", rate))
    assert not process._is_dropped_within(1.0, row, tokens)
    assert tokens.bytes_per_s == 0.0
    assert not process._is_dropped_within(1.0, row, tokens)
    assert tokens.bytes_per_s == 7.0
    server.send(Kind.DROP)
    assert process._is_dropped_within(1.0, row, tokens)
