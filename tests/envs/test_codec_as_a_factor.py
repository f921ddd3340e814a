"""The codec of smashed data as a factor of the plan that a scenario opens."""

import copy
import pickle
from dataclasses import replace
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from agreement import assert_vector_agrees
from drawn import drawn
from rollouts import ACTIONS, LASTING, differences, play_on, rollout, sampled_actions

import splitgym  # noqa: F401 - registers the environment
from splitgym import frameworks, schedulers
from splitgym.allocation import allocate, descent
from splitgym.allocation.even_split import even_psd
from splitgym.scenario import ScenarioError, build
from splitgym.timing import round_cost
from splitgym.types import Plan

CODECS = ("none", "fp16", "uniform-4", "top-k:0.1", "c3:3")
CUT = ("sl", "sfl-v1", "sfl-v2", "psl", "epsl", "psl-drop", "epsl-pt", "cpsl", "hierarchical")
"""Frameworks that cut the network."""


def coded(framework: str = "epsl", action: str = "schedule", codecs: Any = CODECS, **options: Any) -> Any:
    """Three clients, mini-batches of seven rows; `by_client` opens what clients may have of their own."""
    own = {"codec": "by-client", "cut_layer": "by-client"} if options.pop("by_client", False) else {}
    sections = {
        "clients": {"count": 3},
        "radio": {"subchannels": 4},
        "task": {"train_samples": 100, "evaluation_samples": 30, "model": "cnn"},
        "training": {"batch_size": 7},
        "episode": {**LASTING, "round_timeout_s": 1e4},
        "plan": {"codecs": codecs, **own},
    }
    for name, section in options.items():
        sections[name] = {**sections.get(name, {}), **section} if isinstance(section, dict) else section
    arguments = {"scenario": "toy", "framework": framework, "action": action, **sections}
    return gym.make("SplitLearning-v0", disable_env_checker=True, **arguments).unwrapped


def sent_bits(env: Any) -> int:
    """What the nodes handed over in the last round."""
    (learner,) = env._simulation.world._learner.learners
    return sum(learner.traffic_bits.values())


@pytest.mark.parametrize(("framework", "model", "by_client"), drawn(24, CUT, ["cnn", "mlp"], [False, True]))
def test_bits_that_are_charged_are_those_that_were_sent(framework: str, model: str, by_client: bool) -> None:
    """Any decision: phi, mixed cut layers and codecs, clusters, clients that take no part."""
    codecs = [name for name in CODECS if (framework, name) != ("epsl-pt", "top-k:0.1")]
    env = coded(framework, codecs=codecs, by_client=by_client, task={"model": model})
    env.reset(seed=1)
    seen = set()
    for action in sampled_actions(env, 10):
        *_, info = env.step(action)
        if info["participants"].any():
            assert info["finite"]
            assert sent_bits(env) == pytest.approx(info["traffic_bits"] - info["migration_bits"], rel=1e-12)
            seen.add(sent_bits(env))
    assert len(seen) > 3


@pytest.mark.parametrize("framework", ["epsl", "cpsl", "sl", "hierarchical"])
def test_with_the_first_codec_an_open_list_is_the_closed_scenario_to_the_bit(framework: str) -> None:
    opened, closed = coded(framework, by_client=True), coded(framework, codecs=("none",))
    for env in (opened, closed):
        env.reset(seed=4)
    for action in sampled_actions(closed, 5):
        decision = closed.decode(action)
        _, *rest, info = closed.play(decision)
        _, *others, told = opened.play(replace(decision, codec=np.zeros(3, np.int64)))
        assert told.pop("codec").tolist() == [0, 0, 0]
        assert not differences([rest, info], [others, told])


@pytest.mark.parametrize("action", ACTIONS)
def test_entries_of_actions(action: str) -> None:
    def entries(env: Any) -> int:
        return int(np.prod(env.action_space.shape))

    closed = coded(action=action, codecs=("uniform-4",))
    assert entries(coded(action=action)) == entries(closed) + 1
    # The cut layers are open, too.
    assert entries(coded(action=action, by_client=True)) == entries(closed) + 3 + 2
    assert entries(coded("fl", action)) == entries(coded("fl", action, codecs=("none",)))
    assert "codec" not in closed.reset(seed=0)[1]
    assert "codec" not in closed.step(closed.action_space.sample())[-1]


