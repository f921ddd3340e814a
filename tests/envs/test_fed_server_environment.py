"""The environment with a fed server that averages in some rounds only."""

from dataclasses import replace

import gymnasium as gym
import numpy as np
import pytest
from agreement import assert_vector_agrees

import splitgym  # noqa: F401 - registers the environment
from splitgym import schedulers
from splitgym.allocation import descend, descent, lower_bound
from splitgym.scenario import ScenarioError, build
from splitgym.timing import round_cost

SMALL = {"scenario": "toy", "clients": {"count": 3}, "radio": {"subchannels": 4}}


def made(framework: str = "sfl-v1", action: str = "schedule", interval: int = 3, **arguments: object) -> gym.Env:
    sections = {**SMALL, "fed_server": {"interval_rounds": interval}, **arguments}
    return gym.make(
        "SplitLearning-v0", framework=framework, action=action, disable_env_checker=True, **sections
    ).unwrapped


def play(env: gym.Env, rounds: int) -> list[tuple[np.ndarray, dict]]:
    env.reset(seed=0)
    return [env.step(np.array([0, 1, 1, 1, 0]))[::4] for _ in range(rounds)]


@pytest.mark.parametrize("framework", ["sfl-v1", "sfl-v2"])
def test_observations_say_when_the_mean_comes_and_who_has_to_fetch_it(framework: str) -> None:
    env = made(framework)
    names = list(env.observation_names)
    first = env.reset(seed=0)[0]
    seen = [first, *(observation for observation, _ in play(env, 4))]
    wait = [each[names.index("rounds_to_mean")] for each in seen]
    assert wait == pytest.approx([1, 2 / 3, 1 / 3, 1, 2 / 3])
    held = [each[names.index("client_cut_layer[1]")] for each in seen]
    assert held == pytest.approx([0, 0.5, 0.5, 0, 0.5])


def test_with_a_mean_in_every_round_nothing_is_to_see() -> None:
    closed = gym.make("SplitLearning-v0", framework="sfl-v1", **SMALL).unwrapped
    every = made(action="discrete", interval=1)
    for env in (closed, every):
        env.reset(seed=0)
    assert every.observation_names == closed.observation_names
    assert every.action_space == closed.action_space
    assert every.state.system.program.work.shape == closed.state.system.program.work.shape
    assert "rounds_to_mean" not in closed.observation_names


@pytest.mark.parametrize("framework", ["sfl-v1", "sfl-v2"])
@pytest.mark.parametrize("node", ["server", "cloud"])
def test_what_allocations_expect_is_what_the_round_takes(framework: str, node: str) -> None:
    """In every kind of round: with models down, up, both, or none."""
    env = made(framework, interval=2, fed_server={"node": node, "interval_rounds": 2})
    env.reset(seed=0)
    everybody, latencies = np.ones(3, bool), set()
    for _ in range(4):
        state = env.state
        found = descent(state, everybody, 0.0)
        cost = round_cost(state, found.decision)
        assert found.latency_s == pytest.approx(cost.latency_s, rel=1e-9)
        assert lower_bound(state, everybody, 0.0) <= cost.latency_s * (1 + 1e-9)
        cuts = [held] if (held := state.held_cut_layer) else [1, 2]
        by_cut = [descent(state, everybody, 0.0, cut_layer=cut).latency_s for cut in cuts]
        assert found.latency_s == pytest.approx(min(by_cut), rel=1e-9)
        latencies.add(round(float(cost.latency_s), 9))
        env.play(descend(state, everybody, 0.0))
    assert len(latencies) > 1


@pytest.mark.parametrize("agent", ["greedy", "unified", "look-ahead", "exact-cuts", "random"])
def test_schedulers_play_it(agent: str) -> None:
    env = made(interval=2, action="discrete")
    observation, info = env.reset(seed=0)
    scheduler = schedulers.make(agent, env)
    for _ in range(3):
        observation, *_, info = env.step(scheduler.act(observation, info))
        assert info["trained"]


