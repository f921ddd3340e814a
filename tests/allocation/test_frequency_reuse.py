"""Stations that all use the same subchannels: rates by hand, limit cases, and allocation with interference as noise."""

from dataclasses import replace
from itertools import product
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from agreement import assert_vector_agrees
from small_cells import cell, check_budgets

from splitgym import schedulers
from splitgym.allocation import allocate, descent, exact
from splitgym.allocation.baselines.allocators import (
    assign_evenly,
    at_random,
    in_index_order,
    proportional_fair,
    round_robin,
    strongest_signal,
)
from splitgym.allocation.descent.descent import descent_in_noise
from splitgym.allocation.own_station import at_own_station, owners_named
from splitgym.envs.reused_band import NO_GAIN
from splitgym.envs.system import system_of
from splitgym.frameworks import get
from splitgym.frameworks.resources import Resource
from splitgym.scenario import ScenarioError, build
from splitgym.timing import round_cost
from splitgym.types import Decision, Plan, RoundState

STATIONS = [
    {"name": "west", "position_m": (-200.0, 0.0), "node": "server"},
    {"name": "east", "position_m": (200.0, 0.0)},
    {"name": "north", "position_m": (0.0, 300.0)},
]
WIRES = [
    {"name": "first", "ends": ("west", "east"), "bits_per_s": 1e9},
    {"name": "second", "ends": ("west", "north"), "bits_per_s": 1e9},
]
UNIVERSAL = {"frequency_reuse": "universal"}


def reused(
    seed: int, clients: int = 4, subchannels: int = 2, count: int = 2, cross: float = 1e-13, framework: str = "psl"
) -> RoundState:
    """A cell whose clients belong to stations at random, as many to each, with mean gains around `cross` to others."""
    rng = np.random.default_rng(seed)
    scenario, state = cell(seed, clients, subchannels * count, framework=framework, timeout_s=1e9)
    sections = {"stations": STATIONS[:count], "links": WIRES[: count - 1]}
    radio = {**scenario.radio.model_dump(), **UNIVERSAL, "subchannels": subchannels}
    scenario = build(scenario.model_dump() | sections | {"radio": radio})
    station = rng.permutation(np.arange(clients) % count)
    away = np.repeat(np.arange(count), subchannels) != station[:, None]
    return replace(
        state,
        system=system_of(scenario, get(framework)),
        station=station,
        channel_gain=np.where(away, NO_GAIN, state.channel_gain),
        station_gain=cross * 10 ** rng.uniform(-1, 1, (clients, count)),
        uplink_interference=np.zeros(subchannels * count),
        downlink_interference=np.zeros((clients, subchannels * count)),
    )


def moved(state: RoundState, *station: int) -> RoundState:
    """The state with clients at these stations, with other gains."""
    band, at = state.system.subchannels, np.array(station)
    of_band = np.arange(band) // (band // state.system.stations_on_a_subchannel)
    gain = 10 ** (-12 + np.random.default_rng(7).uniform(-1, 1, (len(at), band)))
    return replace(state, station=at, channel_gain=np.where(of_band != at[:, None], NO_GAIN, gain))


def drawn_decision(seed: int, state: RoundState) -> Decision:
    """Owners at their own stations, or none, each client with something; powers within the budgets."""
    rng = np.random.default_rng([seed, 1])
    band, count = state.system.subchannels, state.system.stations_on_a_subchannel
    at_station = np.arange(band) // (band // count)
    owner = np.array([rng.choice([-1, *np.flatnonzero(state.station == s)]) for s in at_station])
    psd = rng.uniform(0.1, 1.0, band) * state.system.client_power_max_w / state.subchannel_hz.sum()
    return Decision(1, owner, psd, np.isin(np.arange(len(state.station)), owner), 0.0)


def plain_rates(state: RoundState, decision: Decision) -> tuple[dict[int, float], dict[int, float]]:
    """Uplink and downlink of each owner, bits/s, term by term."""
    system, owner, psd = state.system, decision.assignment.tolist(), decision.power_w_per_hz
    count = system.stations_on_a_subchannel
    each = len(owner) // count
    up, down = dict.fromkeys(set(owner) - {-1}, 0.0), dict.fromkeys(set(owner) - {-1}, 0.0)
    for s, m in product(range(count), range(each)):
        i, k = owner[s * each + m], s * each + m
        if i < 0:
            continue
        others = [t for t in range(count) if t != s and owner[t * each + m] >= 0]
        at_station = sum(psd[t * each + m] * state.station_gain[owner[t * each + m], s] for t in others)
        at_client = sum(system.downlink_psd_w_per_hz * state.station_gain[i, t] for t in others)
        gain, noise = state.channel_gain[i, k], system.noise_psd_w_per_hz
        up[i] += state.subchannel_hz[k] * np.log2(1 + psd[k] * gain / (noise + at_station))
        down[i] += state.subchannel_hz[k] * np.log2(1 + system.downlink_psd_w_per_hz * gain / (noise + at_client))
    return up, down


