"""Clocks of clients: what they cost, and the slowest that make nobody wait longer, against plain bisection."""

from dataclasses import replace

import gymnasium as gym
import numpy as np
import pytest
from agreement import assert_vector_agrees
from synchronous import SYNCHRONOUS

from splitgym import data, models, schedulers
from splitgym.allocation import descend, equal_shares, slack_clock
from splitgym.allocation.legalise import legalise_unchecked
from splitgym.envs.system import system_of
from splitgym.frameworks import get
from splitgym.network import Network
from splitgym.random import Streams
from splitgym.scenario import ScenarioError, build
from splitgym.timing import round_cost
from splitgym.types import Plan, RoundState

BOTH = np.ones(2, bool)
CLIENTS = 4
ENCODINGS = ("discrete", "continuous", "schedule", "priority")


def made(**arguments):
    arguments = {"scenario": "toy", "framework": "psl", "action": "schedule", "disable_env_checker": True, **arguments}
    return gym.make("SplitLearning-v0", **arguments).unwrapped


def random_state(framework: str, seed: int, **fields: object) -> RoundState:
    """A cell of `iot` in which clients with models of their own hold parts of the network already."""
    scenario = build("iot", {"clients": {"count": CLIENTS}, **fields})
    costs = models.measure("cnn", *data.dimensions("digits"), "7x7")
    network, streams = Network(scenario), Streams.empty(1)
    rng = np.random.default_rng(seed)
    streams.begin_episodes(np.arange(1), [rng])
    network.reset(streams)
    own_models = framework in ("psl", "epsl", "psl-drop", "epsl-pt", "hierarchical")
    held = rng.integers(0, 4, CLIENTS) if own_models else np.zeros(CLIENTS, np.int64)
    return RoundState(
        channel_gain=network.channel_gain[0],
        client_hz=network.client_hz[0],
        server_hz=scenario.server.compute_hz,
        present=network.present[0],
        data_share=np.full(CLIENTS, 1 / CLIENTS),
        class_share=np.full((CLIENTS, 10), 0.1),
        client_loss=np.ones(CLIENTS),
        accuracy=0.1,
        round=3,
        elapsed_s=1.0,
        cut_layer=int(held.max()),
        client_cut_layer=held,
        available=network.available[0],
        participated=np.ones(CLIENTS, bool),
        absence=np.zeros(CLIENTS),
        experience=np.ones(CLIENTS),
        last_aggregation_ratio=0.0,
        last_latency_s=1.0,
        subchannel_hz=network.subchannel_hz[0],
        system=system_of(scenario, get(framework), costs),
    )


def test_by_hand():
    """Client 1 is twice as fast and has the same links: at half its clock it ends with the other, everywhere."""
    env = made()
    env.reset(seed=0)
    state = replace(env.state, client_hz=np.array([1e6, 2e6]))
    decision = equal_shares(state, Plan(1, 0.0), BOTH)
    slow = slack_clock(state, decision)
    np.testing.assert_allclose(slow.clock, [1.0, 0.5], rtol=1e-9)
    before, after = round_cost(state, decision), round_cost(state, slow)
    assert after.latency_s == pytest.approx(before.latency_s, rel=1e-12)
    # Half the clock: as fast as the other client, which spends as much on its radio.
    assert after.client_energy_j[1] == pytest.approx(after.client_energy_j[0], rel=1e-9)
    assert after.client_energy_j[1] < before.client_energy_j[1]


@pytest.mark.parametrize("sharing", ["static", "on-demand"])
@pytest.mark.parametrize("framework", SYNCHRONOUS)
def test_a_clock_is_a_slower_client_that_spends_less(framework, sharing):
    state = random_state(framework, 0, radio={"sharing": sharing})
    decision = equal_shares(state, Plan(2, 0.0), np.ones(CLIENTS, bool))
    clock = np.array([0.25, 1.0, 0.5, 0.9])
    cost = round_cost(state, replace(decision, clock=clock))
    slower = round_cost(replace(state, client_hz=state.client_hz * clock), decision)
    for field in ("latency_s", "participants", "start_s", "stop_s", "client_energy_j", "server_energy_j"):
        np.testing.assert_array_equal(getattr(cost, field), getattr(slower, field))
    # One number is that of all clients.
    one, each = (round_cost(state, replace(decision, clock=x)) for x in (0.5, np.full(CLIENTS, 0.5)))
    assert one.latency_s == each.latency_s
    np.testing.assert_array_equal(one.client_energy_j, each.client_energy_j)


