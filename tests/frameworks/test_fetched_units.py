"""Units that clients fetch and give back: copies, what optimisers remember, and how they are mixed in."""

import numpy as np
import pytest
import torch
from small_nodes import assert_same, held, nodes, training

from splitgym.frameworks.fetched_units import FetchedUnits, mix
from splitgym.frameworks.nodes import Nodes
from splitgym.frameworks.round_batch import Traffic

SHARES = (0.5, 0.3, 0.2)
NEVER = np.inf


def made(cut: int = 2, kind: str = "norm") -> tuple[Nodes, FetchedUnits]:
    standing = nodes(kind, SHARES, training(momentum=0.9), cut, "async-sfl")
    return standing, FetchedUnits(standing)


def go_through(fetched: FetchedUnits, returned_s: list[float], began_s: list[float], cuts: list[int]) -> Traffic:
    traffic = Traffic()
    fetched.go_through(np.array(returned_s), np.array(began_s), np.array(cuts), np.full(3, 32), traffic)
    return traffic


@torch.no_grad()
def fill(units: object, value: float) -> None:
    for unit in units:
        for tensor in (*unit.parameters(), *unit.buffers()):
            if tensor.is_floating_point():
                tensor.fill_(value)


def values(units: object) -> set[float]:
    return {float(each) for value in held(units) if value.is_floating_point() for each in value.flatten()}


def test_a_copy_is_the_client_s_own() -> None:
    standing, fetched = made()
    go_through(fetched, [NEVER] * 3, [0.0] * 3, [2, 2, 2])
    server = held(standing.server.units)
    fill(standing.clients[0].units, 7.0)
    assert_same(held(standing.server.units), server)
    assert_same(held(standing.clients[1].units), held(standing.server.units[:2]))


@pytest.mark.parametrize("cuts", [(2, 1), (1, 2), (3, 1)])
def test_with_another_cut_other_units_are_fetched_and_optimisers_remember_those_that_stay(
    cuts: tuple[int, int],
) -> None:
    standing, fetched = made(cuts[0])
    client = standing.clients[0]
    client.step([torch.ones_like(weight) for weight in client.parameters])
    fill(standing.server.units, 3.0)
    go_through(fetched, [NEVER] * 3, [0.0, NEVER, NEVER], [cuts[1]] * 3)
    assert_same(held(client.units), held(standing.server.units[: cuts[1]]))
    stays = [weight for unit in client.units[: min(cuts)] for weight in unit.parameters()]
    assert client.parameters[: len(stays)] == stays
    assert all(float(client.optimizer.state[weight]["momentum_buffer"].mean()) == 1.0 for weight in stays)
    assert len(client.parameters) == sum(len(list(unit.parameters())) for unit in client.units)


def test_order_of_time_by_hand() -> None:
    """Client 0 comes back first; 1 fetches with it, and sees it; 2 comes back when 0 begins, and is seen by it."""
    standing, fetched = made()
    go_through(fetched, [NEVER] * 3, [0.0] * 3, [2, 2, 2])
    fill(standing.server.units, 0.0)
    fill(standing.clients[0].units, 8.0)
    fill(standing.clients[2].units, 4.0)
    fetched.note_update((0,), np.array([0.25]))
    fetched.note_update((2,), np.array([0.5]))
    go_through(fetched, [1.0, NEVER, 2.0], [2.0, 1.0, NEVER], [2, 2, 2])
    assert values(standing.clients[1].units) == {2.0}
    assert values(standing.server.units[:2]) == values(standing.clients[0].units) == {0.5 * 2.0 + 0.5 * 4.0}
    assert values(standing.clients[2].units) == {4.0}
    # What was given back counts once.
    go_through(fetched, [3.0, 3.0, 3.0], [NEVER] * 3, [2, 2, 2])
    assert values(standing.server.units[:2]) == {3.0}


def test_those_of_one_update_that_are_back_at_once_are_averaged_and_updates_follow_each_other() -> None:
    standing, fetched = made()
    for client, value in zip(standing.clients, (1.0, 2.0, 16.0), strict=True):
        fill(client.units, value)
    fill(standing.server.units, 100.0)
    fetched.note_update((2,), np.array([0.5]))
    fetched.note_update((0, 1), np.array([0.25, 0.5]))
    go_through(fetched, [1.0, 1.0, 1.0], [NEVER] * 3, [2, 2, 2])
    after_first = 0.5 * 100.0 + 0.5 * 16.0
    assert values(standing.server.units[:2]) == {0.25 * after_first + 0.25 * 1.0 + 0.5 * 2.0}
    assert values(standing.server.units[2:]) == {100.0}


def test_what_only_some_hold_is_mixed_with_their_rates_alone() -> None:
    standing, fetched = made(2)
    go_through(fetched, [NEVER] * 3, [0.0] * 3, [1, 2, 2])
    fill(standing.server.units, 0.0)
    fill(standing.clients[0].units, 4.0)
    fill(standing.clients[1].units, 8.0)
    fetched.note_update((0, 1), np.array([0.5, 0.25]))
    go_through(fetched, [1.0, 1.0, NEVER], [NEVER] * 3, [1, 2, 2])
    first, second, *_ = standing.server.units
    assert (values([first]), values([second])) == ({0.5 * 4.0 + 0.25 * 8.0}, {0.25 * 8.0})


def test_counters_of_batches_stay_and_a_rate_of_one_replaces_what_is_not_finite() -> None:
    standing, _ = made()
    one, other = standing.server.units[0], standing.clients[0].units[0]
    fill([one], float("nan"))
    one[1].num_batches_tracked.fill_(5)
    fill([other], 2.0)
    mix([one], [[other]], np.array([1.0]))
    assert values([one]) == {2.0}
    assert int(one[1].num_batches_tracked) == 5


def test_bits_are_those_of_weights_and_running_statistics() -> None:
    standing, fetched = made()
    traffic = go_through(fetched, [0.0, NEVER, 0.0], [1.0, 1.0, NEVER], [2, 1, 1])
    sizes = [sum(v.numel() for v in held([unit]) if v.is_floating_point()) for unit in standing.server.units]
    assert traffic.bits == {"uplink": 32 * 2 * (sizes[0] + sizes[1]), "unicast": 32 * (2 * sizes[0] + sizes[1])}
