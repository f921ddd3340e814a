"""Wired ways against all simple paths of random networks, and what stations may be joined to."""

from itertools import permutations

import numpy as np
import pytest

from splitgym.scenario import HERE, LinkRow, Routes, ScenarioError, build

PLACES = ("a", "b", "c", "d", "e")


def wire(name, ends, bits_per_s=1e6, delay_s=0.0):
    return LinkRow(name=name, ends=ends, bits_per_s=bits_per_s, delay_s=delay_s)


def drawn_links(rng):
    """Some links between some places, with rates of a few values, so that there are equal ways, too."""
    for number in range(rng.integers(0, 9)):
        one, other = rng.choice(len(PLACES), 2, replace=False)
        yield wire(f"w{number}", (PLACES[one], PLACES[other]), 2.0 ** rng.integers(3), float(rng.integers(3)))


def simple_ways(links, start, end):
    """(seconds per bit, delay, number of links) of every way without a loop, by trying all orders of all links."""
    if start == end:
        yield 0.0, 0.0, 0
    for length in range(1, len(PLACES)):
        for row in permutations(links, length):
            here, per_bit, delay, seen = start, 0.0, 0.0, {start}
            for link in row:
                if here not in link.ends:
                    break
                here = link.ends[1 - link.ends.index(here)]
                if here in seen:
                    break
                seen.add(here)
                per_bit, delay = per_bit + 1 / link.bits_per_s, delay + link.delay_s
            else:
                if here == end:
                    yield per_bit, delay, length


@pytest.mark.parametrize("seed", range(6))
def test_way_is_the_best_of_all(seed):
    links = list(drawn_links(np.random.default_rng(seed)))
    routes = Routes(PLACES, links)
    for start in PLACES[:2]:
        for end in PLACES:
            ways = list(simple_ways(links, start, end))
            assert routes.joins(start, end) == bool(ways)
            if not ways:
                with pytest.raises(ScenarioError, match=f"no wired way leads from '{start}' to '{end}'"):
                    routes.between(start, end)
                continue
            found = routes.between(start, end)
            assert (found.s_per_bit, found.delay_s, len(found.links)) == min(ways)
            here = start
            for name in found.links:
                ends = next(link.ends for link in links if link.name == name)
                here = ends[1 - ends.index(here)]
            assert here == end


STATIONS = [
    {"name": "west", "position_m": (-400, 0), "node": "server"},
    {"name": "east", "position_m": (400, 0)},
]
WIRES = [{"name": "fibre", "ends": ("east", "server"), "bits_per_s": 1e8, "delay_s": 0.001}]


def test_station_stands_at_its_node_or_a_link_leads_there():
    routes = Routes.of(build({"stations": STATIONS, "links": WIRES, "cloud": {"link_bits_per_s": 1e9}}))
    assert routes.between("west", "server") == HERE
    assert routes.between("server", "east") == (1e-8, 0.001, ("fibre",))
    assert routes.between("east", "cloud") == (1e-8 + 1e-9, 0.001, ("fibre", "backhaul"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"stations": STATIONS}, "row 'east': no wired way leads from there to node 'server', allowed: stations with"),
        (
            {"stations": STATIONS, "links": [{**WIRES[0], "ends": ("easd", "server")}]},
            "links, row 'fibre': no node or station 'easd', did you mean 'east'?",
        ),
        (
            {"links": [{**WIRES[0], "ends": ("cloud", "server")}]},
            "row 'fibre': ends = \\['cloud', 'server'\\] are those of link 'backhaul', allowed: one link between two",
        ),
        (
            {"stations": STATIONS, "links": [WIRES[0], {**WIRES[0], "name": "radio", "bits_per_s": 1e6}]},
            "links, row 'radio': ends = .* are those of link 'fibre'",
        ),
        ({"stations": [STATIONS[0]] * 2}, "stations: name 'west', allowed: names that no other station and no node"),
        ({"stations": [{**STATIONS[0], "name": "cloud"}]}, "stations: name 'cloud', allowed"),
        ({"stations": [{**STATIONS[0], "node": "sever"}]}, "row 'west': node = 'sever' is unknown, did you mean"),
        ({"stations": [{**STATIONS[0], "position_m": (1, 2, 3)}]}, "stations.0.position_m"),
        ({"road": {"speed_min_m_per_s": 31.0}}, "speed_min_m_per_s = 31 must not exceed speed_max_m_per_s = 30"),
        ({"cell": {"mobility": "road", "speed_m_per_s": 2.0}}, "cell.speed_m_per_s = 2 with cell.mobility = 'road'"),
        (
            {"cell": {"mobility": "road"}, "family": {"radius_m": (100.0, 200.0)}},
            "family.radius_m = \\[100.0, 200.0\\] with cell.mobility = 'road', allowed: none",
        ),
        ({"handover": {"hysteresis_db": -1.0}}, "handover.hysteresis_db"),
    ],
)
def test_wrong_rows_get_one_line(changes, message):
    with pytest.raises(ScenarioError, match=message) as error:
        build(changes)
    assert "\n" not in str(error.value)
