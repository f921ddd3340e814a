"""`EnvSpec` of an environment can be written as JSON, whatever it was made of, and makes the same environment again."""

import json
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.envs.registration import EnvSpec
from rollouts import differences

from splitgym.scenario import build

SETTINGS = {"scenario": "toy", "action": "schedule"}
MADE_OF = {
    "a scenario": {"scenario": build("toy")},
    "a changed scenario": {
        "scenario": build("toy", {"clients": {"count": 3}, "actions": {"power_levels": [0.5, 1.0]}})
    },
    "a section": {"clients": build("toy", {"clients": {"count": 3}}).clients},
    "sections in a mapping": {"scenario": {"clients": build("toy").clients, "task": {"dataset": "digits"}}},
    "numbers of numpy": {
        "clients": {"count": np.int64(3)},
        "cell": {"radius_m": np.float32(50.0), "shadowing": np.False_},
    },
    "arrays": {
        "family": {"clients": np.array([2, 3])},
        "clients": {"count": 3},
        "actions": {"power_levels": np.ones(1)},
    },
    "tuples": {"family": {"dirichlet_alpha": (0.2, 0.4)}, "task": {"partition": "dirichlet"}},
    "a device": {"device": torch.device("cpu")},
    "text of numpy": {"framework": np.str_("psl")},
}
MAKE = {
    "single": lambda **settings: gym.make("SplitLearning-v0", **settings),
    "vector": lambda **settings: gym.make_vec(
        "SplitLearning-v0", num_envs=2, vectorization_mode="vector_entry_point", **settings
    ),
}


@pytest.mark.parametrize("kind", MAKE)
@pytest.mark.parametrize("made_of", MADE_OF.values(), ids=MADE_OF)
def test_it_makes_the_same_environment_again(kind, made_of):
    env = MAKE[kind](**{**SETTINGS, **made_of})
    text = env.unwrapped.spec.to_json()
    again = {"single": gym.make, "vector": gym.make_vec}[kind](EnvSpec.from_json(text))
    assert again.unwrapped.scenario == env.unwrapped.scenario
    assert not differences(again.reset(seed=1), env.reset(seed=1))
    assert again.unwrapped.spec.to_json() == text


@pytest.mark.parametrize("kind", MAKE)
def test_a_path_is_written_as_text(kind, tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(build("toy").to_toml(), encoding="utf-8")
    env = MAKE[kind](**{**SETTINGS, "scenario": Path(path)})
    assert json.loads(env.unwrapped.spec.to_json())["kwargs"]["scenario"] == str(path)


def test_what_was_passed_stays_as_it_was():
    scenario, levels = build("toy"), np.ones(1)
    for make in MAKE.values():
        settings = {**SETTINGS, "scenario": scenario, "actions": {"power_levels": levels}}
        make(**settings)
        assert settings["scenario"] is scenario
        assert settings["actions"]["power_levels"] is levels
