"""Placements: which paths a scenario may list, and which are made where it lists none."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from paths import LINKS, NODES, on_paths

from splitgym import models
from splitgym.allocation.placement import EdgeGraph, PlacementTask, exact
from splitgym.allocation.placement.listed import listed_placements
from splitgym.data import dimensions
from splitgym.envs.system import system_of
from splitgym.frameworks import get
from splitgym.frameworks.placements import Placement
from splitgym.models import measure, memory_of
from splitgym.scenario import ScenarioError, build, load

PROFILE = measure("mlp", (1, 8, 8), 10, "7x7").profile


def made(**placement: Any) -> list[Placement]:
    plan = {"placement": "decided"}
    scenario = build("toy", {"nodes": NODES, "links": LINKS, "placement": placement, "plan": plan})
    return list(system_of(scenario, get("multi-hop")).program.placed.placements)


def test_without_a_word_everything_is_at_the_edge_server() -> None:
    assert system_of(build("toy"), get("multi-hop")).program.placed.placements == (Placement(("server",), ()),)


def test_units_lie_at_nodes_that_may_hold_some_and_pass_the_others() -> None:
    found = made(nodes=["near", "far"], count=20)
    assert len(found) == len(set(found)) > 2
    for nodes, bounds in found:
        assert nodes[0] == "server"
        assert nodes[1] == "near"
        assert bounds[0] == 0
    assert all(nodes == ("server", "near", "far") for nodes, _ in made(nodes=["far"], count=20))


def test_the_best_one_for_each_cut_layer_is_there() -> None:
    scenario = build("toy", {"nodes": NODES, "links": LINKS, "placement": {"nodes": ["server", "near", "far"]}})
    network = measure(scenario.task.model, *dimensions(scenario.task.dataset), scenario.task.stem)
    found, graph = made(nodes=["server", "near", "far"], count=4), EdgeGraph.of(scenario)
    graph = replace(graph, memory_bytes=np.where(np.array(graph.nodes) == "cloud", 0.0, np.inf))
    for cut_layer in range(1, len(network.profile)):
        rows = scenario.clients.count * scenario.training.batch_size
        task = PlacementTask(graph, network.profile, network.memory, rows, cut_layer, hops=3, first=("server",))
        assert task.seconds(exact(task)) in [pytest.approx(task.seconds(each)) for each in found]


def test_paths_are_no_longer_and_no_more_than_asked_for() -> None:
    nodes = ["server", "near", "far", "cloud"]
    assert max(len(each.nodes) for each in made(nodes=nodes, hops=2, count=50)) == 2
    assert len(made(nodes=nodes, count=2)) == 2


def test_the_first_one_holds_where_nobody_decides() -> None:
    listed = [{"nodes": ["server", "near"], "bounds": [1]}, {"nodes": ["server"]}]
    scenario = build(on_paths(*listed), {"plan": {"placement": "fixed"}})
    assert system_of(scenario, get("multi-hop")).program.placed.placements == (Placement(("server", "near"), (1,)),)


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
        listed_placements(on_paths({"nodes": ["server"]}, row), PROFILE)


@pytest.mark.parametrize(
    ("placement", "message"),
    [
        ({"nodes": ["near", "near"]}, "placement.nodes: node 'near' is there twice, allowed: each one once"),
        ({"nodes": ["fra"]}, "placement.nodes: node 'fra' is unknown, did you mean 'far'"),
        (
            {"nodes": ["far"], "hops": 2},
            "placement: unit . needs .* no paths of at most 2 nodes from 'server' lead there",
        ),
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


@pytest.mark.parametrize("cut_layer", [1, 2])
@pytest.mark.parametrize("placement", [0, 1, 2])
def test_servers_need_the_memory_for_the_units_that_they_train(placement: int, cut_layer: int) -> None:
    """Bytes of `splitgym.models.Memory` for the rows of one client and of two; nothing of what is not on the path."""
    held = [{"server": (cut_layer, 3)}, {"server": (cut_layer, 2), "near": (2, 3)}, {"near": (1, 2), "far": (2, 3)}]
    paths: list[Any] = [{"nodes": ["server"]}, {"nodes": ["server", "near"], "bounds": [2]}]
    paths += [{"nodes": ["server", "near", "far"], "bounds": [1, 2]}]
    nodes = [{**node, "memory_bytes": 1e9} for node in NODES]
    scenario = build(on_paths(*paths), {"nodes": nodes, "server": {"memory_bytes": 1e9}})
    system, memory = system_of(scenario, get("multi-hop")), memory_of(models.build("mlp", (1, 8, 8), 10), (1, 8, 8))
    needs, plan = system.memory, int(system.program.plans.index(cut_layer, 0)) + placement * 2
    assert needs is not None
    assert set(needs.nodes) == {"server", "near", "far"}
    for name, once, each in zip(needs.nodes, needs.once[:, plan], needs.per_participant[:, plan], strict=True):
        for clients in (1, 2):
            first, last = held[placement].get(name, (3, 3))
            expected = memory.node_bytes(max(first, cut_layer), max(last, cut_layer), 8 * clients, 0)
            assert once + clients * each == expected


def test_candidates_survive_a_file(tmp_path: Path) -> None:
    scenario = on_paths({"nodes": ["server", "near"], "bounds": [1]}, {"nodes": ["server"]})
    file = tmp_path / "paths.toml"
    file.write_text(scenario.to_toml())
    assert load(file) == scenario
