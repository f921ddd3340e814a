"""Updates of an asynchronous framework over random episodes: what a plain program says, and what is conserved."""

from dataclasses import replace

import numpy as np
import pytest
from plain_updates import Cell

from splitgym import models
from splitgym.allocation import project_power
from splitgym.envs.world import Round, World
from splitgym.frameworks import get
from splitgym.frameworks.program import MIGRATION_ROWS
from splitgym.frameworks.resources import Resource
from splitgym.scenario import build
from splitgym.types import Decision, RoundState
from splitgym.types.flights import IDLE

WIDE = {"subchannel_hz": 2e6, "subchannels": 6}


LATER_MODELS = replace(get("async-sfl"), segments=get("async-psl").segments, learns_as="psl")
"""The phases of `async-sfl` with the surrogate of PSL: what is learnt does not matter for times and bits."""
FRAMEWORKS = {"async-psl": get("async-psl"), "async-sfl": LATER_MODELS}


def world(
    seed: int = 0,
    sharing: str = "static",
    patience_s: float | None = None,
    framework: str = "async-psl",
    **sections: object,
) -> World:
    overrides: dict = {
        "radio": {**WIDE, "sharing": sharing},
        "clients": {"count": 5, "dropout_probability": 0.1},
        "training": {"patience_s": patience_s},
        "plan": {"quorum": "decided"},
        "episode": {"round_timeout_s": 6.0},
    }
    for name, section in sections.items():
        overrides[name] = {**overrides.get(name, {}), **section}
    cell = World(build("iot", overrides), FRAMEWORKS[framework], "surrogate")
    cell.reset([np.random.default_rng(seed)], [0])
    return cell


def random_decision(state: RoundState, rng: np.random.Generator, cut_layer: int | None = None) -> Decision:
    clients, subchannels = state.channel_gain.shape
    psd = rng.uniform(0.2, 1.0, subchannels) * state.system.client_power_max_w / state.subchannel_hz / 2
    decision = Decision(
        cut_layer=int(rng.integers(1, state.system.cut_layers + 1)) if cut_layer is None else cut_layer,
        assignment=rng.integers(-1, clients, subchannels),
        power_w_per_hz=psd,
        selected=rng.random(clients) < 0.8,
        aggregation_ratio=0.0,
        quorum=int(rng.integers(0, clients + 1)),
    )
    return project_power(decision, state)[0]


def play(cell: World, decision: Decision) -> Round:
    return cell.play(decision.batch())


@pytest.mark.parametrize("sharing", ["static", "on-demand"])
@pytest.mark.parametrize(("framework", "patience_s"), [("async-psl", None), ("async-psl", 0.4), ("async-sfl", 0.4)])
def test_a_plain_program_gives_the_same_steps(sharing: str, framework: str, patience_s: float | None) -> None:
    updates = crossing = lost = 0
    for seed in range(4):
        cell, plain = world(seed, sharing, patience_s, framework), Cell(5)
        rng = np.random.default_rng(seed)
        for _ in range(40):
            state = cell.truth.world(0).copy()
            if framework == "async-sfl":
                # Rows with which the server balances labels, for up to a second, before it takes up anything.
                cell._flights.server_left[:] = rng.choice([0.0, rng.uniform(0.0, float(state.server_hz))])
                state = cell.truth.world(0).copy()
            lost += int(np.sum(state.in_flight & ~state.available))
            crossing += int(state.in_flight.sum())
            played = play(cell, random_decision(state, rng))
            cost, expected = played.cost.world(0), plain.step(state, played.decision.world(0))
            assert set(np.flatnonzero(cost.participants).tolist()) == expected.participants
            updates += bool(expected.participants)
            assert cost.latency_s == pytest.approx(expected.latency_s, rel=1e-9, abs=1e-12)
            assert cost.flights.server_left == pytest.approx(expected.server_left, rel=1e-6, abs=10.0)
            assert cost.traffic_bits == pytest.approx(expected.bits, rel=1e-9, abs=1e-3)
            assert cost.migration_bits == pytest.approx(expected.moved_bits, rel=1e-9, abs=1e-3)
            joules = np.array(list(expected.client_j.values()))
            np.testing.assert_allclose(cost.client_energy_j, joules, rtol=1e-9, atol=1e-15)
            if sharing == "static":
                assert cost.server_energy_j == pytest.approx(expected.server_j, rel=1e-9)
    assert updates > 40
    assert crossing > 100
    assert lost > 5


