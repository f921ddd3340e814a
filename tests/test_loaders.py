"""How files are looked at before they are read: what fits is read as numpy and others read it, and limits hold."""

import json
import tomllib

import numpy as np
import pytest
import tomli_w
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from splitgym import files
from splitgym.files import check_plain, parse_json, read_arrays, read_bytes, read_toml

KINDS = ["u1", "i8", ">i4", "f4", "f8", "?", "S3", "U4"]


@settings(max_examples=25)
@given(st.dictionaries(st.sampled_from("abc"), st.sampled_from(KINDS).flatmap(lambda k: arrays(k, array_shapes()))))
def test_arrays_are_read_as_numpy_reads_them(tmp_path_factory, values):
    path = tmp_path_factory.mktemp("arrays") / "x.npz"
    for save in (np.savez, np.savez_compressed):
        save(path, **{name: np.asfortranarray(value) if name == "a" else value for name, value in values.items()})
        found = read_arrays(path)
        with np.load(path) as expected:
            assert sorted(found) == sorted(expected.files)
            for name, array in found.items():
                assert array.dtype == expected[name].dtype
                np.testing.assert_array_equal(array, expected[name])


@pytest.mark.parametrize(("packed", "allowed"), [(True, False), (False, True)])
def test_arrays_may_be_as_large_as_their_file_but_not_far_larger(tmp_path, monkeypatch, packed, allowed):
    """Of 2 MB that are packed to 2 kB."""
    monkeypatch.setattr(files, "ALWAYS_ALLOWED_BYTES", 2**20)
    (np.savez_compressed if packed else np.savez)(tmp_path / "x.npz", x=np.zeros(2**21, np.uint8))
    if allowed:
        assert read_arrays(tmp_path / "x.npz")["x"].shape == (2**21,)
        monkeypatch.setattr(files, "MOST_ARRAY_BYTES", 2**20)
    with pytest.raises(ValueError, match=r"its arrays have 2097280 bytes, allowed for a file of .* bytes: up to"):
        read_arrays(tmp_path / "x.npz")


def test_a_file_is_read_up_to_its_limit(tmp_path):
    (tmp_path / "x").write_bytes(b"abc")
    assert read_bytes(tmp_path / "x", 3) == b"abc"
    with pytest.raises(ValueError, match="it has 3 bytes, allowed: up to 2"):
        read_bytes(tmp_path / "x", 2)


plain = st.recursive(
    st.booleans() | st.integers(-(2**63) + 1, 2**63 - 1) | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=25)
@given(st.dictionaries(st.text(max_size=5), plain, max_size=4))
def test_plain_values_are_read_as_they_were_written(tmp_path_factory, values):
    assert parse_json(json.dumps(values)) == values
    path = tmp_path_factory.mktemp("plain") / "x.toml"
    text = tomli_w.dumps(values)
    if "\0" not in text:
        path.write_bytes(text.encode())
        assert read_toml(path) == tomllib.loads(text)


@pytest.mark.parametrize("text", ["[1]", "3", "null", '"x"', '{"x": 9223372036854775808}', '{"x": -1e400'])
def test_what_is_no_object_of_json_is_refused(text):
    with pytest.raises((ValueError, TypeError)):
        parse_json(text)


def nested(times):
    value = 1
    for _ in range(times):
        value = [value]
    return value


def test_values_are_within_each_other_up_to_a_depth():
    check_plain(nested(files.DEEPEST))
    with pytest.raises(ValueError, match=f"more than {files.DEEPEST} times deep"):
        check_plain(nested(files.DEEPEST + 1))


@pytest.mark.parametrize("part", ["a", "a-1", '"a b"', '"a.\\" b"', "'a . b'"])
@pytest.mark.parametrize("dot", [".", " . "])
def test_a_key_of_many_parts_is_refused(tmp_path, part, dot):
    for times in (2, files.DEEPEST):
        (tmp_path / "x.toml").write_text(f"{dot.join([part] * times)} = 1")
        assert read_toml(tmp_path / "x.toml")
    for times in (files.DEEPEST + 1, 30_000 // len(part)):
        (tmp_path / "x.toml").write_text(f"{dot.join([part] * times)} = 1")
        with pytest.raises(ValueError, match="a key has many parts"):
            read_toml(tmp_path / "x.toml")