@pytest.mark.parametrize("framework", ["sfl-v1", "sfl-v2"])
@pytest.mark.parametrize("action", ["discrete", "priority"])
def test_worlds_together_do_what_each_does_alone(framework: str, action: str) -> None:
    """Some are at another round of their interval than others."""
    assert_vector_agrees(
        2,
        4,
        ("round_latency_s", "traffic_bits", "accuracy", "participants"),
        framework=framework,
        action=action,
        fed_server={"interval_rounds": 2, "node": "cloud"},
        episode={"stop_at_target": False, "time_budget_s": 1e6},
        **SMALL,
    )


@pytest.mark.parametrize("action", ["discrete", "continuous", "schedule", "priority"])
def test_the_cut_layer_of_an_action_counts_when_the_mean_is_fetched(action: str) -> None:
    env = made(action=action, episode={"stop_at_target": False, "time_budget_s": 1e6})
    env.reset(seed=0)
    env.action_space.seed(3)
    seen = []
    for _ in range(12):
        sample, held = env.action_space.sample(), env.state.held_cut_layer
        wanted = env.decode(sample).cut_layer
        *_, info = env.step(sample)
        assert info["cut_layer"] == wanted == (held or wanted)
        assert info["migration_bits"] == 0
        seen.append((env.state.round % 3, info["cut_layer"]))
    assert {cut for place, cut in seen if place == 1} == {1, 2}


def test_copies_go_their_own_way() -> None:
    env = made(interval=2)
    play(env, 1)
    fork = env._simulation.world.fork()
    assert fork.state.client_cut_layer.tolist() == [[1, 1, 1]]
    env.step(np.array([0, 1, 1, 1, 0]))
    assert env.state.client_cut_layer.tolist() == [0, 0, 0]
    assert fork.state.client_cut_layer.tolist() == [[1, 1, 1]]


def test_a_round_is_said_as_text() -> None:
    env = made(render_mode="ansi", fed_server={"node": "cloud"})
    play(env, 1)
    assert "h: backhaul" in env.render()


def one_line(**arguments: object) -> str:
    with pytest.raises(ScenarioError) as error:
        made(**arguments)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_wrong_values_are_one_line() -> None:
    row = {"name": "hub", "compute_hz": 1e9, "cycles_per_flop": 1.0, "switched_capacitance": 0.0}
    link = {"name": "line", "ends": ("hub", "cloud"), "bits_per_s": 1e6}
    cases = [
        ({"node": "clod"}, {}, "fed_server.node = 'clod' is unknown, did you mean 'cloud'?"),
        ({"node": "client"}, {}, "fed_server.node = 'client' is unknown"),
        ({"node": "hub"}, {"nodes": [row]}, "fed_server.node = 'hub': no row of links has the ends 'server' and 'hub'"),
        ({"node": "hub"}, {"nodes": [row], "links": [link]}, "no row of links has the ends 'server' and 'hub'"),
        ({"interval_rounds": 0}, {}, "fed_server.interval_rounds = 0: Input should be greater than or equal to 1"),
        ({"interval_rounds": 1.5}, {}, "fed_server.interval_rounds = 1.5"),
        ({"interval": 2}, {}, "fed_server: unknown field 'interval', did you mean 'interval_rounds'?"),
    ]
    for fields, sections, text in cases:
        assert text in one_line(fed_server=fields, **sections)
    assert build("toy", {"fed_server": {"node": "hub"}, "nodes": [row], "links": [{**link, "ends": ("hub", "server")}]})


def test_what_does_not_go_with_it_is_one_line() -> None:
    assert one_line(plan={"cut_layer": "by-client"}) == (
        "plan.cut_layer = 'by-client' with means that are not in every round, allowed: 'common'"
    )
    assert one_line(learner="surrogate") == (
        "fed_server.interval_rounds = 3 with learner = 'surrogate', which is calibrated for 1, allowed: "
        "learner = 'train'"
    )
    assert one_line(interval=1, learner="surrogate", plan={"averaging": "decided"}).startswith(
        "plan.averaging = 'decided' with learner = 'surrogate'"
    )
    for sections in ({"fed_server": {"interval_rounds": 3}}, {"plan": {"averaging": "decided"}}):
        gym.make("SplitLearning-v0", framework="epsl", learner="surrogate", **sections)