def devices(framework: str, **sections: object) -> World:
    """Five clients of many speeds that drop out, with an MLP that is really trained, and never measured."""
    overrides: dict = {
        "clients": {
            "count": 5,
            "compute_min_hz": 1e5,
            "compute_max_hz": 1e7,
            "compute_spread": "log-uniform",
            "dropout_probability": 0.1,
        },
        "radio": WIDE,
        "task": {"evaluation_samples": 10, "evaluate_every": 1000},
        "plan": {"quorum": "decided"},
        "episode": {"round_timeout_s": 3.0},
    }
    for name, section in sections.items():
        overrides[name] = {**overrides.get(name, {}), **section}
    cell = World(build("toy", overrides), get(framework), "train")
    cell.reset([np.random.default_rng(1)], [0])
    return cell


@pytest.mark.parametrize("sharing", ["static", "on-demand"])
@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_with_clocks_and_bits_of_each_client_s_own_too(framework: str, sharing: str) -> None:
    """A client that is back with few bits may go on with many; a clock is that of a step."""
    plan = {"precisions": [32, 8], "precision": "by-client", "clock": "decided"}
    energy = {"cycles_at_bits": [[32, 1.0], [8, 0.4]]}
    cell = devices(framework, plan={"quorum": "decided", **plan}, clients=energy, radio={**WIDE, "sharing": sharing})
    plain, rng, changed = Cell(5), np.random.default_rng(0), 0
    for _ in range(50):
        state = cell.truth.world(0).copy()
        own = {"clock": rng.uniform(0.2, 1.0, 5), "precision": rng.integers(0, 2, 5)}
        decision = replace(random_decision(state, rng, cut_layer=1), **own)
        played = play(cell, decision)
        cost, expected = played.cost.world(0), plain.step(state, played.decision.world(0))
        held = state.system.program.plans.precision[state.flights.plan]
        np.testing.assert_array_equal(played.decision.precision[0][state.in_flight], held[state.in_flight])
        changed += int(np.sum(played.decision.precision[0] != own["precision"]))
        assert set(np.flatnonzero(cost.participants).tolist()) == expected.participants
        assert cost.latency_s == pytest.approx(expected.latency_s, rel=1e-9, abs=1e-12)
        assert cost.traffic_bits == pytest.approx(expected.bits, rel=1e-9, abs=1e-3)
        np.testing.assert_allclose(cost.client_energy_j, list(expected.client_j.values()), rtol=1e-9, atol=1e-15)
    assert changed >= 4


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_who_lacks_the_memory_never_begins(framework: str) -> None:
    free = devices(framework)
    needs = free.system.program.plans
    limits = {"memory_min_bytes": 1e4, "memory_max_bytes": 1e5}
    cell, rng, refused, began = devices(framework, clients=limits), np.random.default_rng(3), 0, 0
    memory = cell.system.memory
    for _ in range(60):
        state = cell.truth.world(0).copy()
        decision = random_decision(state, rng)
        played = play(cell, decision)
        cut = int(played.decision.cut_layer[0])
        fits = memory.client[needs.index(cut, 0)] <= state.client_memory_bytes
        cost = played.cost.world(0)
        lacks = decision.selected & state.available & ~fits & ~state.in_flight
        np.testing.assert_array_equal(cost.without_memory, lacks)
        assert not np.any(cost.without_memory & (cost.without_subchannel | cost.participants))
        begun = np.isfinite(cost.flights.began_s)
        assert not np.any(begun & lacks)
        refused, began = refused + int(lacks.sum()), began + int(begun.sum())
    assert refused > 10
    assert began > 20