def played_rates(state: RoundState, decision: Decision) -> tuple[dict[int, float], dict[int, float]]:
    """Bits over seconds of the round's timeline, without wires."""
    free = replace(state, wired_s_per_bit=np.zeros_like(state.wired_s_per_bit))
    cost, program = round_cost(free, decision), state.system.program
    found: list[dict[int, float]] = []
    for kind in (Resource.UPLINK, Resource.UNICAST):
        phase = int(np.flatnonzero(program.resource == kind)[0])
        bits = program.work[int(decision.plan.indices(state)[0]), phase]
        seconds = cost.stop_s[2 + phase] - cost.start_s[2 + phase]
        found.append({i: bits / seconds[i] for i in np.flatnonzero(cost.participants).tolist()})
    return found[0], found[1]


def interfered(state: RoundState, uplink: Any, downlink: Any) -> RoundState:
    return replace(state, uplink_interference=uplink, downlink_interference=downlink)


def test_two_stations_and_two_clients_by_hand() -> None:
    """One subchannel of 1 MHz at each, 1e-8 W/Hz up and 1e-9 down, noise as strong as what comes from the other."""
    state = reused(0, clients=2, subchannels=1)
    system = replace(state.system, noise_psd_w_per_hz=1e-20, downlink_psd_w_per_hz=1e-9)
    state = replace(
        state,
        system=system,
        station=np.array([0, 1]),
        subchannel_hz=np.full(2, 1e6),
        channel_gain=np.array([[6e-12, NO_GAIN], [NO_GAIN, 2e-12]]),
        station_gain=np.array([[9.0, 1e-12], [3e-12, 9.0]]),
    )
    decision = Decision(1, np.array([0, 1]), np.full(2, 1e-8), np.ones(2, bool), 0.0)
    up, down = played_rates(state, decision)
    # Client 0: 6e-20 over 1e-20 and 3e-20 from client 1; client 1: 2e-20 over 1e-20 and 1e-20 from client 0.
    assert up == pytest.approx({0: 1e6 * np.log2(1 + 6 / 4), 1: 1e6 * np.log2(1 + 2 / 2)}, rel=1e-9)
    # 6e-21 over 1e-20 and 1e-21 from the other station; 2e-21 over 1e-20 and 3e-21.
    assert down == pytest.approx({0: 1e6 * np.log2(1 + 6 / 11), 1: 1e6 * np.log2(1 + 2 / 13)}, rel=1e-9)


@pytest.mark.parametrize("seed", range(12))
def test_rates_are_those_of_a_plain_program(seed: int) -> None:
    state = reused(seed, clients=6, subchannels=3, count=2 + seed % 2, cross=10.0 ** -(11 + seed % 4))
    decision = drawn_decision(seed, state)
    for played, plain in zip(played_rates(state, decision), plain_rates(state, decision), strict=True):
        assert played == pytest.approx(plain, rel=1e-9)


@pytest.mark.parametrize("seed", range(6))
def test_stations_that_nobody_hears_are_cells_of_their_own(seed: int) -> None:
    """Without gains between them every client has the links of a cell with its station alone."""
    state = reused(seed, clients=6, subchannels=3, cross=0.0)
    decision = drawn_decision(seed, state)
    together = played_rates(state, decision)
    _, alone = cell(seed, 6, 3, framework="psl", timeout_s=1e9)
    for s in range(2):
        own = slice(3 * s, 3 * s + 3)
        of_station = replace(alone, channel_gain=state.channel_gain[:, own], subchannel_hz=state.subchannel_hz[own])
        owner = decision.assignment[own]
        selected = np.isin(np.arange(6), owner)
        part = Decision(1, owner, decision.power_w_per_hz[own], selected, 0.0)
        for of_all, of_one in zip(together, played_rates(of_station, part), strict=True):
            for i, rate in of_one.items():
                assert rate == pytest.approx(of_all[i], rel=1e-9)