@pytest.mark.parametrize("by_client", [False, True])
@pytest.mark.parametrize("action", ACTIONS)
def test_phi_is_0_where_gradients_are_sent_apart(action: str, by_client: bool) -> None:
    env = coded("epsl", action, by_client=by_client)
    env.reset(seed=0)
    aggregated = 0
    for sample in sampled_actions(env, 12):
        decision = env.decode(sample)
        codecs = np.broadcast_to(decision.codec, 3)[decision.selected]
        cuts = np.broadcast_to(decision.cut_layer, 3)[decision.selected]
        apart = len(set(codecs)) > 1 or len(set(cuts)) > 1 or CODECS.index("top-k:0.1") in codecs
        assert not (apart and decision.aggregation_ratio > 0)
        aggregated += decision.aggregation_ratio > 0
        again = env.decode(env.encode(decision))
        assert np.array_equal(again.codec, decision.codec)
        *_, info = env.step(sample)
        assert np.array_equal(info["codec"], decision.codec)
        assert np.shape(info["codec"]) == ((3,) if by_client else ())
    assert aggregated or by_client


def test_what_cannot_be_played_is_refused_in_words() -> None:
    env = coded("epsl", by_client=True)
    env.reset(seed=0)
    fits = replace(env.decode(env.action_space.sample()), selected=np.ones(3, bool), aggregation_ratio=0.5, cut_layer=1)
    apart = np.array([0, 1, 1])
    for decision, message in [
        (replace(fits, codec=apart), r"Decision.codec = \[0 1 1\], allowed: one for all with aggregation_ratio > 0"),
        (replace(fits, codec=3), "Decision.codec = 3, allowed with aggregation_ratio > 0: codecs that can broadcast"),
        (replace(fits, codec=5), "Decision.codec = 5, allowed: 0..4"),
        (replace(fits, codec=-1), "Decision.codec = -1, allowed: 0..4"),
        (replace(fits, codec=0.0), "Decision.codec = 0.0, allowed: 0..4"),
        (replace(fits, codec=np.zeros(2, int)), r"Decision.codec has shape \(2,\), allowed: \(\) or \(3,\)"),
    ]:
        with pytest.raises(ValueError, match=message):
            env.play(decision)
    # Of clients that take no part nothing is sent.
    *_, info = env.play(replace(fits, codec=np.array([3, 1, 1]), selected=np.array([False, True, True])))
    assert info["aggregation_ratio"] == 0.5
    common = coded("psl")
    common.reset(seed=0)
    with pytest.raises(ValueError, match=r"Decision.codec has shape \(3,\), allowed: \(\)"):
        common.play(replace(common.decode(common.action_space.sample()), codec=apart))


def test_descent_and_allocation_take_phi_as_0_there() -> None:
    env = coded("epsl", by_client=True, training={"aggregation_ratio": 0.5})
    env.reset(seed=0)
    state, everybody = env.state, np.ones(3, bool)
    for found in (
        descent(state, everybody, 0.5, codec=3).decision,
        descent(state, everybody, 0.5, codec=np.array([0, 1, 2]), cut_layer=2).decision,
        descent(state, everybody, 0.5, cut_layer=np.array([1, 2, 1])).decision,
        allocate(state, Plan(2, 0.5, 0, np.array([0, 0, 4])), everybody),
    ):
        assert found.aggregation_ratio == 0
        found.check(state)
    assert descent(state, everybody, 0.5, codec=4).decision.aggregation_ratio == 0.5
    own = np.array([0, 1, 2])
    held = [descent(state, everybody, 0.0, codec=own, cut_layer=cut) for cut in (1, 2, 3)]
    best = min(held, key=lambda at: at.latency_s)
    found = descent(state, everybody, 0.0, codec=own)
    assert (found.latency_s, found.decision.cut_layer) == (best.latency_s, best.decision.cut_layer)
    batch = state.repeat(3)
    of_worlds = descent(batch, np.ones((3, 3), bool), 0.0, codec=np.array([own, own, np.zeros(3, int)]))
    np.testing.assert_array_equal(of_worlds.latency_s[:2], best.latency_s)
    of_worlds.decision.world(2).check(state)
    each = descent(batch, np.ones((3, 3), bool), 0.0, codec=np.arange(3))
    alone = [descent(state, everybody, 0.0, codec=k) for k in range(3)]
    np.testing.assert_array_equal(each.latency_s, [one.latency_s for one in alone])