def slowest_by_bisection(state, decision, client):
    """The slowest clock of a client, all others at full speed, with which the round ends no later with all of them."""
    whole = round_cost(state, decision)

    def fits(x):
        clock = np.ones(CLIENTS)
        clock[client] = x
        cost = round_cost(state, replace(decision, clock=clock))
        as_many = np.array_equal(cost.participants, whole.participants)
        return as_many and cost.latency_s <= whole.latency_s * (1 + 1e-11)

    low, high = 1e-9, 1.0
    for _ in range(45):
        middle = (low + high) / 2
        low, high = (low, middle) if fits(middle) else (middle, high)
    return high


@pytest.mark.parametrize("framework", SYNCHRONOUS)
def test_clocks_are_those_of_plain_bisection(framework):
    lowered = 0
    for seed in range(3):
        state = random_state(framework, seed, training={"clusters": 2})
        everybody = np.ones(CLIENTS, bool)
        rules = [
            equal_shares(state, Plan(min(1 + seed, state.system.cut_layers), 0.0), everybody),
            descend(state, everybody, 0.0),
        ]
        decision, _ = legalise_unchecked(rules[seed % 2], state)
        slow = slack_clock(state, decision)
        before, after = round_cost(state, decision), round_cost(state, slow)
        assert after.latency_s == pytest.approx(before.latency_s, rel=1e-9)
        assert (after.client_energy_j <= before.client_energy_j * (1 + 1e-12)).all()
        assert after.server_energy_j == pytest.approx(before.server_energy_j, rel=1e-9)
        np.testing.assert_array_equal(after.participants, before.participants)
        if framework == "centralised":
            assert (slow.clock == 1).all()
            continue
        for client in np.flatnonzero(before.participants):
            assert slow.clock[client] == pytest.approx(slowest_by_bisection(state, decision, client), rel=1e-6)
        lowered += (slow.clock < 0.99).sum()
    # One client after the other: nobody waits.
    assert (lowered > 0) == (framework not in ("centralised", "sl"))


@pytest.mark.parametrize("framework", ["psl", "fl", "sfl-v1", "cpsl"])
def test_clients_that_miss_the_timeout_leave_the_others_time_until_then(framework):
    seen = 0
    for seed in range(6):
        state = random_state(framework, seed)
        decision = equal_shares(state, Plan(2, 0.0), np.ones(CLIENTS, bool))
        first = round_cost(state, decision)
        uplink = 2 + state.system.program.stages.index("model_up" if framework == "fl" else "uplink")
        ready = np.sort((first.stop_s - first.start_s)[: uplink + 1].sum(0))
        state = replace(state, system=replace(state.system, round_timeout_s=float(ready[1:3].mean())))
        before = round_cost(state, decision)
        slow = slack_clock(state, decision)
        after = round_cost(state, slow)
        seen += before.timed_out.any() and before.participants.any()
        np.testing.assert_array_equal(after.participants, before.participants)
        np.testing.assert_array_equal(after.timed_out, before.timed_out)
        assert after.latency_s == pytest.approx(before.latency_s, rel=1e-9)
        assert (slow.clock[~before.participants] == 1).all()
        for client in np.flatnonzero(before.participants):
            assert slow.clock[client] == pytest.approx(slowest_by_bisection(state, decision, client), rel=1e-6)
    assert seen > 0


def test_a_batch_is_its_worlds_and_on_demand_clocks_stay():
    state = random_state("epsl", 1)
    decision = equal_shares(state, Plan(1, 0.5), np.ones(CLIENTS, bool))
    of_batch = slack_clock(state.batch(), decision.batch())
    np.testing.assert_array_equal(of_batch.clock[0], slack_clock(state, decision).clock)
    lending = random_state("epsl", 1, radio={"sharing": "on-demand"})
    assert slack_clock(lending, decision) is decision


