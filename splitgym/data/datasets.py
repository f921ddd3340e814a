"""A data set ready to train on: split into training and test set, and scaled."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from splitgym.arrays import Bools, Ints
from splitgym.data.errors import DataError
from splitgym.data.sources import Source, read
from splitgym.inputs import is_whole


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images and labels in random order, so the first n samples are a fair sample of their set.

    Attributes:
        train_images: float32 [n, channels, height, width]; every channel has mean 0 and variance 1. Of text codes of
            characters, [n, 1, 1, T], as they are.
        train_labels: Index into `classes`, int64 [n]; of text that of the character behind each one, [n, T].
        test_images: As train_images, scaled by the mean and variance of the training set.
        test_labels: As train_labels.
        classes: Names of the classes.
        train_kinds: int64 [n] that in which the data of clients may differ: the class of an image, the book of a text.
    """

    train_images: NDArray[np.float32]
    train_labels: Ints
    test_images: NDArray[np.float32]
    test_labels: Ints
    classes: tuple[str, ...]
    train_kinds: Ints

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(channels, height, width) of one image."""
        _, channels, height, width = self.train_images.shape
        return channels, height, width


def load(
    name: str | Path, generator: Generator, *, test_fraction: float = 0.2, train_samples: int | None = None
) -> Dataset:
    """Loads a data set. The arrays belong to the caller; the file behind them is read again only if it has changed.

    "digits" is split at random and "ham10000" by lesion, so that no lesion is seen in training and test; in both every
    class keeps its share. "mnist" keeps its published test set, whatever `test_fraction`.

    One's own data set is an .npz file (`numpy.savez`) with `images`, uint8 [n, height, width] or [n, height, width,
    channels], `labels`, whole numbers [n], and `classes`, the name of each; if it has `groups` [n], images of the same
    group (a person, a device) are not split between training and test, and if it has `test`, bool [n], that is the
    test set, whatever `test_fraction`. `layout`, "NHWC" or "NCHW", says where the channels of images with four axes
    are: images with more than 4 channels or with 4 rows at most need it. A file holds up to 4 GiB of arrays, of which
    more than 64 MiB are at most 100 times the size of the file; objects of Python are not read.

    Args:
        name: "digits" (1,797 images of 8 x 8, in the package; UCI, CC BY 4.0), "mnist" or "ham10000" (files in
            SPLITGYM_DATA), "kjv" (text, see `splitgym.data.text`), or the path of an .npz file.
        generator: Draws the split and the order.
        test_fraction: Share of the images kept for the test, between 0 and 1.
        train_samples: Use at most so many training samples, drawn at random; None: all.

    Raises:
        DataError: the data cannot be read, or the split leaves nothing to train on or to test on.
    """
    if not isinstance(test_fraction, float | np.floating) or not 0 < test_fraction < 1:
        raise DataError(f"test_fraction = {test_fraction!r}: must lie between 0 and 1")
    if train_samples is not None and not (is_whole(train_samples) and train_samples >= 1):
        raise DataError(f"train_samples = {train_samples!r}: at least 1")
    source = read(name)
    in_test = _split(source, test_fraction, generator) if source.published_test is None else source.published_test
    if in_test.all() or not in_test.any():
        what = f"test_fraction = {test_fraction}" if source.published_test is None else f"dataset {name!r}"
        raise DataError(
            f"{what}: leaves {in_test.sum()} of {len(in_test)} samples for the test, allowed: some, not all"
        )
    train = generator.permutation(np.flatnonzero(~in_test))[:train_samples]
    test = generator.permutation(np.flatnonzero(in_test))
    scaled = _standardise if source.books is None else _unscaled
    train_images, test_images = scaled(source.images[train], source.images[test])
    return Dataset(
        train_images, source.labels[train], test_images, source.labels[test], source.classes, source.kinds[train]
    )


def _split(source: Source, test_fraction: float, generator: Generator) -> Bools:
    """Which images are for the test, bool [n]: of every class (or book) about the same share, and whole groups only.

    A group counts, with all its images, for the class that is most frequent in it.
    """
    kinds = len(source.classes) if source.books is None else int(source.books.max()) + 1
    images = np.zeros((source.groups.max(initial=-1) + 1, kinds), np.int64)
    np.add.at(images, (source.groups, source.kinds), 1)
    class_of_group, size = images.argmax(1), images.sum(1)
    in_test = np.zeros(len(images), dtype=bool)
    for label in range(kinds):
        groups = np.flatnonzero(class_of_group == label)
        groups = groups[generator.permutation(len(groups))]
        # A group is in if at least half of it lies below the class's quota: the nearest number, not the next lower.
        middles = np.cumsum(size[groups]) - size[groups] / 2
        in_test[groups[middles <= test_fraction * size[groups].sum()]] = True
    return in_test[source.groups]


def _standardise(train: NDArray[np.uint8], test: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Scales both sets so that the training set has mean 0 and variance 1 in every channel."""
    pixels = (0, 2, 3)
    mean = train.mean(axis=pixels, dtype=np.float64, keepdims=True)
    centred = train - mean.astype(np.float32)
    deviation = np.sqrt(np.square(centred).mean(axis=pixels, dtype=np.float64, keepdims=True))
    deviation[deviation == 0] = 1  # a channel without contrast carries nothing and stays 0
    scale = (1 / deviation).astype(np.float32)
    return centred * scale, (test - mean.astype(np.float32)) * scale


def _unscaled(train: NDArray[np.uint8], test: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Codes of characters, which are no quantities."""
    return train.astype(np.float32), test.astype(np.float32)
