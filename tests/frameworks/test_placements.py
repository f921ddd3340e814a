"""Placements: which paths a scenario may list, and which are made where it lists none."""

from pathlib import Path
from typing import Any

import pytest
from paths import LINKS, NODES, on_paths

from splitgym.envs.system import system_of
from splitgym.frameworks import get
from splitgym.frameworks.placements import Placement, placements_of
from splitgym.scenario import ScenarioError, build, load


def made(units: int = 4, **placement: Any) -> list[Placement]:
    sections = {"nodes": NODES, "links": LINKS, "placement": placement, "plan": {"placement": "decided"}}
    return list(placements_of(build("toy", sections), units))


def test_without_a_word_everything_is_at_the_edge_server() -> None:
    assert placements_of(build("toy"), 3) == (Placement(("server",), ()),)


def test_units_are_spread_evenly_over_nodes_that_may_hold_some_and_pass_the_others() -> None:
    assert made(nodes=["server", "near", "far"]) == [
        Placement(("server",), ()),
        Placement(("server", "near"), (2,)),
        Placement(("server", "near", "far"), (1, 3)),
    ]
    assert made(nodes=["near", "far"]) == [
        Placement(("server", "near"), (0,)),
        Placement(("server", "near", "far"), (0, 2)),
    ]
    assert made(nodes=["far"]) == [Placement(("server", "near", "far"), (0, 0))]


def test_paths_are_no_longer_and_no_more_than_asked_for() -> None:
    nodes = ["server", "near", "far", "cloud"]
    assert len(made(nodes=nodes)) == 4
    assert [len(each.nodes) for each in made(nodes=nodes, hops=2)] == [1, 2, 2]
    assert [len(each.nodes) for each in made(nodes=nodes, count=2)] == [1, 2]


def test_the_first_one_holds_where_nobody_decides() -> None:
    listed = [{"nodes": ["server", "near"], "bounds": [1]}, {"nodes": ["server"]}]
    scenario = build(on_paths(*listed), {"plan": {"placement": "fixed"}})
    assert placements_of(scenario, 3) == (Placement(("server", "near"), (1,)),)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"nodes": ["server", "naer"], "bounds": [1]}, "row 2: node 'naer' is unknown, did you mean 'near'"),
        ({"nodes": ["near"]}, "row 2: nodes = \\['near'\\], allowed: 'server' first"),
        ({"nodes": ["server", "near", "server"], "bounds": [1, 1]}, "row 2: nodes = .* allowed: each one once"),
        ({"nodes": ["server", "far"], "bounds": [1]}, "row 2: no row of links has the ends 'server' and 'far'"),
        ({"nodes": ["server", "near"]}, "row 2: bounds = \\[\\], allowed: 1 numbers from 0 to 2"),
        ({"nodes": ["server", "near"], "bounds": [3]}, "row 2: bounds = \\[3\\], allowed: 1 numbers from 0 to 2"),
        ({"nodes": ["server", "near", "far"], "bounds": [2, 1]}, "row 2: bounds = .* that do not decrease"),
        ({"nodes": ["server"]}, "row 2: is there twice"),
    ],
)
def test_what_is_no_path_is_refused(row: dict[str, Any], message: str) -> None:
    with pytest.raises(ScenarioError, match=f"^placement.candidates, {message}"):
        placements_of(on_paths({"nodes": ["server"]}, row), 3)


@pytest.mark.parametrize(
    ("placement", "message"),
    [
        ({"nodes": ["fra"]}, "placement.nodes: node 'fra' is unknown, did you mean 'far'"),
        ({"nodes": ["far"], "hops": 2}, "placement.nodes = \\['far'\\], allowed: .* within placement.hops = 2 nodes"),
    ],
)
def test_nodes_that_nothing_leads_to_are_refused(placement: dict[str, Any], message: str) -> None:
    with pytest.raises(ScenarioError, match=f"^{message}"):
        made(**placement)


def test_a_server_without_the_memory_for_any_plan_is_named() -> None:
    nodes = [{**NODES[0], "memory_bytes": 10}, NODES[1]]
    scenario = build(on_paths({"nodes": ["server", "near"], "bounds": [1]}), {"nodes": nodes})
    with pytest.raises(ScenarioError, match="memory of node 'near' = 10 bytes, allowed: at least"):
        system_of(scenario, get("multi-hop"))


def test_candidates_survive_a_file(tmp_path: Path) -> None:
    scenario = on_paths({"nodes": ["server", "near"], "bounds": [1]}, {"nodes": ["server"]})
    file = tmp_path / "paths.toml"
    file.write_text(scenario.to_toml())
    assert load(file) == scenario