def test_the_descent_expects_what_the_round_takes() -> None:
    """With codecs and cut layers of the clients' own, and among cut layers the best."""
    env = coded("psl", by_client=True, scenario="bandwidth-limited", clients={"count": 5}, radio={"subchannels": 6})
    for seed in range(3):
        env.reset(seed=seed)
        state, everybody, rng = env.state, np.ones(5, bool), np.random.default_rng(seed)
        for cut in (2, rng.integers(1, 4, 5)):
            found = descent(state, everybody, 0.0, codec=rng.integers(0, 5, 5), cut_layer=cut)
            assert round_cost(state, found.decision).latency_s == pytest.approx(found.latency_s, rel=1e-9)
        for codec in range(5):
            chosen = descent(state, everybody, 0.0, codec=codec)
            held = [descent(state, everybody, 0.0, codec=codec, cut_layer=cut).latency_s for cut in (1, 2, 3)]
            assert chosen.latency_s <= min(held) * (1 + 1e-9)
            assert round_cost(state, chosen.decision).latency_s == pytest.approx(chosen.latency_s, rel=1e-9)


@pytest.mark.parametrize("codecs", [("top-k:0.1", "none"), ("random-top-k",), ("uniform-2", "top-k", "c3:4")])
def test_every_scheduler_plays_with_codecs(codecs: tuple[str, ...]) -> None:
    env = coded("epsl", codecs=codecs, training={"aggregation_ratio": 0.5})
    for name in sorted(set(schedulers.names()) - {"tuned", "best-fixed", "gpsl", "rollout"}):
        env.reset(seed=2)
        agent = schedulers.make(name, env)
        *_, info = env.play(agent.decide(env.state))
        assert info["participants"].any(), name
        assert info["aggregation_ratio"] == 0 or codecs[info["codec"]] in ("none", "uniform-2", "c3:4")


def test_a_rule_holds_its_codec() -> None:
    env = coded("epsl", training={"aggregation_ratio": 0.5})
    env.reset(seed=0)
    seconds = {}
    for index, name in enumerate(CODECS):
        agent = schedulers.make("greedy", env, codec=name)
        decision = agent.decide(env.state)
        assert decision.codec == index
        assert decision.aggregation_ratio == (0.0 if name.startswith("top-k") else 0.5)
        expected = descent(env.state, np.ones(3, bool), decision.aggregation_ratio, codec=index)
        assert round_cost(env.state, decision).latency_s == pytest.approx(expected.latency_s, rel=1e-9)
        seconds[name] = expected.latency_s
    assert seconds["uniform-4"] < seconds["fp16"] < seconds["none"]
    with pytest.raises(ValueError, match=r"codec = 'fp8', allowed: none, fp16, uniform-4, top-k:0\.1, c3:3"):
        schedulers.make("greedy", env, codec="fp8")


@pytest.mark.parametrize(
    ("codecs", "message"),
    [
        (["uniform-3"], "plan.codecs.0 = 'uniform-3': did you mean 'uniform-8'"),
        (["none", "top-q:0.1"], "codec = 'top-q' is unknown, did you mean 'top-k'"),
        (["top-k:2"], "codec top-k: fraction = 2.0, allowed: above 0, at most 1"),
        (["c3:x"], "codec c3: rows of a group = 'x', allowed: 1..256"),
        (["uniform-8:4"], "uniform-8 has no parameter"),
        (["none", "none"], "codecs = .*, allowed: each one once"),
        (["none", "c3:4", "c3"], "plan.codecs: 'c3:4' and 'c3' are the same, allowed: each one once"),
        ([], "plan.codecs = \\[\\]: Tuple should have at least 1 item"),
        ([7], "plan.codecs.0 = 7: Input should be a valid string"),
        ("none", "plan.codecs = 'none': Input should be a valid tuple"),
        (["no_such_module:CODEC"], "codec = 'no_such_module:CODEC' cannot be imported"),
    ],
)
def test_lists_that_are_refused(codecs: Any, message: str) -> None:
    with pytest.raises(ScenarioError, match=message) as refused:
        coded(codecs=codecs)
    assert len(str(refused.value).split("; ")) == 1
    assert "\n" not in str(refused.value)


