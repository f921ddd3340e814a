"""CPSL's two time scales against enumeration."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from small_cells import cell

from splitgym.allocation import descend, form_clusters
from splitgym.allocation.baselines.two_timescale import fast_decision, gibbs_clusters, slow_cut
from splitgym.timing import round_cost
from splitgym.types import Plan, RoundState

EVERYBODY = np.ones(6, bool)


def clustered(seed: int, clusters: int = 2, preset: str = "iot") -> RoundState:
    _, state = cell(seed, 6, 8, preset, framework="cpsl", decades=3.0)
    return replace(state, system=replace(state.system, clusters=clusters))


def seconds(state: RoundState, cut: int, cluster: np.ndarray) -> float:
    decision = descend(state, EVERYBODY, 0.0, cut_layer=cut, cluster=cluster, search=False)
    return float(round_cost(state, decision).latency_s)


def halves(state: RoundState, cut: int) -> list[float]:
    """Latency of every way to form two clusters of three."""
    ways = []
    for rest in itertools.combinations(range(1, 6), 2):
        cluster = np.ones(6, np.int64)
        cluster[[0, *rest]] = 0
        ways.append(seconds(state, cut, cluster))
    return ways


def test_gibbs_sampling_finds_the_best_clusters_of_small_cells() -> None:
    gaps = []
    for seed in range(12):
        state = clustered(seed)
        cluster = gibbs_clusters(state, Plan(2, 0.0), EVERYBODY, np.random.default_rng(seed))
        gaps.append(seconds(state, 2, cluster) / min(halves(state, 2)) - 1)
    assert min(gaps) > -1e-9
    assert np.mean(gaps) < 1e-3


def test_swaps_keep_sizes_and_never_end_worse_than_they_start() -> None:
    better = 0
    for seed in range(12):
        state = clustered(seed, clusters=3)
        formed = form_clusters(state, Plan(1, 0.0), EVERYBODY)
        swapped = gibbs_clusters(state, Plan(1, 0.0), EVERYBODY, np.random.default_rng(seed), swaps=20)
        assert np.bincount(swapped).tolist() == np.bincount(formed).tolist()
        before, after = seconds(state, 1, formed), seconds(state, 1, swapped)
        assert after <= before * (1 + 1e-12)
        better += after < before
    assert better > 3


def test_a_client_that_is_not_selected_is_not_swapped() -> None:
    selected = np.array([True, False, True, True, True, True])
    state = replace(clustered(3), available=np.array([True, True, True, False, True, True]))
    cluster = gibbs_clusters(state, Plan(1, 0.0), selected, np.random.default_rng(0))
    assert cluster[[1, 3]].tolist() == [0, 0]
    assert np.bincount(cluster[[0, 2, 4, 5]]).tolist() == [2, 2]


@pytest.mark.parametrize("clients", [0, 1])
def test_fewer_than_two_clients_leave_nothing_to_swap(clients: int) -> None:
    selected = np.arange(6) < clients
    assert not gibbs_clusters(clustered(0), Plan(1, 0.0), selected, np.random.default_rng(0)).any()


def test_the_slow_cut_has_the_shortest_mean_round() -> None:
    chosen = set()
    for seed in range(8):
        preset = ("iot", "bandwidth-limited")[seed % 2]
        states = [clustered(10 * seed + n, preset=preset) for n in range(3)]
        means = [
            np.mean([float(round_cost(s, descend(s, EVERYBODY, 0.0, cut_layer=cut)).latency_s) for s in states])
            for cut in (1, 2, 3)
        ]
        assert slow_cut(states, 0.0) == 1 + int(np.argmin(means))
        chosen.add(int(np.argmin(means)))
    assert len(chosen) > 1
    with pytest.raises(ValueError, match="samples"):
        slow_cut([], 0.0)


def test_the_fast_decision_is_played_as_it_expects() -> None:
    state = clustered(5)
    decision = fast_decision(state, Plan(2, 0.0), EVERYBODY, np.random.default_rng(1))
    decision.check(state)
    assert decision.cut_layer == 2
    assert decision.assignment.shape == (2, 8)
    cost = round_cost(state, decision)
    assert cost.participants.all()
    assert cost.latency_s <= seconds(state, 2, decision.cluster) * (1 + 1e-12)
    _, together = cell(5, 6, 8)
    side_by_side = fast_decision(together, Plan(2, 0.5), EVERYBODY, np.random.default_rng(1))
    np.testing.assert_array_equal(side_by_side.assignment, descend(together, EVERYBODY, 0.5, cut_layer=2).assignment)
