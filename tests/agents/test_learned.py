"""Trained policies act from their files as they did in memory, and say what does not fit."""

import builtins
import importlib
import pickle
import tomllib
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
import tomli_w
import torch
from safetensors.torch import load_file, save_file
from small_trainings import learner, rounds, toy

import agents
from agents import algorithms, learned
from agents.inference import answer
from agents.policy_file import Card, PolicyError, save
from agents.training.validation import Validation


@pytest.fixture
def own(policies, tmp_path):
    """A copy of the equivariant policy to be damaged."""
    for path in policies["ppo-equivariant"].glob("policy.*"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path


@pytest.mark.parametrize("name", algorithms.ALGORITHMS)
def test_policy_from_its_files_acts_as_the_learner_did(name, policies):
    """The learner is that of the same moment, an object of Stable-Baselines3."""
    agent = agents.make(name, toy(name), policy=policies[name])
    model = learner(policies[name], name)
    if agent.card.steps != model.num_timesteps:
        # The best policy was an earlier one: take its weights, which is what the file is about.
        model.policy.load_state_dict(load_file(policies[name] / "policy.safetensors"))
    memory, begins = None, np.array([True])
    for observation, action in rounds(agent):
        masks = {"action_masks": agent.env.action_masks()} if name == "maskable-ppo" else {}
        expected, memory = model.policy.predict(observation[None], memory, begins, deterministic=True, **masks)
        begins[:] = False
        assert np.array_equal(action, expected[0])


@pytest.mark.parametrize("name", algorithms.ALGORITHMS)
def test_weights_in_the_file_are_those_in_memory_to_the_bit(name, policies):
    agent = agents.make(name, toy(name), policy=policies[name])
    weights, held = load_file(policies[name] / "policy.safetensors"), agent.policy.state_dict()
    assert weights.keys() == held.keys()
    assert all(torch.equal(weights[key], held[key]) for key in weights)


@pytest.mark.parametrize("name", algorithms.ALGORITHMS)
def test_loading_unpickles_nothing(name, policies, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("something was unpickled")

    env = toy(name)
    env.reset(seed=0)
    for module, functions in (
        ("pickle", ("load", "loads", "Unpickler")),
        ("torch", ("load",)),
        ("cloudpickle", ("load", "loads")),
    ):
        for function in functions:
            monkeypatch.setattr(importlib.import_module(module), function, refuse)
    monkeypatch.setattr(builtins, "eval", refuse)
    agents.make(name, env, policy=policies[name])


def test_a_pickle_in_place_of_the_weights_is_refused_and_not_executed(own):
    class Bomb:
        def __reduce__(self):
            return Path.touch, (own / "executed",)

    (own / "policy.safetensors").write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(PolicyError, match=r"policy\.safetensors' is broken"):
        agents.make("ppo-equivariant", toy("ppo-equivariant"), policy=own)
    assert not (own / "executed").exists()


def changed_card(folder, **changes):
    path = folder / "policy.toml"
    card = {**tomllib.loads(path.read_text()), **changes}
    path.write_text(tomli_w.dumps({name: value for name, value in card.items() if value is not None}))


def changed_weights(folder, change):
    path = folder / "policy.safetensors"
    weights = load_file(path)
    change(weights)
    save_file(weights, path)
    changed_card(folder, weights=sha256(path.read_bytes()).hexdigest())


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda f: (f / "policy.safetensors").unlink(), ("path of a run folder", ".safetensors")),
        (lambda f: (f / "policy.safetensors").write_bytes(b""), ("policy.safetensors", "broken")),
        (
            lambda f: (f / "policy.safetensors").write_bytes((f / "policy.safetensors").read_bytes()[:-100]),
            ("policy.safetensors", "broken"),
        ),
        (lambda f: (f / "policy.toml").unlink(), ("policy.toml", "cannot be read")),
        (lambda f: (f / "policy.toml").write_text("= 3"), ("policy.toml", "broken")),
        (lambda f: (f / "policy.toml").write_bytes(b"\xff"), ("policy.toml", "cannot be read: it is not in UTF-8")),
        (lambda f: changed_card(f, weights="0" * 64), ("other weights than those of its card",)),
        (lambda f: changed_card(f, seed=None), ("policy.toml", "seed is missing")),
        (lambda f: changed_card(f, mood="good"), ("policy.toml", "mood is not expected")),
        (lambda f: changed_card(f, algorithm="tqc"), ("of algorithm 'tqc', not 'ppo-equivariant'",)),
        (lambda f: changed_card(f, action="schedule"), ("acts with action='schedule'", "'ppo-equivariant': priority")),
        (lambda f: changed_card(f, policy={"width": 9}), ("does not fit", "shape", "this environment needs")),
        (lambda f: changed_card(f, policy={"breadth": 8}), ("cannot be built", "breadth")),
        (lambda f: changed_weights(f, lambda w: w.pop("value_net.bias")), ("value_net.bias is missing",)),
        (lambda f: changed_weights(f, lambda w: w.update(x=torch.ones(1))), ("x is not expected",)),
    ],
    ids=[
        "no weights",
        "empty weights",
        "half the weights",
        "no card",
        "card is no TOML",
        "card is binary",
        "card of other weights",
        "card lacks a field",
        "card has one too many",
        "other algorithm",
        "other encoding",
        "other width",
        "unknown argument",
        "tensor missing",
        "tensor too many",
    ],
)
def test_damage_is_one_clear_error(own, damage, words):
    damage(own)
    with pytest.raises(PolicyError) as caught:
        agents.make("ppo-equivariant", toy("ppo-equivariant"), policy=own)
    text = str(caught.value)
    assert "\n" not in text
    assert all(word in text for word in words), text