@pytest.mark.parametrize("seed", range(6))
def test_more_interference_never_makes_a_round_shorter(seed: int) -> None:
    state = reused(seed, clients=6, subchannels=3)
    decision, before = drawn_decision(seed, state), 0.0
    for factor in (0.0, 1.0, 10.0, 100.0):
        louder = replace(state, station_gain=factor * state.station_gain)
        latency_s = round_cost(louder, decision).latency_s
        assert latency_s >= before
        before = latency_s


@pytest.mark.parametrize("seed", range(6))
def test_descents_take_interference_as_noise(seed: int) -> None:
    """Where up- and downlink are interfered with alike it is a weaker channel, of one band without stations."""
    state = reused(seed, clients=4, subchannels=3)
    rng, noise = np.random.default_rng(seed), state.system.noise_psd_w_per_hz
    heard = noise * 10 ** rng.uniform(-1, 2, 6)
    noisy = interfered(state, heard, np.tile(heard, (4, 1)))
    _, plain = cell(seed, 4, 6, framework="psl", timeout_s=1e9)
    weak = replace(plain, channel_gain=state.channel_gain * noise / (noise + heard))
    open_plan = Plan(None, 0.0, None)
    found, expected = (descent_in_noise(each, np.ones(4, bool), open_plan) for each in (noisy, weak))
    assert found.latency_s == pytest.approx(expected.latency_s, rel=1e-9)
    np.testing.assert_array_equal(found.decision.assignment, expected.decision.assignment)


@pytest.mark.parametrize("seed", range(5))
def test_no_owners_at_their_own_stations_end_earlier_than_the_best(seed: int) -> None:
    """All of them, each with exact powers, with interference that up- and downlink hear apart."""
    state, rng = reused(seed, clients=3, subchannels=2), np.random.default_rng(seed)
    noise = state.system.noise_psd_w_per_hz
    state = interfered(state, noise * rng.uniform(0, 9, 4), noise * rng.uniform(0, 9, (3, 4)))
    everybody = np.ones(3, bool)
    choices = [np.flatnonzero(state.station == s).tolist() for s in (0, 0, 1, 1)]
    latencies = [
        descent_in_noise(state, everybody, Plan(1), assignment=np.array(owner)).latency_s
        for owner in product(*choices)
        if set(owner) == {0, 1, 2}
    ]
    found = descent_in_noise(state, everybody, Plan(1))
    assert found.latency_s >= min(latencies) * (1 - 1e-9)
    assert found.latency_s <= min(latencies) * 1.02
    assert (state.station[found.decision.assignment] == [0, 0, 1, 1]).all()
    assert exact(state, everybody, 0.0).latency_s <= min(latencies) * (1 + 1e-6)


