"""Every client is joined to its own station, and distances are those to it."""

import re

import numpy as np
import pytest
from scenes import scene_of

from splitgym.rendering import text
from splitgym.rendering.canvas import Box
from splitgym.rendering.picture import picture
from splitgym.rendering.stations import draw_stations

BOX = Box(10.0, 72.0, 440.0, 522.0)


class Drawn:
    """A canvas that notes lines, and circles by their middle."""

    def __init__(self):
        self.lines, self.stations, self.numbers = [], [], {}

    def line(self, points, colour, width=1):
        self.lines.append(tuple(points))

    def dashed(self, start, end, colour, width=1):
        self.lines.append((start, end))

    def polygon(self, points, fill):
        self.stations.append((points[0][0], points[0][1] + 8))

    def text(self, place, said, *_, **__):
        if said.isdigit():
            self.numbers[int(said)] = place

    def __getattr__(self, name):
        return lambda *_, **__: None


@pytest.mark.parametrize("preset", ["highway", "campus"])
def test_lines_lead_from_each_client_to_its_station(preset):
    scene, drawn = scene_of(preset, rounds=3, learner="surrogate"), Drawn()
    draw_stations(drawn, BOX, scene)
    assert len(drawn.stations) == len(scene.scenario.stations)
    assert len(drawn.numbers) == 10
    for client, place in drawn.numbers.items():
        joined = {one for one, other in drawn.lines if np.allclose(other, place)}
        assert joined == {drawn.stations[scene.state.station[client]]}
        assert BOX.left < place[0] < BOX.right
        assert BOX.top < place[1] < BOX.bottom
    assert picture(scene).size == (1280, 720)


def test_distances_are_those_to_the_own_station():
    scene = scene_of("highway", rounds=2, learner="surrogate")
    rows = {int(line.split()[0]): line for line in text(scene).splitlines() if re.match(r"\d+ ", line)}
    for client, line in rows.items():
        x, y = scene.position_m[client] - scene.scenario.stations[scene.state.station[client]].position_m
        assert f" {(x**2 + y**2) ** 0.5:.0f} m " in line
    assert len(rows) == 10