@pytest.mark.parametrize("name", ["ppo", "recurrent-ppo", "maskable-ppo"])
@pytest.mark.parametrize(
    ("options", "space"),
    [
        ({"clients": {"count": 3}}, "observation"),
        ({"framework": "psl"}, "action"),
        ({"actions": {"aggregation_levels": (0.0, 1.0)}, "action": "priority"}, "action"),
    ],
)
def test_plain_policies_serve_their_own_spaces_only(policies, name, options, space):
    with pytest.raises(PolicyError, match=f"has {space} space .*, this environment has .* with action='schedule'"):
        agents.make(name, toy(name, **options), policy=policies[name])


@pytest.mark.parametrize(
    "options",
    [
        *({"clients": {"count": count}, "radio": {"subchannels": 6}} for count in (1, 3, 6)),
        {"actions": {"aggregation_levels": (0.0, 1.0)}},
        {"scenario": "iot-family"},
    ],
    ids=["1 client", "3 clients", "6 clients", "other levels", "other cut layers and clients that are absent"],
)
def test_equivariant_policy_serves_any_number_of_clients_cut_layers_and_levels(policies, options):
    env = toy("ppo-equivariant", learner="surrogate" if "scenario" in options else "train", **options)
    agent = agents.make("ppo-equivariant", env, policy=policies["ppo-equivariant"])
    for _, action in rounds(agent):
        assert env.action_space.contains(action)


@pytest.mark.parametrize("clients", [2, 11, 12])
def test_equivariant_policy_needs_actions_that_say_what_it_decides(policies, clients):
    """Whatever the number of clients, and although a scenario with another factor may have as many components."""
    env = toy("ppo-equivariant", framework="psl", clients={"count": clients}, plan={"codecs": ("none", "fp16")})
    said = "latency_exponent, aggregation_ratio, this environment has cut_layer, codec, client_weight"
    with pytest.raises(PolicyError, match=said):
        agents.make("ppo-equivariant", env, policy=policies["ppo-equivariant"])


# Which policy ------------------------------------------------------------------------------------------------------


@pytest.fixture
def shipped(policies, tmp_path, monkeypatch):
    """As if the toy's equivariant policy were shipped, for the toy and in general."""
    for name in ("toy", learned.GENERAL):
        (tmp_path / "ppo-equivariant").mkdir(exist_ok=True)
        for ending in ("safetensors", "toml"):
            content = (policies["ppo-equivariant"] / f"policy.{ending}").read_bytes()
            (tmp_path / "ppo-equivariant" / f"{name}.{ending}").write_bytes(content)
    monkeypatch.setattr(learned, "TRAINED", tmp_path)
    return tmp_path / "ppo-equivariant"


def test_shipped_policy_is_that_of_the_scenario_or_the_general_one(shipped):
    changed_name = shipped / "toy.toml"
    changed_name.write_text(changed_name.read_text().replace("seed = 0", "seed = 7"))
    assert agents.make("ppo-equivariant", toy("ppo-equivariant")).card.seed == 7
    assert agents.make("ppo-equivariant", toy("ppo-equivariant", name="mine")).card.seed == 0
    assert agents.make("ppo-equivariant", toy("ppo-equivariant", name="mine"), policy="toy").card.seed == 7
    assert agents.make("ppo-equivariant", toy("ppo-equivariant"), policy=shipped / "toy.safetensors").card.seed == 7


def test_where_no_policy_is_shipped_the_error_says_how_to_train_one(shipped):
    with pytest.raises(PolicyError, match=r"splitgym train --algorithm ppo --scenario toy"):
        agents.make("ppo", toy("ppo"))
    with pytest.raises(PolicyError, match=r"policy = 'nowhere', allowed: iot-family, toy, path of a run folder"):
        agents.make("ppo-equivariant", toy("ppo-equivariant"), policy="nowhere")


def shipped_policies():
    return [(path.parent.name, path.stem) for path in sorted(learned.TRAINED.glob("*/*.safetensors"))]


def test_policies_are_shipped_for_the_main_scenarios():
    assert {("ppo-equivariant", name) for name in ("iot", "iot-family", "bandwidth-limited")} <= set(shipped_policies())


