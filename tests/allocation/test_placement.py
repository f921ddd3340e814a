"""Joint splitting and routing, against every placement of small graphs, each timed by playing its micro-batches."""

from collections.abc import Iterator
from itertools import combinations_with_replacement, pairwise, permutations

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from splitgym.allocation.placement import PLACEMENTS, EdgeGraph, PlacementTask, even_split, exact, greedy, k_best
from splitgym.frameworks.placements import Placement
from splitgym.frameworks.stores import Stores
from splitgym.inputs import InputError
from splitgym.models import Memory, Profile, measure
from splitgym.scenario import build

ONCE = settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
NAMES = "abcdef"


def graph_of(
    speeds: list[float],
    rates: dict[str, float],
    memory: list[float] | None = None,
    delays: dict[str, float] | None = None,
) -> EdgeGraph:
    """Nodes a, b, ... with so many FLOP/s, and links such as `{"ab": bits/s}`."""
    count = len(speeds)
    per_bit, delay = np.full((count, count), np.inf), np.zeros((count, count))
    for ends, rate in rates.items():
        one, other = (NAMES.index(end) for end in ends)
        per_bit[one, other] = per_bit[other, one] = 1 / rate
        delay[one, other] = delay[other, one] = (delays or {}).get(ends, 0.0)
    memory_bytes = np.array(memory or [np.inf] * count, float)
    return EdgeGraph(tuple(NAMES[:count]), 1 / np.array(speeds, float), memory_bytes, per_bit, delay)


def network(
    forward: list[float], backward: list[float], bits: list[float], bytes_: list[float]
) -> tuple[Profile, Memory]:
    """Units with these costs; a unit needs so many bytes for weights and half as many for each row."""
    zeros, weights = np.zeros(len(bits)), np.array(bytes_, float) / 2
    return Profile(forward, backward, bits, zeros), Memory(weights, zeros, zeros, weights, zeros, zeros, zeros)


def every_placement(task: PlacementTask) -> Iterator[Placement]:
    """All simple paths with all bounds at which the last node has a unit, if the units fit."""
    graph, units, cut = task.graph, len(task.profile), task.cut_layer
    for hops in range(1, task.hops + 1):
        for nodes in permutations(graph.nodes, hops):
            ways = [graph.seconds_per_bit[graph.index(one), graph.index(other)] for one, other in pairwise(nodes)]
            if not np.isfinite(ways).all() or nodes[0] not in (task.first or graph.nodes):
                continue
            for bounds in combinations_with_replacement(range(cut, units), hops - 1):
                parts = list(pairwise((cut, *bounds, units)))
                needs = [
                    sum(task.memory.parameter_bytes[first:last]) * (2 + task.optimizer_copies)
                    + sum(task.memory.saved_bytes[first:last]) * task.rows
                    for first, last in parts
                ]
                memory = [graph.memory_bytes[graph.index(node)] for node in nodes]
                if (np.array(needs) <= memory).all() and has_room(task, nodes, parts):
                    yield Placement(nodes, bounds)


def has_room(task: PlacementTask, nodes: tuple[str, ...], parts: list[tuple[int, int]]) -> bool:
    """Whether each node may store its units beside those that it stores anyway."""
    stores = task.stores
    for name, (first, last) in zip(nodes, parts, strict=True):
        node = stores.nodes.index(name)
        units = set(range(first, last)) | {u for u, stored in enumerate(stores.stored[node]) if stored}
        if sum(stores.unit_bytes[unit] for unit in units) > stores.limit_bytes[node]:
            return False
    return True


def played_s(task: PlacementTask, placement: Placement) -> float:
    """Both passes, micro-batch after micro-batch: each stage serves one at a time, as soon as it is there.

    Without what the first one takes in front of the path.
    """
    graph, p = task.graph, task.profile
    rows = task.rows / task.micro_batches
    nodes = [graph.index(name) for name in placement.nodes]
    parts = list(pairwise((task.cut_layer, *placement.bounds, len(p))))
    seconds = 0.0
    for flops, all_in_front_s in zip((p.forward_flops, p.backward_flops), task.in_front_s, strict=True):
        in_front_s = all_in_front_s / task.micro_batches
        stages = [(in_front_s, 0.0)]
        for place, (node, (first, last)) in enumerate(zip(nodes, parts, strict=True)):
            if place:
                before = nodes[place - 1]
                bits = rows * p.activation_bits[first - 1]
                stages.append((bits * graph.seconds_per_bit[before, node], graph.delay_s[before, node]))
            stages.append((rows * sum(flops[first:last]) * graph.seconds_per_flop[node], 0.0))
        free = [0.0] * len(stages)
        for _ in range(task.micro_batches):
            there = 0.0
            for stage, (busy, delay) in enumerate(stages):
                free[stage] = max(free[stage], there) + busy
                there = free[stage] + delay
        seconds += there - in_front_s
    return seconds


