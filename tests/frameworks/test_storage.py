"""What is fetched where nodes store units, and the greedy choice of what to store against all choices."""

from collections.abc import Iterator
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from splitgym.arrays import Bools, Floats
from splitgym.frameworks.storage import Request, Storage, Unit
from splitgym.inputs import InputError

SEEDS = st.integers(0, 2**32 - 1)
BASE = (Unit("stem", 100.0), Unit("body", 400.0))
TASKS = {"birds": (*BASE, Unit("bird head", 20.0)), "skin": (*BASE, Unit("skin head", 50.0))}


def chain(storage: tuple[float, float]) -> Storage:
    """A cloud, behind it a node a, behind that a node b; a bit takes 1 s to a and 2 s more to b."""
    return Storage(
        nodes=("cloud", "a", "b"),
        storage_bits=np.array([0.0, *storage]),
        origin="cloud",
        seconds_per_bit=np.array([[0.0, 1.0, 3.0], [1.0, 0.0, 2.0], [3.0, 2.0, 0.0]]),
        links=np.array([[0, 1, 2], [1, 0, 1], [2, 1, 0]]),
        tasks=TASKS,
    )


def stored(made: Storage, **names: tuple[str, ...]) -> Bools:
    return np.array([[unit.name in names.get(node, ()) for unit in made.units] for node in made.nodes])


def test_missing_units_come_from_where_they_are_there_soonest() -> None:
    """By hand. Node b trains all of the birds, twice; node a the head of the skin task."""
    made = chain((450.0, 0.0))
    demand = made.demand([Request("b", "birds", 0, 3, 2.0), Request("a", "skin", 2, 3)])
    assert made.fetched(stored(made), demand) == (2 * 520 * 3 + 50 * 1, 2 * 520 + 50, 2 * 520 * 2 + 50 * 1)
    near = stored(made, a=("body", "skin head"))
    assert made.fits(near)
    assert made.fetched(near, demand) == (2 * (120 * 3 + 400 * 2), 2 * 520, 2 * (120 * 2 + 400))
    assert made.fetched(stored(made, b=("stem", "body", "bird head"), a=("skin head",)), demand) == (0.0, 0.0, 0.0)


def test_a_unit_that_tasks_share_is_stored_once() -> None:
    made = chain((570.0, 0.0))
    assert [unit.name for unit in made.units] == ["stem", "body", "bird head", "skin head"]
    demand = made.demand([Request("a", task, 0, 3) for task in TASKS])
    everything = made.greedy(demand)
    assert everything[1].all()
    assert made.fits(everything)
    assert made.fetched(everything, demand).bits == 0
    assert not chain((569.0, 0.0)).fits(everything)
    apart = {task: [Unit(f"{unit.name} {task}", unit.bits) for unit in units] for task, units in TASKS.items()}
    alone = Storage(made.nodes, made.storage_bits, made.origin, made.seconds_per_bit, made.links, apart)
    assert alone.fetched(alone.greedy(demand_of(alone, "a")), demand_of(alone, "a")).bits > 0


def demand_of(made: Storage, node: str) -> Floats:
    return made.demand([Request(node, task, 0, len(units)) for task, units in made.tasks.items()])


def drawn(seed: int, holders: int, same_size: bool) -> tuple[Storage, Floats]:
    """An origin and two nodes, of which some store; five units, in two tasks that share some; random requests."""
    rng = np.random.default_rng(seed)
    bits = np.full(5, 10.0) if same_size else rng.integers(1, 30, 5).astype(float)
    units = [Unit(f"u{k}", b) for k, b in enumerate(bits)]
    tasks = {"one": units[:3], "two": [*units[: rng.integers(0, 3)], *units[3:]]}
    hop = rng.uniform(0.1, 3.0, 3)
    way = np.array([[0.0, hop[0], hop[0] + hop[1]], [hop[0], 0.0, hop[1]], [hop[0] + hop[1], hop[1], 0.0]])
    room = np.array([0.0, *rng.uniform(0, bits.sum(), 2)]) * [1, 1, holders > 1]
    made = Storage(("origin", "a", "b"), room, "origin", way, np.ceil(way).astype(int), tasks)
    requests = []
    for node, task in product(made.nodes, tasks):
        first, last = sorted(rng.integers(0, len(tasks[task]) + 1, 2).tolist())
        requests.append(Request(node, task, first, last, rng.uniform(0, 2)))
    return made, made.demand(requests)


