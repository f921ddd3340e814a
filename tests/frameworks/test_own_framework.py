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

TWIN = replace(get("epsl"), name="twin")
TAKEN = replace(get("epsl"), joint_batch=False)
NUMBER = 3
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
