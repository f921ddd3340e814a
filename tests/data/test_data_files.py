"""Data sets from files: on small files made here, on files that are wrong, and on the real ones where they are."""

import os
from pathlib import Path

import numpy as np
import pytest

from splitgym.data import DataError, Dataset, load, sources
from splitgym.data.sources import read

HAM10000_CLASSES = ("akiec", "bcc", "bkl", "df", "mel", "nv", "vasc")
needs_real_data = pytest.mark.skipif(not os.environ.get("SPLITGYM_DATA"), reason="SPLITGYM_DATA is not set")


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def small_ham10000(**replaced: np.ndarray) -> dict[str, np.ndarray]:
    """600 images of 250 lesions; every pixel of an image carries the number of its lesion in two bytes."""
    lesion = np.sort(rng(7).integers(0, 250, 600))
    images = np.zeros((600, 32, 32, 3), dtype=np.uint8)
    images[..., 0] = lesion[:, None, None]
    images[:, 0, :, 1] = np.arange(600)[:, None] % 256
    images[:, 1, :, 1] = np.arange(600)[:, None] // 256
    arrays = {"images": images, "labels": (lesion % 7).astype(np.uint8), "lesion": lesion}
    return arrays | {"classes": np.array(HAM10000_CLASSES)} | replaced


def small_mnist(**replaced: np.ndarray) -> dict[str, np.ndarray]:
    images = rng(8).integers(0, 256, (50, 28, 28), dtype=np.uint8)
    labels = (np.arange(50) % 10).astype(np.uint8)
    parts = {"x_train": images[:40], "y_train": labels[:40], "x_test": images[40:], "y_test": labels[40:]}
    return parts | replaced


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SPLITGYM_DATA", str(tmp_path))
    return tmp_path


def test_ham10000_is_split_by_lesion(folder):
    arrays = small_ham10000()
    np.savez(folder / "ham10000_32.npz", **arrays)
    data = load("ham10000", rng(), test_fraction=0.3)
    assert data.classes == HAM10000_CLASSES
    assert data.input_shape == (3, 32, 32)
    assert len(data.train_labels) + len(data.test_labels) == 600
    assert len(data.test_labels) == pytest.approx(0.3 * 600, abs=15)
    train_lesions, test_lesions = (set(images[:, 0, 5, 5].tolist()) for images in (data.train_images, data.test_images))
    assert len(train_lesions | test_lesions) == len(set(arrays["lesion"].tolist()))
    assert not train_lesions & test_lesions
    shares = np.bincount(data.test_labels) / np.bincount(arrays["labels"])
    assert np.abs(shares - 0.3).max() < 0.06


def test_a_channel_without_contrast_stays_zero(folder):
    np.savez(folder / "ham10000_32.npz", **small_ham10000())
    data = load("ham10000", rng())
    assert not data.train_images[:, 2].any()
    assert np.isfinite(data.test_images).all()


def test_a_file_is_read_once_as_long_as_it_stays(folder, monkeypatch):
    path, read = folder / "ham10000_32.npz", []
    monkeypatch.setattr(
        sources, "read_arrays", lambda file, arrays=sources.read_arrays: read.append(file) or arrays(file)
    )
    monkeypatch.setattr(sources, "JUST_NOW_NS", 0)
    for lesions in (small_ham10000(), small_ham10000(lesion=np.arange(600))):
        np.savez(path, **lesions)
        first, second = load("ham10000", rng()), load("ham10000", rng())
        np.testing.assert_array_equal(first.train_images, second.train_images)
    assert read == [path, path]


def test_a_file_that_was_just_written_is_not_kept(folder):
    """It may be written again with the same time stamp and size."""
    for number in range(20):
        np.savez(folder / "mnist.npz", **small_mnist(x_train=np.full((40, 28, 28), number, np.uint8)))
        assert (read("mnist").images[:40] == number).all()


def test_mnist_keeps_its_published_split(folder):
    arrays = small_mnist()
    np.savez(folder / "mnist.npz", **arrays)
    for fraction in (0.1, 0.7):
        data = load("mnist", rng(), test_fraction=fraction)
        assert data.train_images.shape == (40, 1, 28, 28)
        assert data.test_images.shape == (10, 1, 28, 28)
        mean, deviation = arrays["x_train"].mean(), arrays["x_train"].std()
        expected = ((arrays["x_test"] - mean) / deviation)[:, np.newaxis]
        order = np.argsort(data.test_labels)  # the small file holds each label once
        np.testing.assert_allclose(data.test_images[order], expected, atol=1e-4)


def test_train_samples_are_drawn_at_random(folder):
    """Where the split is published, another seed still draws other training samples, in another order."""
    labels = np.arange(40, dtype=np.uint8) // 4
    np.savez(folder / "mnist.npz", **small_mnist(y_train=labels))
    first, other = (load("mnist", rng(seed), train_samples=20).train_labels.tolist() for seed in (1, 2))
    assert sorted(first) != sorted(other)
    assert first != sorted(first)