@pytest.mark.parametrize("sharing", ["static", "on-demand"])
def test_a_server_with_memory_for_two_updates_with_two(sharing: str) -> None:
    """To the bit what a quorum of two does, and it does not wait for a third."""
    radio = {"radio": {**WIDE, "sharing": sharing}}
    free = devices("async-psl", **radio)
    memory = models.measure("mlp", (1, 8, 8), 10, "7x7").memory
    limit = float(memory.server_bytes(1, 2 * 8 + 4, 0))
    limited, rng = devices("async-psl", server={"memory_bytes": limit}, **radio), np.random.default_rng(4)
    at_most = 0
    for _ in range(40):
        state = free.truth.world(0).copy()
        wanted = int(rng.integers(2, 6))
        decision = random_decision(state, rng, cut_layer=1)
        ours = play(limited, replace(decision, quorum=wanted)).cost
        theirs = play(free, replace(decision, quorum=2)).cost
        np.testing.assert_array_equal(ours.participants, theirs.participants)
        np.testing.assert_array_equal(ours.latency_s, theirs.latency_s)
        at_most = max(at_most, int(ours.participants.sum()))
    assert at_most == 2


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("sharing", ["static", "on-demand"])
def test_invariants_over_random_steps(sharing: str, framework: str) -> None:
    for seed in range(4):
        cell = world(seed, sharing, patience_s=[None, 0.3][seed % 2], framework=framework)
        rng = np.random.default_rng(seed)
        for _ in range(60):
            state = cell.truth.world(0).copy()
            decision = random_decision(state, rng)
            played = play(cell, decision)
            cost, flights = played.cost.world(0), cell.truth.world(0).flights
            asynchrony = state.system.asynchrony
            assert 0.0 < cost.latency_s < np.inf
            np.testing.assert_allclose(cost.stage_s.sum(), cost.latency_s, rtol=1e-12)
            assert np.all(cost.stage_s >= 0)
            assert np.all((cost.start_s >= 0) & (cost.start_s <= cost.stop_s) & (cost.stop_s <= cost.latency_s + 1e-12))
            assert played.decision.quorum[0] == decision.quorum
            assert not decision.quorum or cost.participants.sum() <= decision.quorum
            # Who took part is on its way back, at the first row of it.
            assert np.all(flights.row[cost.participants] == asynchrony.return_row)
            assert np.all(flights.left >= 0)
            assert np.all((flights.row == IDLE) <= (flights.left == 0))
            assert np.all((flights.waited_s > 0) <= (flights.row == asynchrony.server_row))
            # Who was gone and not on its way back has nothing in flight.
            gone = ~state.available & state.in_flight
            assert np.all(flights.row[gone] == IDLE)
            # Who was back, or began, did so in the step; one that was back is not on its way back any more.
            for moment_s in (flights.returned_s, flights.began_s):
                assert np.all((moment_s >= 0) & ((moment_s <= cost.latency_s) | np.isinf(moment_s)))
            was_returning = state.flights.row >= asynchrony.return_row
            is_returning = (flights.row >= asynchrony.return_row) & ~cost.participants
            np.testing.assert_array_equal(np.isfinite(flights.returned_s), was_returning & ~is_returning)
            began = np.isfinite(flights.began_s)
            assert np.all(decision.selected[began] & state.available[began])
            assert np.all(flights.began_s[began & was_returning] == flights.returned_s[began & was_returning])
            np.testing.assert_array_equal(
                began, (cost.participants | (flights.in_flight(asynchrony))) & (~state.in_flight | gone)
            )
            # In flight is who was before, or was selected and has a subchannel.
            new = ~state.in_flight & cell.truth.world(0).in_flight
            assert np.all(decision.selected[new] & state.available[new])
            server_does_one_thing_at_a_time(cost, asynchrony)


def server_does_one_thing_at_a_time(cost, asynchrony) -> None:
    spans = {
        (float(cost.start_s[row, i]), float(cost.stop_s[row, i]))
        for row in range(asynchrony.server_row, asynchrony.return_row)
        for i in np.flatnonzero(cost.participants)
    }
    now = 0.0
    for start, stop in sorted(spans):
        assert start >= now - 1e-12
        now = stop


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("sharing", ["static", "on-demand"])
def test_bits_and_samples_are_conserved(sharing: str, framework: str) -> None:
    cell = world(3, sharing, framework=framework, clients={"dropout_probability": 0.0})
    rng, bits, delivered = np.random.default_rng(3), 0.0, 0
    for _ in range(60):
        played = play(cell, random_decision(cell.truth.world(0), rng, cut_layer=2))
        bits += float(played.cost.traffic_bits[0])
        delivered += int(played.cost.participants.sum())
    state = cell.truth.world(0)
    program, flights, asynchrony = state.system.program, state.flights, state.system.asynchrony
    work, sends = (
        program.work[program.plans.index(2, 0)],
        np.isin(program.resource, (Resource.UPLINK, Resource.UNICAST)),
    )
    whole, open_bits = float(work[sends].sum()), 0.0
    for row, left in zip(flights.row.tolist(), flights.left.tolist(), strict=True):
        phase = row - MIGRATION_ROWS
        ahead = float(work[sends & (np.arange(len(work)) > phase)].sum()) + (left if phase >= 0 and sends[phase] else 0)
        # Delivered mini-batches owe what is left; the others have sent the rest.
        open_bits += -ahead if row >= asynchrony.return_row else whole - ahead if row >= 0 else 0.0
    assert bits == pytest.approx(delivered * whole + open_bits, rel=1e-9)
    assert delivered == state.experience.sum()


