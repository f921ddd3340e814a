"""A cut layer of each client's own: against all of them, tried one by one."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from small_cells import COSTS, cell, random_assignment

from splitgym.allocation import allocate, descend, descend_cuts
from splitgym.allocation.descent.cuts_by_client import Costs, cut_costs, exact_cuts
from splitgym.timing import round_cost
from splitgym.types import Decision, Plan, RoundState

CUTS = range(1, 4)


def by_client(state: RoundState) -> RoundState:
    """The same, with cut layers that may differ."""
    program = state.system.program
    plans = replace(program.plans, cut_by_client=True)
    return replace(state, system=replace(state.system, program=replace(program, plans=plans)))


def some(seed: int, framework: str, clients: int = 3) -> tuple[RoundState, Decision]:
    """A cell in which clients differ much, and links in it."""
    rng = np.random.default_rng(seed)
    held = rng.integers(0, 4, clients) if framework == "psl" else np.zeros(clients, np.int64)
    hz = 10 ** rng.uniform(7, 10, clients)
    _, state = cell(seed, clients, 5, framework=framework, timeout_s=1e9, client_hz=hz, client_cut_layer=held)
    owner = random_assignment(rng, clients, 5)
    psd = state.system.client_power_max_w / state.subchannel_hz.sum() * rng.uniform(0.1, 1, 5)
    return by_client(state), Decision(1, owner, psd, np.ones(clients, bool), 0.0)


def latencies(state: RoundState, decision: Decision, cuts: list[tuple[int, ...]]) -> np.ndarray:
    """Seconds of the round under each of these cut layers by client."""
    many = state.repeat(len(cuts))
    decisions = Decision.stack([replace(decision, cut_layer=np.array(each)) for each in cuts])
    return round_cost(many, decisions).latency_s


@pytest.mark.parametrize("framework", ["psl", "sfl-v1"])
def test_exact_cuts_are_the_best_of_all(framework: str) -> None:
    every = list(product(CUTS, repeat=3))
    differ = 0
    for seed in range(100):
        state, decision = some(seed, framework)
        found = exact_cuts(cut_costs(state, decision, np.arange(3)))
        seconds = latencies(state, decision, every)
        assert latencies(state, decision, [tuple(found)])[0] == pytest.approx(seconds.min(), rel=1e-9)
        differ += len(set(found.tolist())) > 1
    assert differ > 20


def test_a_round_with_different_cuts_takes_what_the_equation_says() -> None:
    for seed in range(20):
        rng = np.random.default_rng(seed)
        state, decision = some(seed, "psl")
        cuts = rng.integers(1, 4, 3)
        scenario, _ = cell(seed, 3, 5)
        radio, b = scenario.radio, scenario.training.batch_size
        before, after, server = np.zeros(3), np.zeros(3), 0.0
        for i, j in enumerate(cuts):
            own, held = decision.assignment == i, state.client_cut_layer[i]
            gain = state.channel_gain[i, own] / radio.noise_psd_w_per_hz
            up = radio.subchannel_hz * np.log2(1 + decision.power_w_per_hz[own] * gain).sum()
            down = radio.subchannel_hz * np.log2(1 + radio.downlink_psd_w_per_hz * gain).sum()
            fetch = COSTS.model_bits[held:j].sum() if 0 < held < j else 0.0
            give = COSTS.model_bits[j:held].sum() if held > j else 0.0
            of_client, of_server = scenario.clients.cycles_per_flop, scenario.server.cycles_per_flop
            forward, backward = COSTS.forward_flops, COSTS.backward_flops
            bits = b * COSTS.activation_bits[j - 1]
            before[i] = fetch / down + b * of_client * forward[:j].sum() / state.client_hz[i] + (bits + give) / up
            after[i] = bits / down + b * of_client * backward[:j].sum() / state.client_hz[i]
            server += b * of_server * (forward[j:].sum() + backward[j:].sum()) / state.server_hz
        latency = latencies(state, decision, [tuple(cuts)])[0]
        assert latency == pytest.approx(before.max() + server + after.max(), rel=1e-12)


def test_a_model_for_all_is_sent_up_to_the_deepest_cut() -> None:
    state, decision = some(3, "sfl-v1")
    mixed = round_cost(state, replace(decision, cut_layer=np.array([1, 3, 2]))).seconds_by_stage()["model_down"]
    deepest = round_cost(state, replace(decision, cut_layer=3)).seconds_by_stage()["model_down"]
    assert mixed == deepest


def test_equal_cuts_cost_what_the_common_one_does() -> None:
    for framework in ("psl", "sfl-v2", "sl"):
        state, decision = some(5, framework)
        for cut in CUTS:
            one = round_cost(state, replace(decision, cut_layer=cut))
            other = round_cost(state, replace(decision, cut_layer=np.full(3, cut)))
            np.testing.assert_allclose(other.latency_s, one.latency_s, rtol=1e-12)
            np.testing.assert_allclose(other.traffic_bits, one.traffic_bits, rtol=1e-12)
            np.testing.assert_allclose(other.server_energy_j, one.server_energy_j, rtol=1e-12)


@pytest.mark.parametrize("framework", ["psl", "sfl-v1", "sfl-v2", "sl"])
def test_on_demand_no_client_is_later_with_cuts_of_their_own(framework: str) -> None:
    for seed in range(10):
        state, decision = some(seed, framework)
        cuts = np.random.default_rng(seed).integers(1, 4, 3)
        on_demand = replace(state, system=replace(state.system, on_demand=True))
        own = replace(decision, cut_layer=cuts)
        assert round_cost(on_demand, own).latency_s <= round_cost(state, own).latency_s * (1 + 1e-9)


def test_equal_clients_get_a_common_cut() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        one = [np.repeat(rng.uniform(0, 1, (1, 4)), 3, axis=0) for _ in range(3)]
        cuts = exact_cuts(Costs(*one, np.zeros(4)))
        assert len(set(cuts.tolist())) == 1


@pytest.mark.parametrize("framework", ["psl", "sfl-v1", "sl"])
def test_the_descent_with_cuts_of_their_own_is_never_slower(framework: str) -> None:
    faster = 0
    for seed in range(8):
        state, _ = some(seed, framework)
        everybody = np.ones(3, bool)
        common = round_cost(state, descend(state, everybody, 0.0)).latency_s
        own = round_cost(state, descend_cuts(state, everybody, 0.0)).latency_s
        assert own <= common * (1 + 1e-9)
        faster += own < common * 0.999
    # One by one, with fast links, the same cut is best for all.
    assert faster > 0 or framework == "sl"


def test_a_client_that_is_not_selected_keeps_its_units() -> None:
    state, _ = some(1, "psl")
    state = replace(state, client_cut_layer=np.array([3, 2, 1]))
    decision = descend_cuts(state, np.array([True, False, True]), 0.0)
    assert np.ndim(decision.cut_layer) == 0 or decision.cut_layer[1] == 2


def test_expected_latency_is_that_of_the_round() -> None:
    for seed in range(10):
        state, _ = some(seed, "psl")
        cuts = np.random.default_rng(seed).integers(1, 4, 3)
        decision = allocate(state, Plan(cuts, 0.0), np.ones(3, bool))
        np.testing.assert_array_equal(decision.cut_layer, cuts)
        assert round_cost(state, decision).participants.all()
