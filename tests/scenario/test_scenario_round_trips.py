"""Scenarios by name, path and mapping; what goes out as JSON or TOML comes back equal."""

import json
import tomllib
from pathlib import Path

import gymnasium as gym
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

import splitgym  # noqa: F401 - registers the environment
from splitgym.scenario import Clients, Scenario, build, load, presets

PRESETS = (
    "bandwidth-limited",
    "boards",
    "campus",
    "edge6g",
    "epsl",
    "highway",
    "hospitals",
    "iot",
    "iot-family",
    "iot-wide",
    "lora",
    "mesh",
    "narrowband",
    "stragglers",
    "three-tier",
    "toy",
    "wearables",
)
FREE = tuple(name for name in PRESETS if name not in ("iot-family", "iot-wide", "highway"))
"""Presets without ranges, or a road, that an override could contradict."""


def share(low=0.0, high=1.0):
    return st.floats(low, high)


LEVELS = st.lists(share(), min_size=1, max_size=6, unique=True).map(lambda levels: tuple(sorted(levels)))
SECTIONS = {
    "cell": st.fixed_dictionaries(
        {},
        optional={
            "radius_m": st.floats(51, 1e5),
            "speed_m_per_s": st.floats(0, 50),
            "line_of_sight": st.sampled_from(["probabilistic", "always", "never"]),
            "shadowing": st.booleans(),
        },
    ),
    "radio": st.fixed_dictionaries(
        {},
        optional={
            "subchannels": st.integers(1, 300),
            "subchannel_hz": st.floats(1, 1e13),
            "noise_psd_dbm_per_hz": st.floats(-250, 0),
            "fading_correlation": share(),
        },
    ),
    "clients": st.fixed_dictionaries({}, optional={"count": st.integers(1, 10_000), "load_max": share(0, 0.999)}),
    "task": st.fixed_dictionaries(
        {},
        optional={
            "dataset": st.sampled_from(["digits", "mnist", "ham10000"]),
            "train_samples": st.none() | st.integers(1, 10**6),
            "evaluation_samples": st.none() | st.integers(1, 10**6),
        },
    ),
    "actions": st.fixed_dictionaries({}, optional={"aggregation_levels": LEVELS, "power_levels": LEVELS}),
    "name": st.text(st.characters(exclude_categories=["C", "Z"]), max_size=20).map("a {}b".format),
}


def test_presets_are_these_in_alphabetical_order():
    assert presets() == PRESETS


@pytest.mark.parametrize("name", PRESETS)
def test_preset_says_its_own_name_and_what_it_stands_for(name):
    scenario = load(name)
    assert scenario.name == name
    assert len(scenario.description) > 20


@pytest.mark.parametrize("name", PRESETS)
def test_preset_comes_back_from_json_and_toml(name):
    scenario = load(name)
    assert Scenario.model_validate_json(scenario.model_dump_json()) == scenario
    assert build(json.loads(scenario.model_dump_json())) == scenario
    assert build(tomllib.loads(scenario.to_toml())) == scenario
    assert build(scenario) == scenario


@given(name=st.sampled_from(FREE), overrides=st.fixed_dictionaries({}, optional=SECTIONS))
def test_any_scenario_comes_back_from_json_and_toml(name, overrides):
    scenario = build(name, overrides)
    assert build(json.loads(scenario.model_dump_json())) == scenario
    assert build(tomllib.loads(scenario.to_toml())) == scenario
    for section, fields in overrides.items():
        if section != "name":
            assert {field: getattr(getattr(scenario, section), field) for field in fields} == fields


def test_overrides_replace_single_fields_and_leave_the_rest_of_the_section():
    scenario = build("iot", {"clients": {"count": 20}, "episode": {"target_accuracy": 0.5}})
    expected = load("iot").model_dump()
    expected["clients"]["count"] = 20
    expected["episode"]["target_accuracy"] = 0.5
    assert scenario.model_dump() == expected
    assert load("iot").clients.count == 8


def test_overrides_change_neither_the_source_nor_themselves():
    source, overrides = {"clients": {"count": 3}}, {"clients": {"load_max": 0.5}}
    scenario = build(source, overrides)
    assert (scenario.clients.count, scenario.clients.load_max) == (3, 0.5)
    assert source == {"clients": {"count": 3}}
    assert overrides == {"clients": {"load_max": 0.5}}


def test_overrides_of_a_scenario_object_merge_too():
    assert build(load("toy"), {"clients": {"count": 4}}) == build("toy", {"clients": {"count": 4}})


def test_a_whole_section_replaces_a_section():
    clients = Clients(count=7)
    assert build("toy", {"clients": clients}).clients == clients


@pytest.mark.parametrize("kind", [str, Path])
def test_a_toml_file_is_a_scenario_in_load_and_in_make(tmp_path, kind):
    path = tmp_path / "my cell.toml"
    expected = build("toy", {"name": "mine", "clients": {"count": 3}})
    path.write_text(expected.to_toml(), encoding="utf-8")
    assert load(kind(path)) == expected
    assert gym.make("SplitLearning-v0", scenario=kind(path)).unwrapped.scenario == expected


def test_a_file_needs_only_what_differs_from_the_defaults(tmp_path):
    path = tmp_path / "small.toml"
    path.write_text("[clients]\ncount = 3\n")
    assert load(path) == Scenario(clients=Clients(count=3))


@pytest.mark.parametrize(("section", "field"), [(None, "name"), ("clients", "count"), ("radio", "subchannels")])
def test_scenarios_are_frozen(section, field):
    scenario = load("toy")
    target = scenario if section is None else getattr(scenario, section)
    with pytest.raises(ValidationError, match="frozen"):
        setattr(target, field, 3)