@pytest.mark.parametrize("allocation", ["descent", "paper-greedy", "ablation-a", "proportional-fair", "fixed"])
def test_the_rule_goes_with_every_allocation_and_selection(allocation):
    env = made(scenario="iot", learner="surrogate")
    energy = []
    for seed in range(3):
        env.reset(seed=seed)
        decisions = []
        for name, selection in (("slack-clock", {}), ("fastest-k", {"clock": "slack"}), ("fastest-k", {})):
            env.action_space.seed(seed)
            rule = schedulers.make(
                name,
                env,
                **({"selection": "fastest-k"} if not selection and name[0] == "s" else {}),
                allocation=allocation,
                k=5,
                **selection,
            )
            decisions.append(rule.decide(env.state))
        named, chosen, full = decisions
        np.testing.assert_array_equal(named.clock, chosen.clock)
        assert np.all(full.clock == 1.0)
        np.testing.assert_array_equal(named.assignment, full.assignment)
        costs = [round_cost(env.state, decision) for decision in (named, full)]
        assert costs[0].latency_s == pytest.approx(costs[1].latency_s, rel=1e-9)
        energy.append(costs[0].client_energy_j.sum() / costs[1].client_energy_j.sum())
    assert max(energy) <= 1
    # Exact power control makes all end together, and leaves clocks nothing.
    assert (max(energy) < 1) == (allocation not in ("descent", "paper-greedy"))


@pytest.mark.parametrize(
    ("clock", "message"),
    [
        (0.0, r"Decision.clock = 0.0, allowed: above 0, up to 1"),
        (1.5, r"Decision.clock = 1.5, allowed: 0..1"),
        (np.array([1.0, 0.0]), r"Decision.clock = \[1. 0.\], allowed: above 0, up to 1"),
        (np.array([1.0, np.nan]), r"Decision.clock\[1\] = nan, allowed: 0..1"),
        (np.ones(3), r"Decision.clock has shape \(3,\), allowed: \(\) or \(2,\)"),
        ("fast", r"Decision.clock = 'fast', allowed: 0..1"),
    ],
)
def test_what_is_no_clock_is_refused(clock, message):
    env = made()
    env.reset(seed=0)
    decision = replace(equal_shares(env.state, Plan(1, 0.0), BOTH), clock=clock)
    with pytest.raises(ValueError, match=message):
        env.play(decision)
    with pytest.raises(ValueError, match=message):
        slack_clock(env.state, decision)


@pytest.mark.parametrize("levels", [[0.0, 1.0], [0.5, 0.25], [0.5, 1.5]])
def test_levels_are_increasing_fractions(levels):
    with pytest.raises(ScenarioError, match="clock_levels"):
        made(actions={"clock_levels": levels})


@pytest.mark.parametrize("action", ENCODINGS)
def test_actions_say_clocks_where_a_scenario_lets_them(action):
    closed, opened = made(action=action), made(action=action, plan={"clock": "decided"})
    assert opened.action_space.shape[0] == closed.action_space.shape[0] + 2
    opened.action_space.seed(0)
    opened.reset(seed=0)
    energy = []
    for _ in range(8):
        decision = opened.decode(opened.action_space.sample())
        assert decision.clock.shape == (2,)
        again = opened.decode(opened.encode(decision))
        np.testing.assert_allclose(again.clock, decision.clock, rtol=1e-6)
        full = round_cost(opened.truth, replace(decision, clock=1.0))
        *_, info = opened.step(opened.encode(decision))
        np.testing.assert_allclose(info["clock"], decision.clock, rtol=1e-6)
        energy.append(info["client_energy_j"].sum() / max(full.client_energy_j.sum(), 1e-30))
    assert min(energy) < 1
    closed.reset(seed=0)
    *_, info = closed.step(closed.action_space.sample())
    assert "clock" not in info


@pytest.mark.parametrize("action", ["schedule", "continuous"])
def test_vector_and_single_agree(action):
    arguments = {"scenario": "iot", "learner": "surrogate", "action": action, "plan": {"clock": "decided"}}
    assert_vector_agrees(2, 3, ("clock",), **arguments)