def decided(action: str = "schedule", framework: str = "sfl-v1", **arguments: object) -> gym.Env:
    patient = {"stop_at_target": False, "time_budget_s": 1e9, "round_timeout_s": 1e6}
    sections = {"episode": patient, **arguments}
    return made(framework, action, interval=2, plan={"averaging": "decided"}, **sections)


@pytest.mark.parametrize("framework", ["sfl-v1", "sfl-v2"])
@pytest.mark.parametrize("action", ["discrete", "continuous", "schedule", "priority"])
def test_an_action_says_which_rounds_end_with_the_mean(action: str, framework: str) -> None:
    env = decided(action, framework)
    assert np.prod(env.action_space.shape) == np.prod(made(framework, action, interval=1).action_space.shape) + 1
    observation, _ = env.reset(seed=0)
    env.action_space.seed(0)
    since, seen = 0, set()
    for _ in range(8):
        assert observation[list(env.observation_names).index("rounds_since_mean")] == pytest.approx(since / (since + 4))
        sample = env.action_space.sample()
        decision = env.decode(sample)
        again = env.decode(env.encode(decision))
        assert again.averaging == decision.averaging
        observation, *_, info = env.step(sample)
        assert info["averaging"] == (decision.averaging == 2)
        averaged = bool(info["averaging"] and info["trained"])
        assert (info["stages"]["model_up"] > 0) == averaged
        assert env.state.client_cut_layer.any() == (info["trained"] and not averaged)
        since = 0 if averaged else since + 1
        seen.add(averaged)
    assert seen == {True, False}


def test_a_decision_that_leaves_it_open_follows_the_interval() -> None:
    env, fixed = decided(), made(interval=2, episode={"stop_at_target": False, "time_budget_s": 1e6})
    for each in (env, fixed):
        each.reset(seed=0)
    for _ in range(4):
        one, other = (each.play(descend(each.state, np.ones(3, bool), 0.0))[-1] for each in (env, fixed))
        assert one["round_latency_s"] == other["round_latency_s"]
        assert one["loss"] == other["loss"]
        assert one["averaging"] == (env.state.round % 2 == 0)


def test_what_is_decided_is_what_an_interval_does() -> None:
    """Means in the second and fourth round, said by actions; and every round, which is split federated learning."""
    for says, interval in (((0, 1, 0, 1), 2), ((1, 1, 1, 1), 1)):
        env = decided()
        fixed = made(interval=interval, episode={"stop_at_target": False, "time_budget_s": 1e6})
        for each in (env, fixed):
            each.reset(seed=0)
        for mean in says:
            *_, info = env.step(np.array([0, mean, 1, 1, 1, 0]))
            *_, same = fixed.step(np.array([0, 1, 1, 1, 0]))
            for name in ("round_latency_s", "traffic_bits", "energy_j", "loss", "accuracy"):
                assert info[name] == same[name]


def test_decided_means_agree_in_vector_environments() -> None:
    assert_vector_agrees(
        2,
        5,
        ("round_latency_s", "averaging", "accuracy"),
        framework="sfl-v2",
        action="discrete",
        plan={"averaging": "decided"},
        episode={"stop_at_target": False, "time_budget_s": 1e6},
        **SMALL,
    )


@pytest.mark.parametrize("agent", ["greedy", "random", "look-ahead"])
def test_rules_play_where_means_are_decided(agent: str) -> None:
    env = decided("discrete")
    observation, info = env.reset(seed=0)
    scheduler = schedulers.make(agent, env)
    for _ in range(4):
        observation, *_, info = env.step(scheduler.act(observation, info))


def test_a_mean_that_nobody_may_decide_is_refused() -> None:
    env = made(interval=2)
    env.reset(seed=0)
    decision = descend(env.state, np.ones(3, bool), 0.0)
    with pytest.raises(ValueError, match=r"^Decision\.averaging = 2, allowed: 0\.\.0$"):
        env.play(replace(decision, averaging=2))
    other = decided()
    other.reset(seed=0)
    with pytest.raises(ValueError, match=r"^Decision\.averaging = 3, allowed: 0\.\.2$"):
        other.play(replace(decision, averaging=3))
