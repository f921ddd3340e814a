"""Data sets: sizes, splits, scaling, order; on the digits, which are always there."""

import subprocess
import sys

import numpy as np
import pytest

from splitgym.data import DataError, Dataset, load


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def rows(images: np.ndarray) -> set[bytes]:
    """The images as a set that can be compared, robust to the rounding of their scaling."""
    return {np.round(image, 3).tobytes() for image in images}


def assert_standardised(data: Dataset) -> None:
    np.testing.assert_allclose(data.train_images.mean(axis=(0, 2, 3)), 0, atol=1e-4)
    np.testing.assert_allclose(data.train_images.std(axis=(0, 2, 3)), 1, atol=1e-3)


def test_digits_are_all_there_and_split_by_class():
    data = load("digits", rng())
    assert len(data.train_labels) + len(data.test_labels) == 1797
    assert data.input_shape == (1, 8, 8)
    assert data.train_images.dtype == data.test_images.dtype == np.float32
    assert data.train_labels.dtype == data.test_labels.dtype == np.int64
    assert data.classes == tuple("0123456789")
    all_of_class = np.bincount(np.concatenate((data.train_labels, data.test_labels)))
    assert np.abs(np.bincount(data.test_labels) - 0.2 * all_of_class).max() <= 0.5
    assert not rows(data.train_images) & rows(data.test_images)
    assert_standardised(data)


def test_labels_stay_with_their_images():
    from sklearn.datasets import load_digits  # noqa: PLC0415

    bunch, data = load_digits(), load("digits", rng())
    label_of = {image.tobytes(): label for image, label in zip(bunch.images, bunch.target, strict=True)}
    low, high = data.train_images.min(), data.train_images.max()
    for images, labels in ((data.train_images, data.train_labels), (data.test_images, data.test_labels)):
        original = np.rint((images[:, 0] - low) / (high - low) * 16).astype(np.float64)
        assert [label_of[image.tobytes()] for image in original] == labels.tolist()


def test_same_seed_same_split_other_seed_other_split():
    first, same, other = load("digits", rng(1)), load("digits", rng(1)), load("digits", rng(2))
    assert np.array_equal(first.train_images, same.train_images)
    assert np.array_equal(first.test_labels, same.test_labels)
    assert not np.array_equal(first.test_labels, other.test_labels)


@pytest.mark.parametrize("fraction", [0.05, 0.5, 0.9])
def test_test_fraction(fraction):
    data = load("digits", rng(), test_fraction=fraction)
    assert len(data.test_labels) == pytest.approx(fraction * 1797, abs=5)


def test_train_samples_are_a_random_part_and_leave_the_test_set_as_it_is():
    whole, part = load("digits", rng(3)), load("digits", rng(3), train_samples=200)
    assert len(part.train_labels) == 200
    assert np.array_equal(part.test_labels, whole.test_labels)
    assert set(part.train_labels) == set(range(10))
    assert_standardised(part)
    assert len(load("digits", rng(), train_samples=10**6).train_labels) == len(whole.train_labels)


def test_the_first_samples_are_a_fair_sample():
    data = load("digits", rng())
    assert np.bincount(data.test_labels[:100], minlength=10).min() >= 3
    assert np.any(np.diff(data.test_labels) < 0)


def test_callers_may_write_into_their_arrays_without_touching_anybody_elses():
    first = load("digits", rng())
    expected = first.train_images.copy()
    first.train_images[:] = 0
    first.train_labels[:] = 0
    second = load("digits", rng())
    assert np.array_equal(second.train_images, expected)
    assert second.train_labels.any()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "digit"}, "dataset 'digit' is unknown: did you mean 'digits'?"),
        ({"name": "digits", "test_fraction": 1.0}, "test_fraction = 1.0"),
        ({"name": "digits", "test_fraction": 1e-4}, "leaves 0 of 1797"),
        ({"name": "digits", "test_fraction": 0.9999}, "leaves 1797 of 1797"),
        ({"name": "digits", "train_samples": 0}, "train_samples = 0"),
        ({"name": "digits", "train_samples": 1.5}, "train_samples = 1.5"),
        ({"name": "digits", "train_samples": True}, "train_samples = True"),
        ({"name": "digits", "train_samples": "3"}, "train_samples = '3'"),
        ({"name": "digits", "test_fraction": "x"}, "test_fraction = 'x'"),
        ({"name": "digits", "test_fraction": float("nan")}, "test_fraction = nan"),
    ],
)
def test_what_cannot_be_loaded_is_said(arguments, message):
    with pytest.raises(DataError, match=message):
        load(generator=rng(), **arguments)


def test_the_room_needs_neither_torch_nor_scikit_learn_to_be_imported():
    code = "import sys, splitgym.data; sys.exit('torch' in sys.modules or 'sklearn' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
