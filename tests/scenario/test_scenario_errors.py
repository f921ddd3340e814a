"""What is wrong with a scenario is said in one line: field, value, what is allowed."""

import re
from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from splitgym.scenario import Cloud, Scenario, ScenarioError, Section, build, check_files_differ, load


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
        ({"radio": {"carrier_hz": -1}}, "radio.carrier_hz", "-1", "greater than or equal to 1"),
        ({"radio": {"noise_psd_dbm_per_hz": float("nan")}}, "radio.noise_psd_dbm_per_hz", "nan", "finite"),
        ({"radio": {"subchannel_hz": float("inf")}}, "radio.subchannel_hz", "inf", "finite"),
        ({"radio": {"fading": "nakagami"}}, "radio.fading", "'nakagami'", "'none', 'rayleigh' or 'rician'"),
        ({"task": {"dataset": "digit"}}, "task.dataset", "'digit'", "'digits', 'mnist', 'ham10000' or 'kjv'"),
        ({"task": {"test_fraction": 1}}, "task.test_fraction", "1", "less than 1"),
        ({"episode": {"target_accuracy": 80}}, "episode.target_accuracy", "80", "less than or equal to 1"),
        ({"cell": {"shadowing": "perhaps"}}, "cell.shadowing", "'perhaps'", "boolean"),
        ({"cloud": {"link_bits_per_s": 0}}, "cloud.link_bits_per_s", "0", "greater than or equal to 1"),
        ({"cloud": {"cut_layer": -1}}, "cloud.cut_layer", "-1", "greater than or equal to 0"),
        ({"clients": 5}, "clients", "5", "dictionary"),
        ({"actions": {"power_levels": []}}, "actions.power_levels", "[]", "at least 1"),
        ({"actions": {"power_levels": [0.5, "x"]}}, "actions.power_levels", "[0.5, 'x']", "numbers"),
        ({"actions": {"power_levels": {0.5, 1.0}}}, "actions.power_levels", "{", "numbers"),
        ({"clients": {"count": True}}, "clients.count", "True", "an integer"),
        ({"clients": {"count": np.True_}}, "clients.count", "np.True_", "an integer"),
        ({"clients": {"count": "3"}}, "clients.count", "'3'", "an integer"),
        ({"radio": {"carrier_hz": "1e9"}}, "radio.carrier_hz", "'1e9'", "numbers"),
        ({"task": {"train_samples": True}}, "task.train_samples", "True", "numbers"),
        ({"family": {"clients": [True, 2]}}, "family.clients", "[True, 2]", "numbers"),
        ({"cell": {"shadowing": 1}}, "cell.shadowing", "1", "boolean"),
        ({"cell": {"shadowing": "yes"}}, "cell.shadowing", "'yes'", "boolean"),
        ({"episode": {"max_rounds": 10**19}}, "episode.max_rounds", "10", "less than or equal to 1000000000"),
        ({"training": {"batch_size": 10**13}}, "training.batch_size", "10", "less than or equal to 100000"),
        ({"radio": {"subchannels": 10**9}}, "radio.subchannels", "10", "less than or equal to 10000"),
        ({"clients": {"count": 10**5000}}, "clients.count", "a whole number of too many digits", "100000"),
        ({"clients": {"count": [0] * 10**5}}, "clients.count", "[0, 0", "integer"),
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
        (
            {"clients": {"count": 10_000}, "radio": {"subchannels": 10_000}},
            ("clients.count = 10000", "radio.subchannels = 10000", "allowed: up to 10000000"),
        ),
        (
            {"clients": {"count": 100}, "radio": {"subchannels": 200}, "knowledge": {"channel_delay_rounds": 500}},
            ("channel_delay_rounds = 500", "10020000 channel gains"),
        ),
        ({"actions": {"power_levels": (0.5, 0.25)}}, ("actions", "power_levels = (0.5, 0.25)", "increasing")),
        ({"actions": {"power_levels": (0.5, 0.5)}}, ("actions", "power_levels", "increasing")),
        ({"actions": {"aggregation_levels": (0.5, 1.5)}}, ("actions", "aggregation_levels", "between 0 and 1")),
        ({"actions": {"aggregation_levels": (-0.5, 0.5)}}, ("actions", "aggregation_levels", "between 0 and 1")),
    ],
)
def test_fields_that_contradict_each_other_are_named(overrides, words):
    text = message(overrides=overrides)
    assert all(word in text for word in words), text