@st.composite
def tasks(draw: st.DrawFn, most_nodes: int = 6, memory: bool = True) -> PlacementTask:
    """Graphs of up to six nodes with at least one link, networks of up to five units; many numbers are equal."""
    count, units = draw(st.integers(2, most_nodes)), draw(st.integers(2, 5))
    cost, rate = st.sampled_from([1.0, 2.0, 3.0, 7.0]), st.sampled_from([0.5, 1.0, 4.0, 50.0])
    pairs = [one + other for place, one in enumerate(NAMES[:count]) for other in NAMES[place + 1 : count]]
    joined = draw(st.lists(st.sampled_from(pairs), min_size=1, unique=True))
    limits = st.sampled_from([3.0, 12.0, 40.0, np.inf]) if memory else st.just(np.inf)
    costs = [[draw(cost) for _ in range(units)] for _ in range(4)]
    profile, needs = network(*costs)
    stored = np.array([draw(st.lists(st.booleans(), min_size=units, max_size=units)) for _ in range(count)])
    sizes = np.array([draw(cost) for _ in range(units)])
    room = [float(stored[node] @ sizes) + draw(limits) - 3.0 for node in range(count)]
    return PlacementTask(
        graph_of(
            [draw(cost) for _ in range(count)],
            {ends: draw(rate) for ends in joined},
            [draw(limits) for _ in range(count)],
            {ends: draw(st.sampled_from([0.0, 0.0, 0.3])) for ends in joined},
        ),
        profile,
        needs,
        rows=4,
        cut_layer=draw(st.integers(1, units - 1)),
        hops=draw(st.integers(1, count)),
        first=tuple(draw(st.lists(st.sampled_from(NAMES[:count]), unique=True, max_size=2))),
        micro_batches=draw(st.sampled_from([1, 2, 4])),
        optimizer_copies=draw(st.sampled_from([0, 1])),
        in_front_s=(draw(st.sampled_from([0.0, 3.0, 30.0])), draw(st.sampled_from([0.0, 5.0]))),
        stores=Stores(tuple(NAMES[:count]), np.array(room), stored, sizes, None),
    )


@ONCE
@given(tasks())
def test_no_placement_of_all_is_faster_than_the_exact_one(task):
    there = list(every_placement(task))
    if not there:
        with pytest.raises(InputError, match="bytes"):
            exact(task)
        return
    best = exact(task)
    assert best in there
    assert played_s(task, best) == pytest.approx(min(played_s(task, each) for each in there), rel=1e-9)


@ONCE
@given(tasks(most_nodes=5), st.integers(1, 30))
def test_the_best_ones_are_those_of_all_with_one_of_each_first_node(task, count):
    there = sorted(every_placement(task), key=lambda each: played_s(task, each))
    assume(there)
    count = max(count, len(task.starts))
    found = k_best(task, count)
    assert len(set(found)) == len(found) == min(count, len(there))
    assert set(found) <= set(there)
    seconds = [played_s(task, each) for each in found]
    assert seconds == pytest.approx(sorted(seconds))
    firsts = {each.nodes[0] for each in there}
    assert {each.nodes[0] for each in found} == firsts
    best_of_first = {name: min(played_s(task, each) for each in there if each.nodes[0] == name) for name in firsts}
    for name, best_s in best_of_first.items():
        assert min(s for s, each in zip(seconds, found, strict=True) if each.nodes[0] == name) == pytest.approx(best_s)
    # Whatever is faster than one that is there, and not the only one of its first node, is there, too.
    several = [s for s, each in zip(seconds, found, strict=True) if sum(e.nodes[0] == each.nodes[0] for e in found) > 1]
    if several:
        faster = sum(played_s(task, each) < max(several) * (1 - 1e-9) for each in there)
        assert sum(s < max(several) * (1 - 1e-9) for s in seconds) == faster


@ONCE
@given(tasks())
def test_seconds_are_those_of_the_micro_batches_played_one_by_one(task):
    for placement in list(every_placement(task))[::7]:
        assert task.seconds(placement) == pytest.approx(played_s(task, placement), rel=1e-9)


