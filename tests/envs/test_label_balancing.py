"""The environment with a server that balances labels: what it costs, who sees it, and where it is refused."""

import pickle
from copy import deepcopy
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from agreement import assert_vector_agrees
from rollouts import LASTING, differences, make, play_on, rollout, sampled_actions

from splitgym import schedulers
from splitgym.scenario import ScenarioError

FRAMEWORKS = ("async-psl", "async-sfl")
SHARDS: dict[str, Any] = {
    "clients": {"count": 3},
    "radio": {"subchannels": 3},
    "task": {"partition": "shards", "evaluation_samples": 40},
}


def balancing(framework: str = "async-psl", **training: object) -> Any:
    """Three equal clients with two labels each; updates of one of them."""
    fields = {"quorum": 1, "label_balancing": "generated", **training}
    return make("toy", framework, "schedule", disable_env_checker=True, episode=LASTING, training=fields, **SHARDS)


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_generated_rows_take_the_server_s_time_after_it_has_answered(framework: str) -> None:
    """8 rows of a client take it 3.2256 ms, a third of it forward, see test_updates."""
    env, of_eight_s = balancing(framework), 0.0032256
    rule = schedulers.make("equal-shares", env, cut_layer=1)
    env.reset(seed=0)
    left_s, waited = 0.0, 0
    for _ in range(12):
        before = env.state
        already = before.delivered.any()
        assert float(before.flights.server_left) / float(before.server_hz) == pytest.approx(left_s, rel=1e-12)
        *_, info = env.play(rule.decide(before))
        if already:
            assert info["round_latency_s"] == pytest.approx(left_s + of_eight_s, rel=1e-9)
            assert info["stages"]["server_fp"] == pytest.approx(left_s + of_eight_s / 3, rel=1e-9)
            waited += left_s > 0
        left_s = int(info["generated_rows"]) / 8 * of_eight_s
    assert waited > 1


def test_generated_rows_cost_energy() -> None:
    """Two clients have delivered, the third has the whole band and its gradients before the server is done."""
    joules, seconds = [], []
    for kind in ("none", "generated"):
        env = balancing(label_balancing=kind)
        rule = schedulers.make("equal-shares", env, cut_layer=1)
        env.reset(seed=0)
        *_, before = env.play(rule.decide(env.state))
        *_, info = env.play(rule.decide(env.state))
        joules.append(info["server_energy_j"])
        seconds.append(info["round_latency_s"])
    extra_s = int(before["generated_rows"]) / 8 * 0.0032256
    assert extra_s > 0
    assert seconds[1] - seconds[0] == pytest.approx(extra_s, rel=1e-9)
    assert joules[1] - joules[0] == pytest.approx(env.system.server_capacitance * 1e7**3 * extra_s, rel=1e-9)


def test_all_classes_that_were_seen_are_as_frequent_as_the_most_frequent_one() -> None:
    env = balancing()
    rule = schedulers.make("equal-shares", env, cut_layer=1)
    env.reset(seed=0)
    learner, updates = env._simulation.world._learner.learners[0], []
    train = learner.framework.train

    def spy(nodes: Any, batch: Any) -> bool:
        updates.append(np.bincount(batch.labels.flatten().numpy(), minlength=10))
        return bool(train(nodes, batch))

    learner.framework = replace(learner.framework, train=spy)
    for _ in range(6):
        *_, info = env.play(rule.decide(env.state))
        known = int(np.sum(np.sum(updates, axis=0) > 0))
        assert info["generated_rows"] == known * updates[-1].max() - updates[-1].sum()
    assert known > 4


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_the_same_seed_is_the_same_run_and_copies_go_on(framework: str) -> None:
    env = balancing(framework)
    actions = sampled_actions(env, 12)
    first = rollout(env, 7, actions)
    assert any(step[-1]["generated_rows"] > 0 for step in first[1:])
    assert not differences(first, rollout(env, 7, actions))
    assert differences(first[-1], rollout(env, 8, actions)[-1])
    env.reset(seed=7)
    play_on(env, actions[:6])
    for copy in (deepcopy(env), pickle.loads(pickle.dumps(env))):
        assert not differences(first[7:], play_on(copy, actions[6:]))


def test_vector_environment_is_the_single_one() -> None:
    training = {"quorum": 1, "label_balancing": "generated"}
    arguments = {"scenario": "toy", "framework": "async-psl", "action": "schedule", "episode": LASTING, **SHARDS}
    assert_vector_agrees(2, 12, ("generated_rows",), training=training, **arguments)


def test_what_the_server_has_left_is_observed_where_it_balances_labels() -> None:
    env, plain = balancing(), balancing(label_balancing="none")
    names = list(env.observation_names)
    assert [name for name in names if name != "server_left"] == list(plain.observation_names)
    rule = schedulers.make("equal-shares", env, cut_layer=1)
    env.reset(seed=0)
    scale_s = env.system.time_budget_s / env.system.max_rounds
    for _ in range(6):
        observation, *_, info = env.play(rule.decide(env.state))
        left_s = int(info["generated_rows"]) / 8 * 0.0032256
        assert observation[names.index("server_left")] == pytest.approx(left_s / (left_s + scale_s), rel=1e-6)
    assert left_s > 0
    plain.reset(seed=0)
    assert "generated_rows" not in plain.step(plain.action_space.sample())[-1]


@pytest.mark.parametrize(
    ("framework", "sections", "message"),
    [
        ("psl", {}, "label_balancing = 'generated' with framework 'psl', allowed: asynchronous frameworks"),
        ("async-psl", {"plan": {"cut_layer": "by-client"}}, "with plan.cut_layer = 'by-client', allowed: 'common'"),
        ("async-psl", {"learner": "surrogate"}, "label_balancing = 'generated' with learner = 'surrogate'"),
    ],
)
def test_where_it_is_refused(framework: str, sections: dict[str, Any], message: str) -> None:
    with pytest.raises(ScenarioError, match=message):
        make("iot", framework, training={"label_balancing": "generated"}, **sections)
