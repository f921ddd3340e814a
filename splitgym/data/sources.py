"""Data as published: read once per process, never to be written to."""

import os
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from splitgym.data.errors import DataError
from splitgym.scenario.errors import suggest


@dataclass(frozen=True, eq=False)
class Source:
    """A data set before it is split and scaled. The arrays are shared by the whole process and read-only.

    Attributes:
        images: uint8 [n, channels, height, width].
        labels: Index into `classes`, int64 [n].
        groups: Images with the same number show the same thing and must not be split, int64 [n].
        classes: Names of the classes.
        published_test: Which images are the test set by convention, bool [n]; None: there is no convention.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    groups: NDArray[np.int64]
    classes: tuple[str, ...]
    published_test: NDArray[np.bool_] | None = None

    def __post_init__(self) -> None:
        for array in (self.images, self.labels, self.groups, self.published_test):
            if array is not None:
                array.setflags(write=False)


def read(name: str) -> Source:
    """Reads a data set: "digits" from scikit-learn, "mnist" and "ham10000" from files in SPLITGYM_DATA, or one's own.

    Raises:
        DataError: unknown name, SPLITGYM_DATA not set, file missing or not in the expected layout.
    """
    if name == "digits":
        return _digits()
    if name.endswith(".npz"):
        if not Path(name).is_file():
            raise DataError(f"dataset {name!r}: {Path(name).resolve()} does not exist")
        return _own(Path(name).resolve())
    if name not in _FILES:
        raise DataError(f"dataset {name!r} is unknown: {suggest(name, ('digits', *_FILES))}")
    file = _FILES[name]
    folder = os.environ.get("SPLITGYM_DATA")
    if not folder:
        raise DataError(f"dataset {name!r}: set SPLITGYM_DATA to the folder that holds {file.name} ({file.origin})")
    path = Path(folder) / file.name
    if not path.is_file():
        raise DataError(f"dataset {name!r}: {path} does not exist (SPLITGYM_DATA = {folder!r}; {file.origin})")
    return file.decode(path.resolve())


@cache
def _digits() -> Source:
    from sklearn.datasets import load_digits  # noqa: PLC0415 - slow to import, and only this data set needs it

    bunch = load_digits()
    return Source(
        images=bunch.images[:, np.newaxis].astype(np.uint8),
        labels=bunch.target.astype(np.int64),
        groups=np.arange(len(bunch.target)),
        classes=tuple(str(digit) for digit in bunch.target_names),
    )


@cache
def _mnist(path: Path) -> Source:
    arrays = _arrays(path, ("x_train", "y_train", "x_test", "y_test"))
    train, test = arrays["x_train"], arrays["x_test"]
    if train.ndim != 3 or test.ndim != 3 or train.shape[1:] != test.shape[1:]:
        raise DataError(f"{path}: x_train {train.shape} and x_test {test.shape} must both be [n, height, width]")
    images = np.concatenate((train, test))[..., np.newaxis]
    labels = np.concatenate((arrays["y_train"], arrays["y_test"]))
    each = np.arange(len(images))
    return _source(path, images, labels, each, np.arange(10), published_test=each >= len(train))


@cache
def _ham10000(path: Path) -> Source:
    arrays = _arrays(path, ("images", "labels", "lesion", "classes"))
    images = arrays["images"]
    if images.ndim != 4 or images.shape[3] != 3:
        raise DataError(f"{path}: images have shape {images.shape}, expected [n, height, width, 3]")
    return _source(path, images, arrays["labels"], arrays["lesion"], arrays["classes"])


@cache
def _own(path: Path) -> Source:
    arrays = _arrays(path, ("images", "labels", "classes"), optional=("groups", "test"))
    images, in_test = arrays["images"], arrays.get("test")
    if images.ndim not in (3, 4):
        raise DataError(
            f"{path}: images have shape {images.shape}, expected [n, height, width] or [n, height, width, channels]"
        )
    if images.ndim == 3:
        images = images[..., np.newaxis]
    groups = arrays.get("groups", np.arange(len(images)))
    if in_test is not None and (in_test.dtype != np.bool_ or in_test.shape != images.shape[:1]):
        raise DataError(f"{path}: test is {in_test.dtype} {in_test.shape}, expected bool ({len(images)},)")
    return _source(path, images, arrays["labels"], groups, arrays["classes"], in_test)


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
        "images uint8 [n, 32, 32, 3], labels, lesion, classes; made from HAM10000, Harvard Dataverse "
        "doi:10.7910/DVN/DBW86T, not for commercial use",
    ),
}


def _arrays(path: Path, keys: tuple[str, ...], optional: tuple[str, ...] = ()) -> dict[str, NDArray]:
    if not zipfile.is_zipfile(path):
        raise DataError(f"{path} is not a complete .npz file")
    with np.load(path) as file:
        missing = [key for key in keys if key not in file.files]
        if missing:
            raise DataError(f"{path}: lacks {', '.join(missing)}; has {', '.join(file.files)}")
        try:
            return {key: file[key] for key in (*keys, *optional) if key in file.files}
        except (ValueError, OSError, zipfile.BadZipFile) as error:
            raise DataError(f"{path} cannot be read: {error}") from error


def _source(
    path: Path,
    images: NDArray,
    labels: NDArray,
    groups: NDArray,
    classes: NDArray,
    published_test: NDArray[np.bool_] | None = None,
) -> Source:
    """The data set of a file: images [n, height, width, channels], labels and groups [n], names of the classes."""
    if images.dtype != np.uint8:
        raise DataError(f"{path}: images are {images.dtype}, expected uint8")
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
        classes=tuple(str(name) for name in classes),
        published_test=published_test,
    )
