"""The text holds the numbers of the round."""

import re

import numpy as np
import pytest
from scenes import each_its_own, everybody, scene_of

from splitgym import frameworks
from splitgym.rendering import text
from splitgym.types import Decision

FULL = 1e-6


def line_of(row, shown):
    return next(line for line in shown.splitlines() if re.match(rf"{row}\b", line))


def test_numbers_of_a_toy_round():
    """The seconds are those of tests/timing/test_toy_round.py."""

    def half(state):
        return Decision(1, np.array([0, 1]), np.full(2, FULL), np.ones(2, bool), 0.5)

    shown = text(scene_of("toy", decide=half))
    assert "toy, epsl, train: round 1 of 150" in shown
    assert "the round took 85.5 ms: client_fp 32.8 ms, uplink 8.19 ms, server_fp 2.15 ms" in shown
    assert "units on the clients: 1 of 3" in shown
    assert "took part: 2 of 2" in shown
    assert "phi: 0.5" in shown
    assert "traffic: 28.7 kbit" in shown  # 2 x 8192 + 4096 + 2 x 4096
    assert "energy of clients: 147 mJ" in shown  # 2 x 0.073728
    timeline = line_of(0, shown).split()[-1]
    shares = [timeline.count(letter) / len(timeline) for letter in "FucdB"]
    expected = np.array([0.032768, 0.008192, 0.002048, 0.004096, 0.032768]) / 0.085504
    assert shares == pytest.approx(expected, abs=1 / len(timeline))
    assert "#." in line_of(0, shown)
    assert ".#" in line_of(1, shown)


@pytest.mark.parametrize("framework", frameworks.names())
def test_every_framework_has_a_line_for_every_client(framework):
    scene = scene_of("iot", framework)
    shown = text(scene)
    for client in range(8):
        assert line_of(client, shown)
    assert "- " not in shown


def test_cut_layers_and_codecs_of_the_clients_own():
    own = {"cut_layer": "by-client", "codec": "by-client", "codecs": ("none", "fp16", "c3:4")}
    shown = text(scene_of("iot", "psl", each_its_own([1, 3, 2], [2, 0]), plan=own))
    assert "units on the clients: 1 to 3 of 4;" in shown
    assert shown.splitlines()[3].endswith("; codec: none, c3:4")
    assert "codec" not in text(scene_of("iot", "psl"))


def test_who_is_out_is_told_why():
    def some(state):
        decision = everybody(state)
        decision.selected[:3] = False
        return decision

    shown = text(scene_of("iot", decide=some))
    assert all("not selected" in line_of(client, shown) for client in range(3))
    assert not any("not selected" in line_of(client, shown) for client in range(3, 8))


def test_before_the_first_round_the_cell_is_told():
    shown = text(scene_of("iot", rounds=0))
    assert "round 0 of 300" in shown
    assert "no round has been played yet" in shown
    assert all("ready" in line_of(client, shown) for client in range(8))


def test_many_subchannels_are_a_number():
    shown = text(scene_of("toy", radio={"subchannels": 40}))
    assert "20 of 40" in line_of(1, shown)