def test_what_codecs_do_not_go_with_is_refused() -> None:
    with pytest.raises(ScenarioError, match=r"plan.codecs = \['fp16'\] with learner = 'surrogate'"):
        gym.make("SplitLearning-v0", scenario="toy", learner="surrogate", plan={"codecs": ["fp16"]})
    with pytest.raises(ScenarioError, match=r"plan.codecs = \['top-k'\] with framework 'epsl-pt'"):
        coded("epsl-pt", codecs=["none", "top-k"])
    with pytest.raises(ScenarioError, match=r"plan\.codec = 'each'"):
        build("toy", {"plan": {"codec": "each"}})


def test_phased_aggregation_goes_on_with_codecs() -> None:
    codecs = ("uniform-4", "c3:3")
    env = coded("epsl-pt", codecs=codecs, by_client=True, training={"switch_round": 2})
    env.reset(seed=0)
    played = [info for *_, info in play_on(env, sampled_actions(env, 4))]
    assert [float(info["aggregation_ratio"]) for info in played] == [1.0, 1.0, 0.0, 0.0]
    # It prescribes phi = 1, for which clients need a common codec.
    assert all(np.ndim(info["codec"]) == 0 for info in played)


def test_the_codec_of_each_client_is_observed() -> None:
    env = coded("psl", by_client=True)
    seen, _ = env.reset(seed=0)
    places = [env.observation_names.index(f"codec[{i}]") for i in range(3)]
    assert not seen[places].any()
    # The powers of a random action may be none where its owners are not these.
    env.action_space.seed(0)
    owner = np.array([0, 1, 2, 0])
    psd = even_psd(env.state, owner)
    base = replace(env.decode(env.action_space.sample()), assignment=owner, power_w_per_hz=psd)
    for codec, selected, expected in [
        ([4, 2, 1], [1, 1, 1], [4, 2, 1]),
        ([0, 3, 3], [1, 0, 1], [0, 2, 3]),
        (1, [0, 1, 0], [0, 1, 3]),
    ]:
        decision = replace(base, codec=np.array(codec), selected=np.array(selected, bool))
        seen, *_, info = env.play(decision)
        assert info["participants"].tolist() == decision.selected.tolist()
        np.testing.assert_allclose(seen[places], np.array(expected) / 4)
        np.testing.assert_array_equal(env.state.client_codec, expected)
    assert not env.reset(seed=1)[0][places].any()
    assert "codec[0]" not in coded(codecs=("fp16",)).observation_names


@pytest.mark.parametrize("by_client", [False, True])
def test_vector_and_single_agree(by_client: bool) -> None:
    single = coded("epsl", by_client=by_client, family={"clients": (2, 3)})
    arguments = dict(single.spec.kwargs) | {"action": "discrete"}
    assert_vector_agrees(2, 3, ("codec", "traffic_bits", "loss", "accuracy"), **arguments)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda env: pickle.loads(pickle.dumps(env))])
def test_copies_go_on_as_the_original(copied: Any) -> None:
    """Random rounding and the codecs with which clients took part last belong to what is copied."""
    env = coded("psl", by_client=True, codecs=("uniform-2", "random-top-k:0.2", "c3-unitary:2"))
    actions = sampled_actions(env, 6)
    rollout(env, 3, actions[:3])
    other = copied(env)
    assert not differences(play_on(env, actions[3:]), play_on(other, actions[3:]))


def test_the_same_seed_repeats_the_run_to_the_bit() -> None:
    env = coded("epsl", codecs=("uniform-2", "random-top-k:0.2"), by_client=True)
    actions = sampled_actions(env, 4)
    assert not differences(rollout(env, 3, actions), rollout(env, 3, actions))