@pytest.mark.parametrize("number", [np.int64(3), np.uint8(3), np.float32(3), 3.0])
def test_numbers_of_numpy_are_numbers(number):
    scenario = build("toy", {"clients": {"count": number}})
    assert scenario == build("toy", {"clients": {"count": 3}})
    assert type(scenario.clients.count) is int


WHOLE = [
    (name, field)
    for name, section in Scenario.model_fields.items()
    if isinstance(section.annotation, type) and issubclass(section.annotation, Section)
    for field, info in section.annotation.model_fields.items()
    if int in (info.annotation, *get_args(info.annotation)) and name != "family"
]


@pytest.mark.parametrize(("section", "field"), WHOLE)
@given(st.integers(10**10, 10**30))
def test_no_whole_number_is_unbounded(section, field, number):
    assert message(overrides={section: {field: number}}).startswith(
        f"{section}.{field} = {number}: Input should be less"
    )


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
    assert "binary.toml' cannot be read: it is in UTF-16 or no text" in message(tmp_path / "binary.toml")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_a_file_in_utf_16_says_what_is_allowed(tmp_path, encoding):
    path = tmp_path / "wide.toml"
    path.write_text(build("toy").to_toml(), encoding=encoding)
    assert message(path) == f"scenario file {str(path)!r} cannot be read: it is in UTF-16 or no text, allowed: UTF-8"


def test_a_file_in_another_encoding_names_the_byte(tmp_path):
    path = tmp_path / "latin.toml"
    path.write_bytes('description = "für"'.encode("latin-1"))
    assert message(path).endswith("it is not in UTF-8 (byte 16), allowed: UTF-8")


def test_a_byte_order_mark_does_not_matter(tmp_path):
    path = tmp_path / "marked.toml"
    path.write_text(build("toy").to_toml(), encoding="utf-8-sig")
    assert load(path) == load("toy")


def test_a_file_nested_too_deeply_is_one_line(tmp_path):
    path = tmp_path / "deep.toml"
    path.write_text(f"name = {'[' * 100_000}")
    assert message(path).startswith(f"scenario file {str(path)!r} is broken: ")


@pytest.mark.parametrize("name", ["", ".", "\0", "a\nb", "\udcff", "x" * 5000, "x" * 5000 + ".toml", "\0.toml"])
def test_names_that_can_be_no_path_are_one_line(name):
    message(name)


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


@pytest.mark.parametrize("name", ["", " ", "a ", "a\nb", "\x1b[0m", "-", "../x", "x" * 51, 3, None])
def test_names_can_be_printed_and_are_short(name):
    assert message(overrides={"name": name}).startswith("name = ")


@pytest.mark.parametrize("names", [("a b", "a-b"), ("a", "A"), ("a/b", "b", "a:b")])
def test_names_that_make_one_file_are_refused(names):
    with pytest.raises(ScenarioError, match=f"^scenarios {names[0]!r} and {names[-1]!r} have the same file name"):
        check_files_differ(names)
    check_files_differ(["a b", "a_b", "a.b", "ab"])


LIMITED = [
    (name, field)
    for name, section in Scenario.model_fields.items()
    if isinstance(section.annotation, type) and issubclass(section.annotation, Section)
    for field, info in section.annotation.model_fields.items()
    if info.annotation in (int, float)
]


@pytest.mark.parametrize(("section", "field"), LIMITED)
@pytest.mark.parametrize("number", [1e-308, 1e300, -1e300])
def test_every_number_has_limits(section, field, number):
    """0 is a speed, a power in dBm, a probability; it is no frequency, time or distance."""
    if number != 1e-308 or field.endswith(("compute_hz", "subchannel_hz", "budget_s", "timeout_s", "_m", "rate")):
        assert message(overrides={section: {field: number}}).startswith(f"{section}.{field} = ")


def test_what_is_too_large_for_memory_is_refused():
    too_many = {"clients": {"count": 100_000}, "training": {"batch_size": 64, "local_steps": 2}}
    assert "12800000 samples in a round, allowed: up to 10000000" in message(overrides=too_many)
    too_old = {"clients": {"count": 100_000}, "knowledge": {"compute_delay_rounds": 1000}}
    assert "100100000 speeds, allowed: up to 10000000" in message(overrides=too_old)
