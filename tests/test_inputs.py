"""How files of users are read: text in UTF-8 with or without a mark, and one line for all that fails."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from splitgym.files import read_text
from splitgym.inputs import LONGEST_LINE, InputError, is_whole, reading

TEXTS = st.text(st.characters(exclude_characters="\0\ufeff", exclude_categories=["Cs"]))


class OwnError(InputError):
    """Of a test."""


@given(TEXTS)
def test_text_is_read_with_and_without_a_mark(tmp_path_factory, text):
    path = tmp_path_factory.mktemp("text") / "file"
    for encoding in ("utf-8", "utf-8-sig"):
        path.write_bytes(text.encode(encoding))
        assert read_text(path) == text


@given(TEXTS.filter(bool), st.sampled_from(["utf-16", "utf-32"]))
def test_other_encodings_of_unicode_are_refused(tmp_path_factory, text, encoding):
    path = tmp_path_factory.mktemp("text") / "file"
    path.write_bytes(text.encode(encoding))
    with pytest.raises(UnicodeError, match="UTF-16 or no text, allowed: UTF-8"):
        read_text(path)


@pytest.mark.parametrize(
    ("fault", "line"),
    [
        (FileNotFoundError(2, "No such file or directory"), "file x cannot be read: No such file or directory"),
        (OSError("gone"), "file x cannot be read: gone"),
        (UnicodeError("it is a picture"), "file x cannot be read: it is a picture"),
        (KeyError("name"), "file x is broken: it lacks 'name'"),
        (ValueError("two\nlines"), "file x is broken: two lines"),
        (TypeError(), "file x is broken: TypeError"),
        (RecursionError("too deep"), "file x is broken: too deep"),
    ],
)
def test_what_fails_is_one_line_that_names_the_file(fault, line):
    with pytest.raises(OwnError) as raised, reading("file x", OwnError):
        raise fault
    assert str(raised.value) == line
    assert raised.value.__cause__ is fault


@pytest.mark.parametrize("fault", [InputError("x = 5"), MemoryError("9 TiB"), KeyboardInterrupt()])
def test_what_says_enough_itself_is_left_alone(fault):
    with pytest.raises(type(fault)) as raised, reading("file x", OwnError):
        raise fault
    assert raised.value is fault


@given(st.text(max_size=3000))
def test_a_message_is_one_printable_line_that_is_not_too_long(text):
    line = str(InputError(text))
    assert line.isprintable()
    assert len(line) <= LONGEST_LINE + len(" [...] ")
    if text.isprintable() and len(text) <= LONGEST_LINE:
        assert line.split() == text.split()


def test_a_message_that_is_too_long_keeps_its_ends():
    line = str(OwnError("file.npz: " + "x" * 10**6 + " allowed: 1..3"))
    assert line.startswith("file.npz: xxx")
    assert line.endswith("xxx allowed: 1..3")


def test_whole_numbers():
    assert all(map(is_whole, (0, -3, 10**30, np.int8(3), np.uint64(3))))
    assert not any(map(is_whole, (True, np.True_, 3.0, np.float32(3), "3", None, np.array(3), [3])))