def test_a_codec_that_loses_nothing_changes_only_what_is_sent() -> None:
    """ "top-k:1" sends all numbers and their places: the training is that of "none", the bits are more."""
    env, other = (coded("psl", codecs=("none", "top-k:1"), task={"model": "mlp"}) for _ in range(2))
    for each in (env, other):
        each.reset(seed=0)
    decision = allocate(env.state, Plan(1), np.ones(3, bool))
    for _ in range(3):
        *_, info = env.play(replace(decision, codec=0))
        *_, told = other.play(replace(decision, codec=1))
        assert told["loss"] == pytest.approx(info["loss"], rel=1e-5)
        # 32 features of 7 rows: values, and five bits for the place of each, go up; values alone come down.
        assert told["traffic_bits"] - info["traffic_bits"] == pytest.approx(3 * 7 * 32 * 5)


def test_on_demand_a_round_with_codecs_is_no_longer() -> None:
    sharing = {"radio": {"subchannels": 4, "sharing": "on-demand"}, "clients": {"count": 4}}
    static, lent = (coded("psl", "discrete", by_client=True, **each) for each in ({"clients": {"count": 4}}, sharing))
    shorter = 0
    for env in (static, lent):
        env.reset(seed=6)
    for action in sampled_actions(static, 20):
        decision = static.decode(action)
        *_, info = static.play(decision)
        *_, told = lent.play(decision)
        assert told["traffic_bits"] == pytest.approx(info["traffic_bits"])
        assert told["loss"] == info["loss"]
        assert told["round_latency_s"] <= info["round_latency_s"] * (1 + 1e-9)
        shorter += told["round_latency_s"] < 0.999 * info["round_latency_s"]
    assert shorter


def test_invariants_over_random_rounds() -> None:
    env = coded("epsl", "discrete", by_client=True, clients={"count": 4, "dropout_probability": 0.2})
    env.reset(seed=0)
    env.action_space.seed(0)
    phis = set()
    for _ in range(200):
        seen, reward, terminated, _, info = env.step(env.action_space.sample())
        assert env.observation_space.contains(seen)
        assert np.isfinite([reward, info["loss"], info["round_latency_s"], info["energy_j"]]).all()
        assert sum(info["stages"].values()) == pytest.approx(info["round_latency_s"])
        assert info["finite"]
        if info["participants"].any():
            assert sent_bits(env) == pytest.approx(info["traffic_bits"] - info["migration_bits"], rel=1e-9)
        last = env.state.client_codec
        assert (last[info["participants"]] == np.broadcast_to(info["codec"], 4)[info["participants"]]).all()
        phis.add(float(info["aggregation_ratio"]))
        if terminated:
            env.reset()
    assert phis > {0.0}


def test_an_own_codec_by_its_module(tmp_path: Any, monkeypatch: Any) -> None:
    """Signs and a common size: one bit for a number."""
    (tmp_path / "signs.py").write_text(
        """
from math import prod
import torch
from splitgym.frameworks.codecs import Codec, Costs
from splitgym.frameworks.codecs.packing import from_bytes, pack, to_bytes, unpack

class Signs(Codec):
    name = "signs"
    def costs(self, rows, features):
        numbers = rows * prod(features)
        bits = 8 * -(-numbers // 8) + 32 * (rows > 0)
        return Costs(bits, bits, numbers, numbers, numbers, numbers)
    def pack(self, x, generator):
        return torch.cat([to_bytes(x.abs().mean()[None]), pack((x > 0).flatten(), 1)]), None
    def unpack(self, payload, shape):
        size = from_bytes(payload[:4], torch.float32)
        return (size * (2.0 * unpack(payload[4:], 1, prod(shape)).float() - 1)).view(shape), None

SIGNS = Signs()
"""
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    env = coded("epsl", codecs=("none", "signs:SIGNS"))
    env.reset(seed=0)
    for sample in sampled_actions(env, 5):
        *_, info = env.step(sample)
        if info["participants"].any():
            assert sent_bits(env) == pytest.approx(info["traffic_bits"] - info["migration_bits"])
    assert frameworks.codec("signs:SIGNS").name == "signs"
