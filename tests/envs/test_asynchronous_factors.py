"""Clocks, few bits, codecs, memory limits with asynchronous frameworks: as in rounds, and what is in flight stays."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from rollouts import LASTING, differences, make, rollout, sampled_actions

from splitgym import schedulers
from splitgym.allocation import slack_clock
from splitgym.allocation.legalise import legalise_unchecked
from splitgym.frameworks.fixed_point import on_grid
from splitgym.frameworks.snapshots import state_of
from splitgym.timing import round_cost
from splitgym.types import Decision, RoundState

FRAMEWORKS = ("async-psl", "async-sfl")
ENCODINGS = ("discrete", "continuous", "schedule", "priority")
DEVICES: dict[str, Any] = {
    "clients": {"count": 4, "compute_min_hz": 2e5, "compute_max_hz": 5e6, "compute_spread": "log-uniform"},
    "radio": {"subchannels": 6},
    "task": {"evaluation_samples": 20},
}
OPEN: dict[str, Any] = {"quorum": "decided", "clock": "decided", "precisions": [32, 8], "codecs": ["none", "uniform-8"]}


def made(framework: str = "async-psl", action: str = "schedule", **sections: Any) -> Any:
    fields: dict[str, Any] = {"plan": {"quorum": "decided"}, **DEVICES}
    for name, section in sections.items():
        fields[name] = {**fields.get(name, {}), **section}
    return make("toy", framework, action, disable_env_checker=True, episode=LASTING, **fields)


def learner_of(env: Any) -> Any:
    return env._simulation.world._learner.learners[0]


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("action", ENCODINGS)
def test_every_action_is_played_with_all_that_can_be_open(framework: str, action: str) -> None:
    by_client = {"precision": "by-client", "codec": "by-client"} if action == "discrete" else {}
    limits = {"memory_min_bytes": 2e4, "memory_max_bytes": 2e5}
    env = made(framework, action, plan={**OPEN, **by_client}, clients=limits)
    actions = sampled_actions(env, 25)
    first = rollout(env, 1, actions)
    assert not differences(first, rollout(env, 1, actions))
    env.reset(seed=1)
    kept = 0
    for sample in actions:
        before = env.state
        observation, *_, info = env.step(sample)
        assert env.observation_space.contains(observation)
        plans = env.system.program.plans
        for name, begun in (("codec", plans.codec), ("precision", plans.precision)):
            held = begun[before.flights.plan][before.in_flight]
            np.testing.assert_array_equal(np.broadcast_to(info[name], 4)[before.in_flight], held)
        kept += int(before.in_flight.sum())
        assert np.all(info["clock"] > 0)
        assert not np.any(info["without_memory"] & info["participants"])
    assert kept > 1


# Clocks ------------------------------------------------------------------------------------------------------------


def slowest_by_bisection(state: RoundState, decision: Decision, client: int) -> float:
    """The slowest clock of a client, the others at full speed, with the same update at the same time."""
    whole = round_cost(state, decision)

    def fits(x: float) -> bool:
        clock = np.ones(4)
        clock[client] = x
        cost = round_cost(state, replace(decision, clock=clock))
        return np.array_equal(cost.participants, whole.participants) and cost.latency_s <= whole.latency_s * (1 + 1e-11)

    low, high = 1e-9, 1.0
    for _ in range(45):
        middle = (low + high) / 2
        low, high = (low, middle) if fits(middle) else (middle, high)
    return high


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_slack_clocks_are_those_of_plain_bisection(framework: str) -> None:
    lowered = in_flight = 0
    env = made(framework)
    rng = np.random.default_rng(0)
    rule = schedulers.make("equal-shares", env, cut_layer=1)
    env.reset(seed=0)
    for _ in range(12):
        state = env.state
        decision, _ = legalise_unchecked(replace(rule.decide(state), quorum=int(rng.integers(2, 5))), state)
        slow = slack_clock(state, decision)
        before, after = round_cost(state, decision), round_cost(state, slow)
        assert after.latency_s == pytest.approx(before.latency_s, rel=1e-9)
        np.testing.assert_array_equal(after.participants, before.participants)
        assert np.all(after.client_energy_j <= before.client_energy_j * (1 + 1e-12))
        assert np.all(slow.clock[~before.participants] == 1)
        # Everybody else is as far as without.
        others = ~before.participants
        np.testing.assert_allclose(after.flights.left[others], before.flights.left[others], rtol=1e-6, atol=1e-3)
        for client in np.flatnonzero(before.participants & ~state.delivered):
            slowest = slowest_by_bisection(state, decision, client)
            # With nothing left to compute in the step any clock would do.
            computes = slowest > 1e-6
            assert slow.clock[client] == pytest.approx(slowest if computes else 1.0, rel=1e-6)
        lowered += int((slow.clock < 0.99).sum())
        in_flight += int(state.in_flight.sum())
        np.testing.assert_array_equal(slack_clock(state.batch(), decision.batch()).clock[0], slow.clock)
        env.play(decision)
    assert lowered > 5
    assert in_flight > 5


def test_the_rule_lowers_clocks_also_where_it_knows_one_codec_of_several() -> None:
    """Indices of what is in flight are those of all plans, and not of those that the rule chooses from."""
    energy = {}
    for name in ("slack-clock", "equal-shares"):
        env = made(plan={"quorum": "decided", "codecs": ["none", "uniform-8"], "precisions": [32, 8]})
        options = {"allocation": "equal-shares"} if name == "slack-clock" else {}
        rule = schedulers.make(name, env, codec="uniform-8", precision=8, quorum=3, **options)
        env.reset(seed=0)
        spent, latency_s = 0.0, []
        for _ in range(10):
            decision = rule.decide(env.state)
            assert (decision.codec, decision.precision) == (1, 1)
            *_, info = env.play(decision)
            spent += float(info["client_energy_j"].sum())
            latency_s.append(info["round_latency_s"])
        energy[name] = (spent, latency_s)
    np.testing.assert_allclose(energy["slack-clock"][1], energy["equal-shares"][1], rtol=1e-9)
    assert energy["slack-clock"][0] < 0.9 * energy["equal-shares"][0]


# Few bits ----------------------------------------------------------------------------------------------------------


def test_with_a_quorum_of_all_few_bits_train_as_psl_does_to_the_bit() -> None:
    ours, theirs = (made(framework, plan={"quorum": "fixed", "precisions": [8]}) for framework in ("async-psl", "psl"))
    for env in (ours, theirs):
        env.reset(seed=2)
        rule = schedulers.make("equal-shares", env, cut_layer=1)
        for _ in range(4):
            env.play(rule.decide(env.state))
    for one, two in zip(*(learner_of(env).nodes.everybody() for env in (ours, theirs)), strict=True):
        for own, other in zip(state_of(one.units), state_of(two.units), strict=True):
            assert torch.equal(own, other)
    assert learner_of(ours).outcome.loss == learner_of(theirs).outcome.loss


def test_copies_have_few_bits_and_the_common_units_all() -> None:
    env = made("async-sfl", plan={"quorum": "fixed", "precisions": [8]}, training={"quorum": 2})
    env.reset(seed=0)
    rule = schedulers.make("equal-shares", env, cut_layer=1)
    for _ in range(6):
        *_, info = env.play(rule.decide(env.state))
        nodes = learner_of(env).nodes
        for i in np.flatnonzero(info["participants"]):
            for tensor in state_of(nodes.clients[i].units):
                assert torch.equal(on_grid(tensor, 8, None), tensor)
    weight = state_of(nodes.server.units)[0]
    assert not torch.equal(on_grid(weight, 8, None), weight)
    program = env.system.program
    model = float(program.work[0, program.stages.index("model_down")])
    assert model < 0.3 * env.system.prefix_bits[1]


# Memory ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_rules_keep_within_memory(framework: str) -> None:
    limits = {"memory_min_bytes": 2e4, "memory_max_bytes": 2e5}
    server = {"memory_bytes": 4e5}
    trained = 0
    for name in ("greedy", "equal-shares", "fastest-k", "random"):
        env = made(framework, clients=limits, server=server)
        rule = schedulers.make(name, env)
        env.reset(seed=1)
        for _ in range(8):
            *_, info = env.play(rule.decide(env.state))
            trained += int(info["trained"])
            participants = info["participants"]
            needs = env.system.memory.client[env.state.flights.plan]
            assert np.all(needs[participants] <= env.state.client_memory_bytes[participants])
            if name != "random":
                assert not info["without_memory"].any()
    assert trained > 15