def equal_clients(clients: int = 3, **training: object) -> World:
    """The preset `toy`, in which all clients are equal, with a subchannel for each."""
    overrides = {"clients": {"count": clients}, "radio": {"subchannels": clients}, "training": training}
    cell = World(build("toy", overrides), get("async-psl"), "train")
    cell.reset([np.random.default_rng(0)], [0])
    return cell


def everybody(state: RoundState) -> Decision:
    clients = len(state.available)
    watts = min(1.0, 2.0 / clients)
    return Decision(1, np.arange(clients), np.full(clients, watts * 1e-6), np.ones(clients, bool), 0.0)


@pytest.mark.parametrize(("quorum", "order"), [(1, [{0}, {1}, {2}, {0}, {1}]), (2, [{0, 1}, {2, 0}, {1, 0}, {2, 0}])])
def test_of_clients_that_are_there_at_once_the_lowest_indices_are_first(quorum: int, order: list[set[int]]) -> None:
    cell = equal_clients(quorum=quorum)
    taken = [play(cell, everybody(cell.truth.world(0))).cost.participants[0] for _ in order]
    assert [set(np.flatnonzero(each).tolist()) for each in taken] == order


def test_steps_of_the_toy_counted_by_hand() -> None:
    """Numbers of test_on_demand_toy: 8.192 ms up at 1 Mbit/s and down, 32.768 ms forward and backward."""
    cell = equal_clients(clients=2, quorum=1)
    pass_s, air_s, server_s = 0.032768, 8192 / 1e6, 0.0010752 + 0.0021504
    first, second, third = (play(cell, everybody(cell.truth.world(0))).cost.world(0) for _ in range(3))
    assert first.latency_s == pytest.approx(pass_s + air_s + server_s, rel=1e-12)
    assert second.latency_s == pytest.approx(server_s, rel=1e-12)
    # Client 0 got its gradients while the server worked for client 1.
    assert third.latency_s == pytest.approx(air_s + 2 * pass_s + air_s, rel=1e-12)
    assert third.seconds_by_stage() == pytest.approx(
        {
            "migration": 0.0,
            "unicast": air_s - server_s,
            "client_bp": pass_s,
            "client_fp": pass_s,
            "uplink": air_s,
            "server_fp": 0.0010752,
            "server_bp": 0.0021504,
        }
    )
    assert first.traffic_bits == 2 * 8192


def test_with_all_clients_equal_a_quorum_of_all_takes_the_seconds_of_psl() -> None:
    cell = equal_clients()
    psl = World(cell.scenario, get("psl"), "train")
    psl.reset([np.random.default_rng(0)], [0])
    decision = everybody(cell.truth.world(0))
    ours, theirs = ([float(play(w, decision).cost.latency_s[0]) for _ in range(4)] for w in (cell, psl))
    way_back = 8192 / 1e6 + 0.032768
    # Gradients are on their way at the end of a step, and the clients go on without a barrier.
    assert sum(ours) + way_back == pytest.approx(sum(theirs), rel=1e-12)
    assert ours[1:] == pytest.approx(theirs[1:], rel=1e-12)


def test_clients_that_differ_wait_once_and_not_twice_in_a_round() -> None:
    still = {"dropout_probability": 0.0, "load_max": 0.0}
    near = {"radius_m": 120.0, "shadowing": False}
    cell = world(1, clients=still, cell=near, radio={"fading": "none"}, episode={"round_timeout_s": 1e3})
    system = cell.system
    psd = np.array([0.1, 0.4, 0.2, 0.3, 0.15, 0.05]) * system.client_power_max_w / 2e6
    decision = Decision(1, np.array([0, 1, 2, 3, 4, 0]), psd, np.ones(5, bool), 0.0)
    psl = World(cell.scenario, get("psl"), "surrogate")
    psl.reset([np.random.default_rng(1)], [0])
    theirs = play(psl, decision).cost.world(0)
    assert theirs.participants.all()
    seconds = {
        name: stop - start for name, start, stop in zip(theirs.stages, theirs.start_s, theirs.stop_s, strict=True)
    }
    there, back = seconds["client_fp"] + seconds["uplink"], seconds["unicast"] + seconds["client_bp"]
    server = theirs.seconds_by_stage()["server_fp"] + theirs.seconds_by_stage()["server_bp"]
    first, second = (float(play(cell, decision).cost.latency_s[0]) for _ in range(2))
    assert first == pytest.approx(there.max() + server, rel=1e-9)
    assert second == pytest.approx((back + there).max() + server, rel=1e-9)
    assert second <= theirs.latency_s * (1 + 1e-12)
