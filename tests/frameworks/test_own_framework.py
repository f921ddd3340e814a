"""A framework from outside of the package, by `module:NAME`."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec

import splitgym  # noqa: F401 - registers the environment
from splitgym.frameworks import get, names
from splitgym.scenario import ScenarioError

MODULE = """
from dataclasses import replace
from splitgym.frameworks import get
from splitgym.frameworks.segments import Segment

TWIN = replace(get("epsl"), name="twin")
TAKEN = replace(get("epsl"), joint_batch=False)
NUMBER = 3


def phases(w):
    as_mine = {"cloud": "relay", "backhaul": "wire"}
    theirs = get("hierarchical").phases(w)
    return [phase._replace(resource=as_mine.get(phase.resource, phase.resource)) for phase in theirs]


RELAYED = replace(
    get("hierarchical"),
    name="relayed",
    phases=phases,
    segments=(*get("hierarchical").segments[:2], Segment("relay")),
)
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Name of a module with frameworks, another one in each test."""
    name = tmp_path.name
    (tmp_path / f"{name}.py").write_text(MODULE, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    return name


def rollout(env):
    env.reset(seed=3)
    played = [env.step(np.array([1, 1, 1, 2]))[-1] for _ in range(3)]
    return [(info["accuracy"], info["loss"], info["round_latency_s"], info["energy_j"]) for info in played]


def test_own_framework_trains_and_is_timed_as_what_it_is_made_of(module):
    own, epsl = (
        gym.make("SplitLearning-v0", scenario="toy", action="schedule", framework=f) for f in (f"{module}:TWIN", "epsl")
    )
    assert own.unwrapped.framework.name == "twin"
    assert rollout(own) == rollout(epsl)


RELAY = {"name": "relay", "compute_hz": 3e7, "cycles_per_flop": 0.5, "switched_capacitance": 2e-21}
WIRE = {"name": "wire", "ends": ("relay", "server"), "bits_per_s": 5e5}


@pytest.mark.parametrize("sharing", ["static", "on-demand"])
def test_rows_of_nodes_and_links_are_to_a_framework_what_the_cloud_is(module, sharing):
    common = {"scenario": "toy", "action": "schedule", "radio": {"sharing": sharing}, "plan": {"second_cut": "decided"}}
    cloud = {
        "compute_hz": RELAY["compute_hz"],
        "cycles_per_flop": RELAY["cycles_per_flop"],
        "switched_capacitance": RELAY["switched_capacitance"],
        "link_bits_per_s": WIRE["bits_per_s"],
    }
    own = gym.make(
        "SplitLearning-v0",
        framework=f"{module}:RELAYED",
        nodes=[RELAY],
        links=[WIRE],
        cloud={"cycles_per_flop": 0.5},
        **common,
    )
    theirs = gym.make("SplitLearning-v0", framework="hierarchical", cloud=cloud, **common)
    for env in (own, theirs):
        env.reset(seed=3)
    for second in (1, 0, 1):  # Units move over the link, too.
        mine, other = (env.step(np.array([0, second, 1, 1, 0]))[-1] for env in (own, theirs))
        for field in ("accuracy", "loss", "round_latency_s", "energy_j", "traffic_bits", "stages"):
            assert mine[field] == other[field]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ({"nodes": [RELAY]}, "resource 'wire' of a phase is unknown"),
        ({"links": []}, "node 'relay' of a framework's segment is unknown"),
        ({"nodes": [RELAY], "links": [{**WIRE, "ends": ("relai", "server")}]}, "row 'wire': no node 'relai', did you"),
        (
            {"nodes": [RELAY], "links": [{**WIRE, "ends": ("relay", "relay")}]},
            "row 'wire': ends = .*, allowed: two",
        ),
        ({"nodes": [RELAY, RELAY], "links": [WIRE]}, "have the name 'relay', allowed: names that nothing else has"),
        ({"nodes": [{**RELAY, "name": "cloud"}]}, "have the name 'cloud', allowed"),
        ({"nodes": [{**RELAY, "speed": 3}]}, "nodes.*unknown field 'speed'"),
        ({"nodes": [{**RELAY, "compute_hz": -1}]}, r"nodes\.0\.compute_hz"),
    ],
)
def test_rows_that_do_not_fit_are_named(module, rows, message):
    with pytest.raises(ScenarioError, match=message):
        gym.make("SplitLearning-v0", scenario="toy", framework=f"{module}:RELAYED", **rows)


def test_own_framework_is_found_again_from_json(module):
    env = gym.make("SplitLearning-v0", scenario="toy", framework=f"{module}:TWIN")
    again = gym.make(EnvSpec.from_json(env.spec.to_json()))
    assert again.unwrapped.framework is env.unwrapped.framework is get(f"{module}:TWIN")


def test_names_are_those_of_the_package(module):
    get(f"{module}:TWIN")
    assert "twin" not in names()
    assert all(":" not in name for name in names())


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("{}:NUMBER", "has no Framework 'NUMBER'"),
        ("{}:NONE", "has no Framework 'NONE'"),
        ("{}:", "has no Framework ''"),
        ("{}:TAKEN", "its name 'epsl' is that of a framework of the package"),
        ("nowhere_to_be_found:TWIN", "cannot be imported: .*No module named 'nowhere_to_be_found'"),
        (":TWIN", "cannot be imported"),
        (".relative:TWIN", "cannot be imported"),
        ("epls", "did you mean 'epsl'.*module:NAME"),
    ],
)
def test_what_is_no_framework_is_refused_in_one_line(module, name, message):
    name = name.format(module)
    with pytest.raises(ScenarioError, match=message) as error:
        get(name)
    assert repr(name) in str(error.value)
    assert "\n" not in str(error.value)


def test_own_framework_has_no_calibration(module):
    with pytest.raises(ScenarioError, match=r"framework 'twin' .* not calibrated"):
        gym.make("SplitLearning-v0", scenario="toy", framework=f"{module}:TWIN", learner="surrogate")


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("def f(:", "SyntaxError"),
        ("1 / 0", "ZeroDivisionError"),
        ("import sys; sys.exit(3)", "SystemExit: 3"),
        ("x", "Name"),
    ],
)
def test_a_module_that_cannot_be_imported_says_why_in_one_line(module, tmp_path, text, fault):
    (tmp_path / f"{module}_broken.py").write_text(text, encoding="utf-8")
    with pytest.raises(ScenarioError, match=f"'{module}_broken:TWIN' cannot be imported: {fault}") as error:
        get(f"{module}_broken:TWIN")
    assert "\n" not in str(error.value)