@pytest.mark.parametrize("seed", range(6))
def test_with_the_interference_of_its_own_decision_a_descent_expects_what_the_round_takes(seed: int) -> None:
    state = reused(seed, clients=4, subchannels=3)
    owner = allocate(state, Plan(1), np.ones(4, bool)).assignment
    decision = descent(state, np.ones(4, bool), 0.0, cut_layer=1, assignment=owner, power="even").decision
    uplink, downlink = np.zeros(6), np.zeros((4, 6))
    for k in range(6):
        other = (k + 3) % 6
        uplink[k] = decision.power_w_per_hz[other] * state.station_gain[owner[other], k // 3]
        downlink[:, k] = state.system.downlink_psd_w_per_hz * state.station_gain[:, other // 3]
    known = interfered(state, uplink, downlink)
    found = descent(known, np.ones(4, bool), 0.0, cut_layer=1, assignment=owner, power="even")
    np.testing.assert_array_equal(found.decision.power_w_per_hz, decision.power_w_per_hz)
    assert found.latency_s == pytest.approx(round_cost(state, decision).latency_s, rel=1e-9)


@pytest.mark.parametrize("seed", range(4))
def test_a_descent_expects_what_its_round_takes_and_is_no_worse_than_one_that_knows_of_no_interference(
    seed: int,
) -> None:
    state = reused(seed, clients=6, subchannels=3, cross=1e-12)
    found, blind = (
        descent(state, np.ones(6, bool), 0.0),
        descent_in_noise(state, np.ones(6, bool), Plan(None, 0.0, None)),
    )
    assert found.latency_s == round_cost(state, found.decision).latency_s
    assert found.latency_s <= round_cost(state, blind.decision).latency_s
    # Nor than in cells that are coordinated, where fewer clients may be served.
    apart = descent(state.coordinated(), np.ones(6, bool), 0.0)
    assert (-found.participants, found.latency_s) <= (-apart.participants, apart.latency_s * (1 + 1e-9))


@pytest.mark.parametrize("seed", range(4))
def test_where_everybody_hears_everybody_each_subchannel_is_used_once(seed: int) -> None:
    """What comes from others is then thousands of times as strong as what is one's own."""
    state = reused(seed, clients=4, subchannels=4, cross=1e-6)
    found, apart = (descent(each, np.ones(4, bool), 0.0) for each in (state, state.coordinated()))
    owner = found.decision.assignment.reshape(2, 4)
    assert ((owner >= 0).sum(0) <= 1).all()
    assert found.latency_s == pytest.approx(apart.latency_s, rel=1e-9)


def test_descents_of_several_worlds_are_those_of_each() -> None:
    states = [reused(seed, clients=4, subchannels=2, cross=1e-12) for seed in range(4)]
    arrays = {
        name: np.stack([getattr(state, name) for state in states])
        for name in vars(states[0])
        if name not in ("system", "flights")
    }
    batch = RoundState(**arrays, system=states[0].system)
    together = descent(batch, np.ones((4, 4), bool), 0.0)
    for n in range(4):
        alone = descent(replace(states[n], system=states[0].system), np.ones(4, bool), 0.0)
        assert together.latency_s[n] == alone.latency_s
        np.testing.assert_array_equal(together.decision.assignment[n], alone.decision.assignment)
        np.testing.assert_array_equal(together.decision.power_w_per_hz[n], alone.decision.power_w_per_hz)


@pytest.mark.parametrize("seed", range(6))
def test_with_more_clients_than_subchannels_at_a_station_the_others_are_left_out(seed: int) -> None:
    """Seven clients at one station with two subchannels, one at the other, none at the third."""
    state = moved(reused(seed, clients=8, subchannels=2, count=3, cross=1e-14), *[0] * 7, 1)
    best = np.argsort(-state.channel_gain[:7, :2].mean(1))[:2]
    for given in ({}, {"cut_layer": 1}, {"cut_layer": 1, "power": "even"}):
        found = descent(state, np.ones(8, bool), 0.0, **given)
        owners = set(found.decision.assignment[found.decision.assignment >= 0].tolist())
        assert owners == {*best.tolist(), 7}
        assert found.participants == 3
        assert found.decision.selected.all()
        assert (found.decision.assignment[4:] == -1).all()
        assert found.latency_s == round_cost(state, found.decision).latency_s
        check_budgets(state, found.decision)


@pytest.mark.parametrize("seed", range(3))
def test_where_one_station_has_all_clients_it_is_a_cell_of_its_own(seed: int) -> None:
    """Whatever was sent before: nobody else sends now."""
    state = moved(reused(seed, clients=3, subchannels=3), 1, 1, 1)
    state = interfered(state, np.full(6, 1e-15), np.full((3, 6), 1e-15))
    found, alone = (descent(each, np.ones(3, bool), 0.0) for each in (state, state.coordinated()))
    assert (found.decision.assignment[:3] == -1).all()
    np.testing.assert_array_equal(found.decision.assignment[3:], alone.decision.assignment)
    assert found.latency_s == pytest.approx(alone.latency_s, rel=1e-9)
    assert found.latency_s == round_cost(state, found.decision).latency_s


def test_nobody_uses_subchannels_of_another_station() -> None:
    state = replace(reused(0, clients=2, subchannels=2), station=np.array([0, 1]))
    decision = Decision(1, np.array([0, 1, 0, 1]), np.full(4, 1e-8), np.ones(2, bool), 0.0)
    legal = at_own_station(decision, state)
    assert legal.assignment.tolist() == [0, -1, -1, 1]
    assert legal.power_w_per_hz.tolist() == [1e-8, 0, 0, 1e-8]
    assert at_own_station(legal, state) is legal


DEALERS = {
    "in turn": in_index_order,
    "round robin": round_robin,
    "signal": strongest_signal,
    "fair": proportional_fair,
    "random": lambda state, selected: at_random(state, selected, np.random.default_rng(0)),
}


@pytest.mark.parametrize("rule", DEALERS)
@pytest.mark.parametrize("seed", range(3))
def test_simple_rules_deal_the_band_of_each_station_among_its_clients(seed: int, rule: str) -> None:
    state = moved(reused(seed, clients=7, subchannels=4, count=3), 0, 0, 0, 1, 1, 0, 1)
    selected = np.array([True, True, False, True, True, True, False])
    owner = DEALERS[rule](state, selected).reshape(3, 4)
    assert [set(row.tolist()) for row in owner] == [{0, 1, 5}, {3, 4}, {-1}]
    decision = assign_evenly(state, Plan(1), selected, DEALERS[rule])
    assert at_own_station(decision, state) is decision
    check_budgets(state, decision)


@pytest.mark.parametrize("rule", ["in turn", "round robin", "signal", "fair"])
def test_simple_rules_do_at_a_station_what_they_do_in_a_cell_of_its_clients(rule: str) -> None:
    """Budgets of all together do not bind, so what is elsewhere says nothing of a station."""
    state = reused(3, clients=6, subchannels=4)
    state = replace(state, system=replace(state.system, total_power_max_w=1e9), round=np.array(5))
    _, cell_alone = cell(3, 6, 4, framework="psl", timeout_s=1e9)
    owner = DEALERS[rule](state, np.ones(6, bool)).reshape(2, 4)
    for s in range(2):
        own = slice(4 * s, 4 * s + 4)
        alone = replace(
            cell_alone,
            system=replace(cell_alone.system, total_power_max_w=1e9),
            channel_gain=np.ascontiguousarray(state.channel_gain[:, own]),
            subchannel_hz=state.subchannel_hz[own],
            round=np.array(5),
        )
        np.testing.assert_array_equal(owner[s], DEALERS[rule](alone, state.station == s))


def test_an_owner_that_is_elsewhere_stands_for_the_next_client_of_the_station() -> None:
    """Clients 1 and 4 are at the first station, 0, 2 and 3 at the second, of which 2 is away; nobody at the third."""
    state = replace(reused(0, clients=5, subchannels=4, count=3), station=np.array([1, 0, 1, 1, 0]))
    state = replace(state, available=np.array([True, True, False, True, True])).batch()
    named = np.array([[0, 1, 2, -1, 0, 1, 2, 4, 0, 1, 2, 3]])
    assert owners_named(named, state).tolist() == [[1, 1, 4, -1, 0, 3, 3, 0, -1, -1, -1, -1]]
    np.testing.assert_array_equal(owners_named(named[:, :4], state.coordinated()), named[:, :4])


def test_gains_are_means_over_the_own_band() -> None:
    state = reused(0, clients=4, subchannels=3)
    own = [state.channel_gain[i].reshape(2, 3)[state.station[i]].mean() for i in range(4)]
    assert state.mean_gain == pytest.approx(own, rel=1e-12)


# The environment ---------------------------------------------------------------------------------------------------


def made(
    action: str = "schedule", framework: str = "psl", radio: Any = None, scenario: Any = "iot", **given: Any
) -> Any:
    sections = {"stations": STATIONS, "links": WIRES} | given
    env = gym.make(
        "SplitLearning-v0",
        scenario=scenario,
        framework=framework,
        learner="surrogate",
        action=action,
        disable_env_checker=True,
        radio={"subchannels": 6, **(UNIVERSAL if radio is None else radio)},
        **sections,
    )
    return env.unwrapped


@pytest.mark.parametrize("action", ["discrete", "continuous", "schedule", "priority"])
def test_rounds_are_played_with_what_interferes_and_leave_it_for_the_next(action: str) -> None:
    env = made(action)
    env.reset(seed=3)
    env.action_space.seed(3)
    assert not env.state.uplink_interference.any()
    assert env.state.channel_gain.shape[-1] == 18
    interference = False
    for _ in range(4):
        seen, _, terminated, truncated, info = env.step(env.action_space.sample())
        assert ((seen >= 0) & (seen <= 1)).all()
        assert np.isfinite(info["round_latency_s"])
        if terminated or truncated:
            break
        decision, state = env.played, env.state
        sends = (decision.assignment >= 0) & decision.selected[np.maximum(decision.assignment, 0)]
        for k in range(18):
            others = [o for o in range(k % 6, 18, 6) if o != k and sends[o]]
            heard = sum(decision.power_w_per_hz[o] * state.station_gain[decision.assignment[o], k // 6] for o in others)
            assert state.uplink_interference[k] == pytest.approx(heard, rel=1e-9)
        interference |= state.uplink_interference.any()
        shown = [
            env.observe()[env.observation_names.index(f"interference[{i}]")] for i in range(env.scenario.clients.count)
        ]
        heard = state.uplink_interference.reshape(3, 6)
        share = (heard / (heard + state.system.noise_psd_w_per_hz)).mean(1)
        np.testing.assert_allclose(shown, state.present * share[state.station], rtol=1e-5)
    assert interference


@pytest.mark.parametrize("action", ["discrete", "continuous"])
def test_encodings_give_every_station_with_selected_clients_its_band(action: str) -> None:
    """Everybody is selected, and no owner is C, unused."""
    env, used = made(action), 0
    env.reset(seed=4)
    env.action_space.seed(4)
    for _ in range(4):
        said = env.action_space.sample()
        for place, name in enumerate(env.action_space.names):
            if name.startswith("selected"):
                said[place] = 1
            if name.startswith("assignment"):
                said[place] %= env.scenario.clients.count
        before = env.state
        if env.step(said)[2]:
            break
        owner = env.played.assignment
        assert (before.station[owner[owner >= 0]] == np.arange(18)[owner >= 0] // 6).all()
        with_clients = np.isin(np.arange(18) // 6, before.station[before.available])
        assert ((owner >= 0) == with_clients).all()
        used += with_clients.sum()
    assert used


def test_channels_and_wires_look_as_with_coordinated_stations() -> None:
    """The band of a station is that of all of them otherwise; so an agent sees the same of both."""
    shown = []
    for radio in (UNIVERSAL, {}):
        env = made(radio=radio)
        seen, _ = env.reset(seed=2)
        shown.append(
            [seen[k] for k, name in enumerate(env.observation_names) if name.split("[")[0] in ("channel", "wired")]
        )
    assert len(shown[0]) == 2 * env.scenario.clients.count
    np.testing.assert_allclose(shown[0], shown[1], rtol=1e-6)


@pytest.mark.parametrize("action", ["schedule", "discrete", "continuous"])
def test_vector_environments_agree_to_the_bit_where_stations_interfere(action: str) -> None:
    given = {"scenario": "iot", "framework": "psl", "learner": "surrogate", "action": action}
    sections = {"stations": STATIONS, "links": WIRES, "radio": {"subchannels": 6, **UNIVERSAL}}
    sections |= {"episode": {"stop_at_target": False, "max_rounds": 100, "time_budget_s": 1e8}}
    assert_vector_agrees(3, 6, ("round_latency_s", "traffic_bits", "server_energy_j"), **given, **sections)


@pytest.mark.parametrize("stations", [STATIONS[:1], []])
def test_with_one_station_it_is_the_cell_of_before_to_the_bit(stations: Any) -> None:
    one, other = (made("discrete", radio=radio, stations=stations, links=[]) for radio in (UNIVERSAL, {}))
    assert one.observation_space == other.observation_space
    np.testing.assert_array_equal(one.reset(seed=1)[0], other.reset(seed=1)[0])
    one.action_space.seed(1)
    for _ in range(5):
        action = one.action_space.sample()
        (seen, reward, *_, info), (theirs, their_reward, *_, their_info) = one.step(action), other.step(action)
        np.testing.assert_array_equal(seen, theirs)
        assert reward == their_reward
        assert info["round_latency_s"] == their_info["round_latency_s"]


def test_rules_play_on_a_road() -> None:
    env = gym.make(
        "SplitLearning-v0",
        scenario="highway",
        framework="multi-hop",
        learner="surrogate",
        radio=UNIVERSAL,
        disable_env_checker=True,
    ).unwrapped
    env.reset(seed=0)
    rule = schedulers.make("greedy", env)
    for _ in range(3):
        info = env.play(rule.decide(env.state))[-1]
        assert info["participants"].any()


@pytest.mark.parametrize("framework", ["sl", "cpsl", "async-psl"])
def test_frameworks_whose_clients_do_not_send_side_by_side_are_refused(framework: str) -> None:
    with pytest.raises(ScenarioError, match=r"radio.frequency_reuse = 'universal' with framework .*, allowed: 'coor"):
        system_of(build("iot", {"stations": STATIONS, "links": WIRES, "radio": UNIVERSAL}), get(framework))


def test_parts_of_a_cell_are_refused() -> None:
    with pytest.raises(ScenarioError, match=r"radio.frequency_reuse = 'universal' in a part of a cell, allowed: 'coor"):
        made().restrict(np.array([0, 1]), 1e9)
