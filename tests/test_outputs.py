"""Files are written as a whole or not at all, wherever the writer dies; journals keep whole lines."""

import errno
import json
import os
from itertools import count
from operator import itemgetter

import pytest
from dying import Died, Steps
from hypothesis import given
from hypothesis import strategies as st

from splitgym.inputs import InputError
from splitgym.outputs import Journal, unfinished, write, write_text, write_together


def until_it_lives(act, prepare):
    """What a writer leaves that dies at each of its steps: the number of the step, as often as it dies."""
    for at in count():
        prepare()
        with pytest.MonkeyPatch.context() as patch:
            Steps(patch, at)
            try:
                act()
            except Died:
                yield at
                continue
        assert at > 0
        return


def test_a_writer_that_dies_leaves_the_old_file_or_the_new_one(tmp_path):
    path, left = tmp_path / "file", []
    for _ in until_it_lives(lambda: write_text(path, "new ✓"), lambda: write_text(path, "old")):
        left.append(path.read_text(encoding="utf-8"))
    assert set(left) == {"old", "new ✓"}
    assert path.read_text(encoding="utf-8") == "new ✓"
    assert not unfinished(path).exists()


def test_of_files_that_belong_together_none_is_new_before_all_are_whole(tmp_path):
    one, other = tmp_path / "one", tmp_path / "other"

    def both(text):
        write_together({path: lambda file: file.write(text) for path in (one, other)})

    for _ in until_it_lives(lambda: both(b"new"), lambda: both(b"old")):
        if one.read_bytes() == b"new" != other.read_bytes():
            assert unfinished(other).read_bytes() == b"new"
        else:
            assert one.read_bytes() == other.read_bytes()


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt(), ValueError()])
def test_what_fails_leaves_the_old_file_and_nothing_else(tmp_path, error):
    path = write_text(tmp_path / "file", "old")

    def save(file):
        file.write(b"half")
        raise error

    with pytest.raises(type(error)):
        write(path, save)
    assert [(each.name, each.read_text()) for each in tmp_path.iterdir()] == [("file", "old")]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(entries=st.lists(JSON, max_size=5), data=st.data())
def test_whatever_part_of_a_journal_is_left_its_whole_lines_count(entries, data, tmp_path_factory):
    path = tmp_path_factory.mktemp("journal") / "journal"
    journal = Journal(path, itemgetter("is"))
    for entry in entries:
        journal.add({"is": entry})
    whole = path.read_bytes() if entries else b""
    assert [json.loads(line)["is"] for line in whole.split(b"\n")[:-1]] == entries
    path.write_bytes(whole[: data.draw(st.integers(0, len(whole)))])
    again = Journal(path, itemgetter("is"))
    assert again.entries == entries[: path.read_bytes().count(b"\n")]
    for entry in entries[len(again.entries) :]:
        again.add({"is": entry})
    assert path.read_bytes() == whole


def test_a_line_that_does_not_fit_on_the_disk_spoils_no_other(tmp_path, monkeypatch):
    journal = Journal(tmp_path / "journal", itemgetter("is"))
    journal.add({"is": 1})
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(errno.ENOSPC, "No space left on device")))
        with pytest.raises(OSError, match=r"No space left on device: '.*journal'"):
            journal.add({"is": 2})
    journal.add({"is": 3})
    assert Journal(journal.path, itemgetter("is")).entries == journal.entries == [1, 3]


def test_a_broken_line_is_named(tmp_path):
    path = write_text(tmp_path / "journal", '{"is": 1}\nx\n')
    with pytest.raises(InputError, match=r"^line 2 of .*journal is broken \(.*\): delete it to run its job again$"):
        Journal(path, itemgetter("is"))


def test_a_damaged_line_does_not_fit_its_checksum(tmp_path):
    path = tmp_path / "journal"
    Journal(path, itemgetter("is")).add({"is": 5})
    path.write_bytes(path.read_bytes().replace(b'"is": 5', b'"is": 6'))
    with pytest.raises(InputError, match=r"^line 1 of .*journal is broken \(its sum is another\)"):
        Journal(path, itemgetter("is"))
