"""What is wrong with a scenario is said in one line: field, value, what is allowed."""

import re

import numpy as np
import pytest

from splitgym.scenario import Cloud, ScenarioError, build, load


def message(source="toy", overrides=None):
    with pytest.raises(ScenarioError) as error:
        build(source, overrides)
    text = str(error.value)
    assert "\n" not in text
    assert "pydantic" not in text
    return text


@pytest.mark.parametrize(
    ("overrides", "unknown", "nearest"),
    [
        ({"client": {"count": 2}}, "client", "clients"),
        ({"clients": {"cuont": 2}}, "cuont", "count"),
        ({"radio": {"subchannel": 2}}, "subchannel", "subchannels"),
        ({"cell": {"radius": 2.0}}, "radius", "radius_m"),
        ({"episode": {"time_budget": 2}}, "time_budget", "time_budget_s"),
        ({"training": {"batchsize": 2}}, "batchsize", "batch_size"),
        ({"task": {"data_set": "digits"}}, "data_set", "dataset"),
        ({"actions": {"power_level": [1.0]}}, "power_level", "power_levels"),
        ({"knowledge": {"channel_delay_round": 1}}, "channel_delay_round", "channel_delay_rounds"),
        ({"server": {"compute_hzz": 1}}, "compute_hzz", "compute_hz"),
        ({"cloud": {"link_bit_per_s": 1}}, "link_bit_per_s", "link_bits_per_s"),
    ],
)
def test_unknown_field_names_the_nearest(overrides, unknown, nearest):
    text = message(overrides=overrides)
    assert repr(unknown) in text
    assert f"did you mean {nearest!r}?" in text
    if isinstance(next(iter(overrides.values())), dict) and unknown not in overrides:
        assert text.startswith(f"{next(iter(overrides))}: ")


def test_unknown_field_like_no_other_lists_all():
    text = message(overrides={"server": {"zzz": 1}})
    assert "'zzz'" in text
    assert all(name in text for name in ("compute_hz", "cycles_per_flop", "switched_capacitance"))


@pytest.mark.parametrize(
    ("overrides", "field", "value", "allowed"),
    [
        ({"clients": {"count": 0}}, "clients.count", "0", "greater than or equal to 1"),
        ({"clients": {"count": 2.5}}, "clients.count", "2.5", "integer"),
        ({"clients": {"count": "many"}}, "clients.count", "'many'", "integer"),
        ({"clients": {"load_max": 1.0}}, "clients.load_max", "1.0", "less than 1"),
        ({"radio": {"carrier_hz": -1}}, "radio.carrier_hz", "-1", "greater than 0"),
        ({"radio": {"noise_psd_dbm_per_hz": float("nan")}}, "radio.noise_psd_dbm_per_hz", "nan", "finite"),
        ({"radio": {"subchannel_hz": float("inf")}}, "radio.subchannel_hz", "inf", "finite"),
        ({"radio": {"fading": "nakagami"}}, "radio.fading", "'nakagami'", "'none', 'rayleigh' or 'rician'"),
        ({"task": {"dataset": "digit"}}, "task.dataset", "'digit'", "'digits', 'mnist' or 'ham10000'"),
        ({"task": {"test_fraction": 1}}, "task.test_fraction", "1", "less than 1"),
        ({"episode": {"target_accuracy": 80}}, "episode.target_accuracy", "80", "less than or equal to 1"),
        ({"cell": {"shadowing": "perhaps"}}, "cell.shadowing", "'perhaps'", "boolean"),
        ({"cloud": {"link_bits_per_s": 0}}, "cloud.link_bits_per_s", "0", "greater than 0"),
        ({"cloud": {"cut_layer": -1}}, "cloud.cut_layer", "-1", "greater than or equal to 0"),
        ({"clients": 5}, "clients", "5", "dictionary"),
        ({"actions": {"power_levels": []}}, "actions.power_levels", "[]", "at least 1"),
        ({"actions": {"power_levels": [0.5, "x"]}}, "actions.power_levels.1", "'x'", "number"),
        ({"clients": {"count": np.zeros((3, 3))}}, "clients.count", "array", "integer"),
        ({"cell": {"line_of_sight": "a\nb"}}, "cell.line_of_sight", r"'a\nb'", "'never'"),
    ],
)
def test_wrong_value_is_named_with_its_field_and_what_is_allowed(overrides, field, value, allowed):
    text = message(overrides=overrides)
    assert text.startswith(f"{field} = {value}")
    assert allowed in text


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ({"cell": {"min_distance_m": 100.0}}, ("cell", "min_distance_m = 100", "radius_m = 100")),
        ({"clients": {"compute_min_hz": 3e6}}, ("clients", "compute_min_hz = 3e+06", "compute_max_hz = 1e+06")),
        ({"cell": {"path_loss": "umi", "client_height_m": 1.0}}, ("cell", "client_height_m = 1", "1 m")),
        ({"cell": {"path_loss": "mmwave-28ghz"}}, ("radio.carrier_hz = 3.5e+09", "24e9 to 30e9")),
        ({"actions": {"power_levels": (0.5, 0.25)}}, ("actions", "power_levels = (0.5, 0.25)", "increasing")),
        ({"actions": {"power_levels": (0.5, 0.5)}}, ("actions", "power_levels", "increasing")),
        ({"actions": {"aggregation_levels": (0.5, 1.5)}}, ("actions", "aggregation_levels", "between 0 and 1")),
        ({"actions": {"aggregation_levels": (-0.5, 0.5)}}, ("actions", "aggregation_levels", "between 0 and 1")),
    ],
)
def test_fields_that_contradict_each_other_are_named(overrides, words):
    text = message(overrides=overrides)
    assert all(word in text for word in words), text


