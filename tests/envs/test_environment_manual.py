"""The environment's class docstring is its manual: every table in it must say what the code does."""

import ast
import inspect
import re

import numpy as np
import pytest
from books import books  # noqa: F401 - a fixture
from gymnasium import spaces
from gymnasium.vector import AutoresetMode
from rollouts import ACTIONS, make

from splitgym import frameworks
from splitgym.envs import SplitLearningEnv, SplitLearningVectorEnv
from splitgym.envs.rewards import REWARDS
from splitgym.frameworks.codecs import CODECS, codec
from splitgym.learning import LEARNERS, start

MANUAL = inspect.getdoc(SplitLearningEnv)
SECTIONS = [
    "Description",
    "Action Space",
    "Observation Space",
    "Rewards",
    "Starting State",
    "Episode End",
    "Arguments",
    "Info",
    "Vectorized environment",
    "Version History",
    "References",
]


def section(title):
    return re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", MANUAL, re.MULTILINE | re.DOTALL)[1]


def table(title, number=0):
    """Rows of cells of the section's table of that number, without head and rule."""
    lines = re.findall(r"(?:^\|.*\n)+", section(title), re.MULTILINE)[number].splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def quoted(text):
    return re.findall(r"`([^`]+)`", text)


def test_manual_has_the_usual_sections_in_the_usual_order():
    assert re.findall(r"^## (.*)$", MANUAL, re.MULTILINE) == SECTIONS


def test_arguments_are_those_of_the_constructor_with_their_defaults():
    documented = {
        quoted(name)[0]: ast.literal_eval(quoted(default)[0])
        for name, default, _ in table("Arguments")
        if name.startswith("`")
    }
    parameters = list(inspect.signature(SplitLearningEnv).parameters.values())
    assert parameters[-1].kind is inspect.Parameter.VAR_KEYWORD
    assert documented == {p.name: p.default for p in parameters[:-1]}
    assert list(documented) == [p.name for p in parameters[:-1]]
    assert table("Arguments")[-1][0] == "anything else"


@pytest.mark.parametrize(("argument", "allowed"), [("action", (*ACTIONS, "rule")), ("learner", LEARNERS)])
def test_allowed_values_are_all_listed_and_all_work(argument, allowed):
    text = next(row[2] for row in table("Arguments") if row[0] == f"`{argument}`")
    listed = tuple(value.strip('"') for value in quoted(text))
    assert sorted(listed) == sorted(allowed)
    for value in listed:
        make("iot", **{argument: value})


def test_frameworks_are_all_described_and_all_work():
    described = [ast.literal_eval(quoted(row[0])[0]) for row in table("Description") if len(row) == 2]
    assert tuple(described) == frameworks.names()
    for name in described:
        make(framework=name)


def test_autoreset_modes_are_those_of_gymnasium_and_the_default_is_marked():
    rows = [row for row in table("Vectorized environment") if row[0].startswith("`")]
    assert {ast.literal_eval(quoted(row[0])[0]) for row in rows} == {mode.value for mode in AutoresetMode}
    (default,) = (ast.literal_eval(quoted(row[0])[0]) for row in rows if "default" in row[0])
    assert inspect.signature(SplitLearningVectorEnv).parameters["autoreset_mode"].default is AutoresetMode(default)


def test_rewards_table_is_the_weights():
    documented = {}
    for name, terms in table("Rewards"):
        pairs = [term.split() for term in terms.split(" + ")]
        documented[ast.literal_eval(quoted(name)[0])] = {term: float(weight) for weight, term in pairs}
    assert documented == {name: dict(weights) for name, weights in REWARDS.items()}


def test_info_keys_are_all_documented_and_no_others(books, monkeypatch):  # noqa: F811
    # With all that a scenario can open.
    plan = {"codecs": ["none", "fp16"], "precisions": [32, 8], "clock": "decided", "batch_sizes": [1, 64]}
    opened = make("toy", plan=plan, clients={"memory_min_bytes": 1e6, "memory_max_bytes": 1e6})
    after_reset, after_step = {}, {}
    balanced = make(framework="async-psl", training={"label_balancing": "generated"})
    means = make(framework="sfl-v2", plan={"averaging": "decided"})
    cuts = make(framework="hierarchical", plan={"second_cut": "decided"})
    hops = make("mesh", framework="multi-hop", training={"micro_batches": 2})
    several = make("highway", action="schedule", learner="surrogate")
    monkeypatch.setattr(start, "take_base_weights", lambda network: None)
    of_text = make("lora", task={"train_samples": 40, "evaluation_samples": 4})
    for env in (make(), opened, means, balanced, cuts, hops, several, of_text):
        after_reset |= env.reset(seed=0)[1]
        after_step |= env.step(env.action_space.sample())[-1]
    both, step_only = section("Info").split("After `step` also")
    assert set(quoted(both)) - {"reset", "step"} == set(after_reset)
    keys = {key for row in table("Info") for key in quoted(row[0])}
    assert keys == set(after_step) - set(after_reset)
    # Nodes of a path are numbered.
    assert {re.sub(r"_\d$", "_h", stage) for stage in after_step["stages"]} <= set(quoted(step_only))