@pytest.mark.parametrize(("name", "origin"), [("ham10000", "doi:10.7910/DVN/DBW86T"), ("mnist", "Keras")])
def test_data_that_are_not_there(name, origin, folder, monkeypatch):
    with pytest.raises(DataError, match=f"{folder}/{name}.*does not exist") as missing_file:
        load(name, rng())
    monkeypatch.delenv("SPLITGYM_DATA")
    with pytest.raises(DataError, match=f"set SPLITGYM_DATA to the folder that holds {name}") as no_folder:
        load(name, rng())
    for raised in (missing_file, no_folder):
        assert origin in str(raised.value)
        assert "SPLITGYM_DATA" in str(raised.value)
        assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("name", "arrays", "message"),
    [
        ("ham10000_32", {"pictures": np.zeros(3)}, "lacks images, labels, lesion, classes; has pictures"),
        ("ham10000_32", small_ham10000(images=np.zeros((600, 32, 32), np.uint8)), r"expected \[n, height, width, 3\]"),
        ("ham10000_32", small_ham10000(images=np.zeros((600, 9, 9, 3))), "images are float64, expected uint8"),
        ("ham10000_32", small_ham10000(lesion=np.zeros(5, int)), r"600 images.*groups of shape \(5,\)"),
        ("ham10000_32", small_ham10000(labels=np.full(600, 7)), "labels 7 to 7, allowed are 0 to 6"),
        ("mnist", {"x_train": np.zeros(3)}, "lacks y_train, x_test, y_test; has x_train"),
        ("mnist", small_mnist(x_test=np.zeros((10, 8, 8), np.uint8)), r"must both be \[n, height, width\]"),
        ("mnist", small_mnist(y_test=np.zeros(9, np.uint8)), r"50 images, labels of shape \(49,\)"),
        (
            "ham10000_32",
            small_ham10000(images=np.zeros((600, 64, 64, 3), np.uint8)),
            r"\(3, 64, 64\), 7\), expected \(\(3, 32",
        ),
        ("ham10000_32", small_ham10000(classes=np.arange(8)), r"\(3, 32, 32\), 8\), expected \(\(3, 32, 32\), 7\)"),
        (
            "mnist",
            small_mnist(x_train=np.zeros((40, 9, 9), np.uint8), x_test=np.zeros((10, 9, 9), np.uint8)),
            "expected",
        ),
    ],
)
def test_files_in_another_layout(name, arrays, message, folder):
    np.savez(folder / f"{name}.npz", **arrays)
    with pytest.raises(DataError, match=message) as raised:
        load(name.removesuffix("_32"), rng())
    assert str(folder / name) in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("content", [b"", b"not a zip archive"])
def test_files_that_are_no_archive(content, folder):
    (folder / "mnist.npz").write_bytes(content)
    with pytest.raises(DataError, match="not a complete"):
        load("mnist", rng())


@needs_real_data
def test_real_ham10000_keeps_lesions_apart():
    with np.load(Path(os.environ["SPLITGYM_DATA"]) / "ham10000_32.npz") as file:
        images, lesion = file["images"], file["lesion"]
    data = load("ham10000", rng(4))
    assert len(data.train_labels) + len(data.test_labels) == 10015
    assert len(data.test_labels) == pytest.approx(2003, abs=20)
    shares = np.bincount(data.test_labels) / len(data.test_labels)
    assert shares[HAM10000_CLASSES.index("nv")] == pytest.approx(0.6695, abs=0.01)
    # Undo the scaling to find every image in the file again, and with it its lesion.
    scale = images.std(axis=(0, 1, 2))
    lesion_of = {image.transpose(2, 0, 1).tobytes(): number for image, number in zip(images, lesion, strict=True)}
    offset, step = _scaling(data, images)
    assert step == pytest.approx(scale, rel=0.05)
    found = []
    for part in (data.train_images, data.test_images):
        original = np.rint(part * step[:, None, None] + offset[:, None, None]).astype(np.uint8)
        found.append({lesion_of[image.tobytes()] for image in original})
    assert not found[0] & found[1]
    assert len(found[0] | found[1]) == 7470


def _scaling(data: Dataset, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Offset and step per channel that lead back to bytes, from the extremes of both."""
    both = (data.train_images, data.test_images)
    low = np.min([part.min(axis=(0, 2, 3)) for part in both], axis=0)
    high = np.max([part.max(axis=(0, 2, 3)) for part in both], axis=0)
    step = (images.max(axis=(0, 1, 2)) - images.min(axis=(0, 1, 2)).astype(float)) / (high - low)
    return images.min(axis=(0, 1, 2)) - low * step, step


@needs_real_data
def test_real_mnist_is_complete():
    data = load("mnist", rng(), train_samples=1000)
    assert data.train_images.shape == (1000, 1, 28, 28)
    assert data.test_images.shape == (10000, 1, 28, 28)
    assert np.bincount(data.test_labels).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