def test_several_mistakes_are_all_named():
    text = message(overrides={"clients": {"count": 0}, "radio": {"subchannels": 0}})
    assert "clients.count = 0" in text
    assert "radio.subchannels = 0" in text


@pytest.mark.parametrize(("name", "near"), [("zzz", None), ("io", "iot"), ("edge-6g", "edge6g"), ("TOY", None)])
def test_unknown_preset_names_the_nearest_or_all(name, near):
    text = message(name)
    assert repr(name) in text
    assert (f"did you mean {near!r}?" in text) if near else ("iot" in text)


def test_missing_file_is_named(tmp_path):
    path = tmp_path / "none.toml"
    assert message(path) == f"scenario file {str(path)!r} cannot be read: No such file or directory"


def test_folder_and_binary_file_cannot_be_read(tmp_path):
    (tmp_path / "folder.toml").mkdir()
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    assert "folder.toml" in message(tmp_path / "folder.toml")
    assert "binary.toml' cannot be read: not a text file" in message(tmp_path / "binary.toml")


def test_invalid_toml_names_file_and_line(tmp_path):
    path = tmp_path / "broken.toml"
    path.write_text('name = "x"\n[clients\ncount = 3\n')
    text = message(path)
    assert "broken.toml" in text
    assert re.search(r"line 2", text)


def test_wrong_value_in_a_file_is_named(tmp_path):
    path = tmp_path / "wrong.toml"
    path.write_text("[clients]\ncount = 0\n")
    assert "clients.count = 0" in message(path)


@pytest.mark.parametrize("source", [None, 3, ["iot"], 1.5])
def test_what_can_be_no_scenario_is_a_scenario_error(source):
    assert "allowed" in message(source) or "preset" in message(source)


def test_second_cut_has_to_leave_a_unit_to_the_cloud():
    assert Cloud(cut_layer=3).second_cut(4) == 3
    with pytest.raises(ScenarioError, match=r"cloud\.cut_layer = 4: allowed are 0 to 3 with a network of 4 units"):
        Cloud(cut_layer=4).second_cut(4)


def test_scenario_errors_are_value_errors():
    with pytest.raises(ValueError, match="neither a preset nor"):
        load("nowhere")
