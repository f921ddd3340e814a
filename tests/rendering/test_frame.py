"""Frames: their form, what their pixels say, and that every world can be drawn."""

import re
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scenes import each_its_own, everybody, scene_of

from splitgym import frameworks
from splitgym.rendering import frame
from splitgym.rendering.cell import moved_apart
from splitgym.rendering.palette import PAGE, PALE_BLUE, look
from splitgym.types import Decision

FULL = 1e-6


def rgb(colour):
    return np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)])


def longest_runs(image, colour):
    """[height] longest run of pixels of exactly this colour in each line of the image."""
    same = (image == rgb(colour)).all(-1)
    runs = [
        max(map(len, re.findall(r"x+", "".join("x" if each else "." for each in line))), default=0) for line in same
    ]
    return np.array(runs)


def assert_is_frame(image):
    assert image.shape == (720, 1280, 3)
    assert image.dtype == np.uint8
    assert image.flags.writeable


def test_bars_are_as_long_as_what_they_show():
    """A client computes for 0.06 s, sends for 0.03 s: each bar alone has its colour in the rows of the timeline."""

    def slow(state):
        return Decision(1, np.array([0, 1]), np.full(2, FULL), np.ones(2, bool), 0.0)

    scene = scene_of("toy", decide=slow)
    image = frame(scene)[72:522, 760:]
    pixels_per_s = longest_runs(image, look("client_fp").colour).max() / 0.032768
    for stage, seconds in [("client_bp", 0.032768), ("uplink", 0.008192), ("unicast", 0.008192)]:
        assert longest_runs(image, look(stage).colour).max() == pytest.approx(pixels_per_s * seconds, abs=2)


@pytest.mark.parametrize("framework", frameworks.names())
@pytest.mark.parametrize("sharing", ["static", "on-demand"])
def test_every_framework_can_be_drawn(framework, sharing):
    assert_is_frame(frame(scene_of("iot", framework, radio={"sharing": sharing})))


@pytest.mark.parametrize("scenario", ["toy", "iot", "iot-family", "bandwidth-limited"])
def test_same_scene_same_frame_and_another_round_another_one(scenario):
    first, again, later = (frame(scene_of(scenario, rounds=rounds)) for rounds in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, later)


def test_before_the_first_round_there_is_a_frame_too():
    assert_is_frame(frame(scene_of("iot", rounds=0)))


@pytest.mark.parametrize("count", [1, 30, 150])
def test_any_number_of_clients(count):
    scene = scene_of("iot", clients={"count": count}, radio={"subchannels": count})
    assert_is_frame(frame(scene))


@pytest.mark.parametrize("codecs", [("random-top-k:0.05", "none"), ("none", "uniform-8", "uniform-4", "c3-unitary:16")])
def test_whatever_each_client_has_of_its_own_stays_in_its_card(codecs):
    own = {"cut_layer": "by-client", "codec": "by-client", "codecs": codecs}
    one = frame(scene_of("bandwidth-limited", "psl", each_its_own([1], [0]), plan=own))
    several = frame(scene_of("bandwidth-limited", "psl", each_its_own([1, 3, 2], range(len(codecs))), plan=own))
    for image in (one, several):
        assert (image[711:] == rgb(PAGE)).all()
        assert (image[535:, 442:449] == rgb(PAGE)).all()
    # Units that only some clients have are paler.
    assert longest_runs(several[540:600, :440], PALE_BLUE).max() > 50
    assert longest_runs(one[540:600, :440], PALE_BLUE).max() == 0


def test_nobody_takes_part():
    def nobody(state):
        decision = everybody(state)
        decision.selected[:] = False
        return decision

    assert_is_frame(frame(scene_of("iot", decide=nobody)))


@given(seed=st.integers(0, 10**6), count=st.integers(1, 30))
def test_marks_are_moved_apart(seed, count):
    places = np.random.default_rng(seed).uniform(-150, 150, (count, 2))
    moved = moved_apart(places, 24.0, 26.0)
    assert all(np.hypot(*(moved[i] - moved[k])) > 20 for i, k in combinations(range(count), 2))
    assert (np.hypot(*moved.T) > 20).all()


def test_marks_on_the_same_spot_are_moved_apart():
    moved = moved_apart(np.zeros((3, 2)), 24.0, 26.0)
    assert min(np.hypot(*(moved[i] - moved[k])) for i, k in combinations(range(3), 2)) > 20


def test_marks_that_are_apart_stay():
    places = np.array([[100.0, 0], [0, 100], [-100, 0]])
    assert np.array_equal(moved_apart(places, 24.0, 26.0), places)


SEEN = {
    "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritan": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}
"""Linear RGB as colour-blind readers see it (Machado et al. 2009, severity 1)."""


def lab(linear):
    xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]) @ linear
    x, y, z = np.cbrt(np.maximum(xyz / [0.9505, 1.0, 1.089], 1e-4))
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("seen", SEEN)
def test_stages_are_told_apart_by_colour_blind_readers(seen):
    stages = ("client_fp", "client_bp", "uplink", "broadcast", "unicast", "model_up", "migration")
    as_seen = {}
    for stage in stages:
        share = rgb(look(stage).colour) / 255
        linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
        as_seen[stage] = lab(np.clip(np.array(SEEN[seen]) @ linear, 0, 1))
    distance = {pair: np.linalg.norm(as_seen[pair[0]] - as_seen[pair[1]]) for pair in combinations(stages, 2)}
    assert min(distance.values()) > 12, min(distance, key=distance.get)