@ONCE
@given(tasks(), st.sampled_from(["greedy", "even-split"]))
def test_rules_find_placements_or_say_why_not(task, name):
    there = set(every_placement(task))
    try:
        placement = PLACEMENTS[name](task)
    except InputError:
        with pytest.raises(InputError, match=rf"placement '{name}'"):
            PLACEMENTS[name](task)
    else:
        assert placement in there


def line(rows=2, **changes):
    """Three nodes in a line, the last the fastest; units of 4 FLOPs forward and 8 backward."""
    settings_ = {"speeds": [1.0, 2.0, 8.0], "rates": {"ab": 4.0, "bc": 1.0}, "memory": None, "hops": 3, **changes}
    graph = graph_of(settings_.pop("speeds"), settings_.pop("rates"), settings_.pop("memory"))
    profile, memory = network([4.0] * 4, [8.0] * 4, [6.0, 4.0, 2.0, 1.0], [10.0] * 4)
    return PlacementTask(graph, profile, memory, rows, 1, **settings_)


def test_line_by_hand():
    # Behind cut 1 there are three units of 12 FLOPs for each of two rows: 72 FLOPs. On a alone 72 s.
    assert line().seconds(Placement(("a",), ())) == 72.0
    # b: 36 s and twice 2 x 6 bits at 4 bits/s; c: 9 s, twice 12 / 4 s, twice 12 bits at 1 bit/s.
    assert line().seconds(Placement(("a", "b"), (1,))) == 42.0
    assert line().seconds(Placement(("a", "b", "c"), (1, 1))) == 39.0
    # Unit 2 on b, the rest on c: 12 + 6 + 2 x (12 / 4 + 8 / 1) s.
    assert line().seconds(Placement(("a", "b", "c"), (1, 2))) == 40.0
    assert exact(line(first=("a",))) == Placement(("a", "b", "c"), (1, 1))
    assert exact(line()) == Placement(("c",), ())
    # Each of two micro-batches takes half of that; beside the first one counts the slowest stage, link bc both ways.
    task = line(rows=2, micro_batches=2)
    assert task.seconds(Placement(("a", "b", "c"), (1, 2))) == 20.0 + 4.0 + 4.0


def test_greedy_looks_one_link_ahead():
    # Unit 2 must be at a; unit 3 takes 24 s there, at b 12 s and 4 s for the way; unit 4 at b 12 s, at c 3 s and 8 s.
    assert greedy(line(first=("a",))) == Placement(("a", "b", "c"), (2, 3))
    assert greedy(line()) == Placement(("c",), ())


def test_even_split_takes_the_shortest_path_and_gives_the_first_nodes_more():
    rates = {"ab": 1.0, "ac": 5.0, "bc": 3.0, "bd": 100.0}
    task = line(speeds=[1.0] * 4, rates=rates, first=("a",), hops=2)
    assert even_split(task) == Placement(("a", "c"), (3,))
    assert even_split(line(speeds=[1.0] * 4, rates=rates, first=("a",), hops=4)) == Placement(("a", "c", "b"), (2, 3))


def test_a_node_without_units_passes_data_on():
    # b is slow, and the only way to c.
    task = line(speeds=[1.0, 0.01, 100.0], rates={"ab": 100.0, "bc": 100.0}, first=("a",))
    assert exact(task) == Placement(("a", "b", "c"), (1, 1))


def test_micro_batches_spread_units_over_more_nodes():
    def task(micro_batches):
        return line(8, speeds=[1.0, 1.0, 1.0], rates={"ab": 1e3, "bc": 1e3}, micro_batches=micro_batches)

    assert len(exact(task(1)).nodes) == 1
    assert exact(task(8)) == Placement(("a", "b", "c"), (2, 3))