def test_cards_from_before_threads_were_counted_say_so(tmp_path):
    """Cards of now have everything."""
    later = ("training_steps", "torch_threads", "largest_change", "cost")
    lines = (learned.TRAINED / "ppo-equivariant" / "iot.toml").read_text(encoding="utf-8").splitlines(keepends=True)
    path = tmp_path / "card.toml"
    path.write_text("".join(line for line in lines if not line.startswith(later)), encoding="utf-8")
    assert [getattr(Card.read(path), name) for name in later] == [None] * 4


def test_card_of_now_states_the_threads_and_goes_through_its_file(policies, tmp_path):
    agent = agents.make("ppo", toy("ppo"), policy=policies["ppo"])
    assert agent.card.torch_threads == 1
    assert agent.card.training_steps == 128
    assert agent.card.largest_change > 0
    for card in (agent.card, replace(agent.card, torch_threads=None)):
        save(tmp_path / "policy", agent.policy, card)
        assert Card.read(tmp_path / "policy.toml") == card


def test_shipped_policies_are_as_good_as_their_cards_say():
    """On as many other episodes as those by which they were chosen: an eighth more or less is chance."""
    for name, scenario in shipped_policies():
        agent = agents.make(name, toy(name, scenario=scenario))
        environment = {"scenario": scenario, "learner": "surrogate", "action": agent.card.action}
        environment["task"] = {"evaluation_samples": None}
        score = Validation(algorithms.get(name), environment).score(agent.policy)
        assert score.facts["time_to_target_s"] == pytest.approx(agent.card.score["time_to_target_s"], rel=0.125)


# How it acts -------------------------------------------------------------------------------------------------------


def test_draws_come_from_the_generator_of_the_action_space_alone(policies):
    def actions(seed):
        agent = agents.make("ppo", toy("ppo"), policy=policies["ppo"], deterministic=False)
        agent.env.action_space.seed(seed)
        observation, info = agent.env.reset(seed=2)
        return [tuple(agent.act(observation, info)) for _ in range(20)]

    state = torch.get_rng_state()
    assert actions(1) == actions(1) != actions(2)
    assert len(set(actions(1))) > 1
    assert torch.equal(state, torch.get_rng_state())


def test_predict_takes_the_most_likely_action_if_asked(policies):
    agent = agents.make("ppo", toy("ppo"), policy=policies["ppo"], deterministic=False)
    observation, _ = agent.env.reset(seed=2)
    likely, _ = agents.make("ppo", agent.env, policy=policies["ppo"], deterministic=True).predict(observation)
    assert len({tuple(agent.predict(observation)[0]) for _ in range(20)}) > 1
    assert np.array_equal(agent.predict(observation, deterministic=True)[0], likely)
    assert np.array_equal(agent.predict(observation[None], deterministic=True)[0], likely[None])


def test_maskable_ppo_never_asks_for_who_is_away(policies):
    env = toy("maskable-ppo", clients={"dropout_probability": 0.5})
    agent = agents.make("maskable-ppo", env, policy=policies["maskable-ppo"], deterministic=False)
    observation, info = env.reset(seed=3)
    away = 0
    for _ in range(30):
        available = env.unwrapped.state.available
        action = agent.act(observation, info)
        assert not (action[1:-1].astype(bool) & ~available).any()
        away += int((~available).sum())
        observation, _, terminated, truncated, info = env.step(action)
        if terminated or truncated:
            observation, info = env.reset()
    assert away > 10


def test_memory_of_a_recurrent_policy_begins_with_the_episode(policies):
    agent = agents.make("recurrent-ppo", toy("recurrent-ppo"), policy=policies["recurrent-ppo"], deterministic=False)
    first = rounds(agent)
    memory = [state.clone() for state in map(torch.tensor, agent._memory)]
    assert any(state.abs().sum() > 0 for state in memory)
    again = rounds(agent)
    assert all(np.array_equal(a, b) for (_, a), (_, b) in zip(first, again, strict=True))
    assert all(torch.equal(state, torch.tensor(now)) for state, now in zip(memory, agent._memory, strict=True))


def test_answers_in_many_environments_are_those_in_each(policies):
    """Episodes that begin at different times, with memories of their own."""
    agent = agents.make("recurrent-ppo", toy("recurrent-ppo"), policy=policies["recurrent-ppo"])
    policy = agent.policy
    rng = np.random.default_rng(0)
    size = agent.env.observation_space.shape
    observations = rng.random((6, 3, *size), np.float32)
    begins = np.array([[True, True, True], *(rng.random((5, 3)) < 0.3)])
    together, alone = None, [None] * 3
    for step in range(6):
        actions, together = answer(policy, observations[step], together, begins[step], deterministic=True)
        for i, memory in enumerate(alone):
            one = observations[step, i : i + 1], memory, begins[step, i : i + 1]
            own, alone[i] = answer(policy, *one, deterministic=True)
            assert np.array_equal(actions[i], own[0])