def test_reward_terms_are_documented():
    env = make()
    env.reset(seed=0)
    *_, info = env.step(env.action_space.sample())
    before_the_table = section("Rewards").split("|")[0]
    assert set(info["reward_terms"]) <= set(quoted(before_the_table))


WORDS = {
    "channel": "channel",
    "compute": "compute",
    "training loss": "loss",
    "data share": "data_share",
    "available": "available",
    "took part": "took_part",
    "cut layer up to which": "client_cut_layer",
    "rounds since": "absence",
    "rounds in which": "experience",
    "diversity of": "diversity",
    "novelty of": "novelty",
    "test accuracy": "accuracy",
    "cut layer of the last round": "cut_layer",
    "aggregation ratio": "aggregation_ratio",
    "latency of the last round": "round_latency",
    "fraction of the round budget left": "rounds_left",
    "fraction of the time budget left": "time_left",
    "only with": "subchannel",
}
"""How a row of the observation table begins, and the name that stands at its indices."""


def value_at(expression, clients):
    return eval(re.sub(r"(\d)C", r"\1*C", expression), {"C": clients})


@pytest.mark.parametrize(("preset", "action"), [("toy", "discrete"), ("iot", "discrete"), ("iot", "schedule")])
def test_observation_table_says_what_stands_at_each_index(preset, action):
    env = make(preset, action=action)
    clients, subchannels = env.scenario.clients.count, env.scenario.radio.subchannels
    names, documented = env.observation_names, {}
    for index, text in table("Observation Space"):
        name = next(name for start, name in WORDS.items() if text.startswith(start))
        first, _, last = index.partition(" ..")
        first = value_at(first, clients)
        if name == "subchannel":
            pairs = [(i, k) for i in range(clients) for k in range(subchannels) if action == "discrete"]
            documented |= {first + n: f"subchannel[{i},{k}]" for n, (i, k) in enumerate(pairs)}
        elif last:
            assert value_at(last, clients) - first == clients - 1
            documented |= {first + i: f"{name}[{i}]" for i in range(clients)}
        else:
            documented[first] = name
    assert [documented[i] for i in sorted(documented)] == list(names)
    assert sorted(documented) == list(range(len(names)))


def test_action_table_says_the_spaces():
    env = make("iot")
    scenario = env.scenario
    sizes = {"M": scenario.radio.subchannels, "C": scenario.clients.count, "L": env.cut_layers + 1}
    encodings = [row for row in table("Action Space") if len(row) == 3]
    for name, space, _ in encodings:
        action = ast.literal_eval(quoted(name)[0])
        kind, length = re.fullmatch(r"(\w+)(?:\(-1, 1\))?, (.*)", space).groups()
        expected = eval(re.sub(r"([\dC]) (?=[\w(])", r"\1*", length), sizes)
        got = make("iot", action=action).action_space
        assert isinstance(got, getattr(spaces, kind))
        assert (got.n if kind == "Discrete" else got.shape) == (expected if kind == "Discrete" else (expected,))
    assert {ast.literal_eval(quoted(row[0])[0]) for row in encodings} == {*ACTIONS, "rule"}


def test_codecs_of_the_manual_are_those_that_there_are():
    rows = [(ast.literal_eval(name), text) for names, text in table("Action Space", 1) for name in quoted(names)]
    assert {name.partition(":")[0] for name, _ in rows} == set(CODECS)
    # Of 64 rows of 16 x 100 features; scales and places come on top.
    bits = {name: codec(name).costs(64, (16, 100)).downlink_bits / (64 * 1600) for name, _ in rows}
    said = {"32 bit": 32, "16 bit": 16, "a tenth": 3.2, "a quarter": 8}
    for name, text in rows:
        expected = [number for words, number in said.items() if text.startswith(words)] or [int(name[-1])]
        assert bits[name] == pytest.approx(expected[0], rel=1e-2)


def test_render_modes_of_the_manual_are_those_of_the_metadata():
    text = next(row[2] for row in table("Arguments") if row[0] == "`render_mode`")
    listed = [value.strip('"') for value in quoted(text) if value != "None"]
    assert sorted(listed) == sorted(SplitLearningEnv.metadata["render_modes"])


def test_default_environment_is_the_one_of_the_manual():
    env = SplitLearningEnv()
    assert env.scenario.name == "iot"
    assert env.framework.name == "epsl"
    assert np.prod(env.action_space.shape) == 2 * 8 + 8 + 2