def test_memory_makes_a_path_go_round_a_node():
    # Each unit needs 10 bytes of weights and gradients and 5 for each of 2 rows; b has nothing.
    rates = {"ab": 1e3, "bc": 1e3, "ad": 1.0, "dc": 1.0}
    task = line(speeds=[1.0, 9.0, 5.0, 4.0], rates=rates, memory=[20, 19, 40, 20], first=("a",), hops=3)
    assert exact(task) == Placement(("a", "b", "c"), (2, 2))
    narrow = line(speeds=[1.0, 9.0, 5.0, 4.0], rates=rates, memory=[20, 19, 20, 20], first=("a",), hops=4)
    assert exact(narrow) == Placement(("a", "b", "c", "d"), (2, 2, 3))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"memory": [19, 20, 21], "rows": 3}, "unit 2 needs 25 bytes, and node 'c' with the most of it has 21"),
        ({"memory": [9, 9, 99], "first": ("a",), "hops": 2}, "which fit only at 'c': no paths of"),
        ({"memory": [20, 20, 20], "hops": 2}, "units 2..4 need 60 bytes on one node"),
        ({"first": ("q",)}, "node 'q' of a placement is unknown, allowed: a, b, c"),
        ({"hops": 4}, "hops = 4 of a placement, allowed: 1..3"),
        ({"hops": 0}, "hops = 0 of a placement, allowed: 1..3"),
        ({"rows": 0}, "rows = 0 of a placement, allowed: 1 or more"),
        ({"micro_batches": 3}, "micro_batches = 3 of a placement, allowed: 1..2"),
        ({"in_front_s": (1.0, np.inf)}, "allowed: two finite numbers, 0 or more"),
        ({"micro_batches": True}, "micro_batches = True of a placement, allowed: 1..2"),
    ],
)
def test_what_is_not_possible_is_refused_in_one_line(changes, said):
    with pytest.raises(InputError) as refused:
        exact(line(**changes))
    assert said in str(refused.value)


def test_rules_that_do_not_find_their_way_say_where():
    with pytest.raises(InputError, match=r"even-split': no path of 3 nodes, allowed: less"):
        even_split(line(speeds=[1.0] * 3, rates={"ab": 1.0}))
    with pytest.raises(InputError, match=r"units 2..3 need 40 bytes, and node 'a' has 30"):
        even_split(line(memory=[30, 99, 99], hops=2, first=("a",)))
    with pytest.raises(InputError, match=r"greedy': unit 4 needs 20 bytes, which node 'c' or a node behind it"):
        greedy(line(memory=[19, 19, 40]))
    with pytest.raises(InputError, match=r"count = 2 of placements, allowed: 3 or more, one for each first node"):
        k_best(line(), 2)
    with pytest.raises(InputError, match="nodes 'a' and 'c' of a placement have no link"):
        line().seconds(Placement(("a", "c"), (1,)))


def test_the_graph_of_a_scenario_has_its_nodes_and_links():
    graph = EdgeGraph.of(
        build(
            "three-tier",
            {
                "server": {"memory_bytes": 5e6},
                "nodes": [{"name": "x", "compute_hz": 1e9, "cycles_per_flop": 0.5, "switched_capacitance": 1e-28}],
                "links": [
                    {"name": "one", "ends": ["x", "server"], "bits_per_s": 1e6},
                    {"name": "three", "ends": ["cloud", "x"], "bits_per_s": 4e6, "delay_s": 0.5},
                ],
            },
        )
    )
    assert graph.nodes == ("server", "cloud", "x")
    np.testing.assert_allclose(graph.seconds_per_flop, [1 / 32 / 7e9, 1 / 32 / 20e9, 0.5 / 1e9])
    assert list(graph.memory_bytes) == [5e6, np.inf, np.inf]
    assert 1 / graph.seconds_per_bit[0, 1] == pytest.approx(build("three-tier").cloud.link_bits_per_s)
    assert 1 / graph.seconds_per_bit[2, 0] == pytest.approx(1e6)
    assert (1 / graph.seconds_per_bit[1, 2], graph.delay_s[2, 1]) == pytest.approx((4e6, 0.5))
    assert np.isinf(np.diagonal(graph.seconds_per_bit)).all()


def test_the_task_of_a_scenario_has_all_rows_of_its_clients():
    scenario = build("three-tier", {"clients": {"count": 3}, "training": {"batch_size": 5}})
    costs = measure("resnet18", (3, 32, 32), 7, "7x7")
    task = PlacementTask.of(scenario, costs, 2, 2)
    assert (task.rows, task.first, task.micro_batches) == (15, ("server",), 1)
    assert task.optimizer_copies == 2  # Adam.
    # Units 3..8 at the edge server and the last two in the cloud, as in a round of framework hierarchical.
    flops = costs.profile.forward_flops + costs.profile.backward_flops
    by_hand = (
        15 / 32 * (flops[2:8].sum() / 7e9 + flops[8:].sum() / 20e9) + 30 * costs.profile.activation_bits[7] / 27.6e6
    )
    assert task.seconds(Placement(("server", "cloud"), (8,))) == pytest.approx(by_hand)