def choices(made: Storage) -> Iterator[Bools]:
    """All that two nodes can store."""
    count = len(made.units)
    for chosen in product((False, True), repeat=2 * count):
        choice = np.array([(True,) * count, chosen[:count], chosen[count:]])
        if made.fits(choice):
            yield choice


@pytest.mark.parametrize(("holders", "same_size"), [(1, False), (2, True)])
@given(seed=SEEDS)
@settings(max_examples=15)
def test_greedy_saves_at_least_half_of_what_can_be_saved(holders: int, same_size: bool, seed: int) -> None:
    made, demand = drawn(seed, holders, same_size)
    least = min(made.fetched(choice, demand).seconds for choice in choices(made))
    without = made.fetched(np.zeros_like(demand, bool), demand).seconds
    greedy = made.greedy(demand)
    assert made.fits(greedy)
    assert without - made.fetched(greedy, demand).seconds >= (without - least) / 2 * (1 - 1e-12)


def test_greedy_is_near_the_best_of_all_choices_also_with_units_of_any_size() -> None:
    saved, most = 0.0, 0.0
    for seed in range(20):
        made, demand = drawn(seed, 2, same_size=False)
        without = made.fetched(np.zeros_like(demand, bool), demand).seconds
        saved += without - made.fetched(made.greedy(demand), demand).seconds
        most += without - min(made.fetched(choice, demand).seconds for choice in choices(made))
    assert 0.95 * most < saved <= most * (1 + 1e-12)


@given(seed=SEEDS)
@settings(max_examples=50)
def test_a_copy_saves_the_less_the_more_there_are(seed: int) -> None:
    made, demand = drawn(seed, 2, same_size=False)
    rng = np.random.default_rng(seed)
    few = rng.random(demand.shape) < 0.3
    many, more = few | (rng.random(demand.shape) < 0.4), np.zeros_like(few)
    more[rng.integers(1, 3), rng.integers(demand.shape[1])] = True

    def saved(there: Bools) -> float:
        return made.fetched(there, demand).seconds - made.fetched(there | more, demand).seconds

    assert saved(few) >= saved(many) - 1e-9
    assert saved(many) >= -1e-9


@given(seed=SEEDS)
@settings(max_examples=25)
def test_fetching_is_the_sum_over_units_one_by_one(seed: int) -> None:
    made, demand = drawn(seed, 2, same_size=False)
    there = np.random.default_rng(seed).random(demand.shape) < 0.4
    seconds = bits = sent = 0.0
    for node, (unit, wanted) in product(range(3), list(enumerate(made.units))):
        ways = [
            (made.seconds_per_bit[other, node], made.links[other, node])
            for other in range(3)
            if other == 0 or there[other, unit]
        ]
        each, links = min(ways)
        seconds += demand[node, unit] * wanted.bits * each
        bits += demand[node, unit] * wanted.bits * (each > 0)
        sent += demand[node, unit] * wanted.bits * links
    np.testing.assert_allclose(made.fetched(there, demand), (seconds, bits, sent), rtol=1e-12)


def test_what_is_not_possible_is_refused() -> None:
    made = chain((0.0, 0.0))
    with pytest.raises(InputError, match=r"request\.node = 'c' is unknown"):
        made.demand([Request("c", "skin", 0, 1)])
    with pytest.raises(InputError, match=r"request\.task = 'skim' is unknown, .*'skin'"):
        made.demand([Request("a", "skim", 0, 1)])
    with pytest.raises(InputError, match=r"request.last = 4, allowed: 0 <= first <= last <= 3"):
        made.demand([Request("a", "skin", 0, 4)])
    with pytest.raises(InputError, match="unit 'stem' of task 'third' has 7 bits, allowed: 100"):
        Storage(("a",), np.zeros(1), "a", np.zeros((1, 1)), np.zeros((1, 1), int), TASKS | {"third": [Unit("stem", 7)]})
    cut_off = Storage(("a", "b"), np.zeros(2), "a", np.array([[0, np.inf], [np.inf, 0]]), np.zeros((2, 2), int), TASKS)
    with pytest.raises(InputError, match=r"request\.node = 'b', allowed: nodes that the origin can reach"):
        cut_off.demand([Request("b", "skin", 0, 1)])
    own = cut_off.demand([Request("a", "skin", 0, 3)])
    assert cut_off.fetched(cut_off.greedy(own), own).seconds == 0
