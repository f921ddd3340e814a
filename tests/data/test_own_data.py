"""A data set of one's own, from an .npz file."""

import zipfile

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import splitgym  # noqa: F401 - registers the environment
from splitgym import data
from splitgym.data import DataError
from splitgym.data.sources import read
from splitgym.scenario import ScenarioError, build, load


def rng(seed=0):
    return np.random.default_rng(seed)


def arrays(**replaced):
    """120 images of 6 x 5 in three classes; each image carries its number in its first pixel."""
    images = rng(1).integers(0, 200, (120, 6, 5), dtype=np.uint8)
    images[:, 0, 0] = np.arange(120)
    kept = {"images": images, "labels": np.arange(120) % 3, "classes": np.array(["a", "b", "c"])} | replaced
    return {name: value for name, value in kept.items() if value is not None}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "own.npz"


def test_own_data_are_split_and_scaled_as_others(path):
    np.savez(path, **arrays())
    own = data.load(str(path), rng())
    assert own.classes == ("a", "b", "c")
    assert own.input_shape == (1, 6, 5)
    assert data.dimensions(str(path)) == ((1, 6, 5), 3)
    assert (len(own.train_labels), len(own.test_labels)) == (96, 24)
    assert own.train_images.mean() == pytest.approx(0, abs=1e-5)
    assert own.train_images.std() == pytest.approx(1, abs=1e-5)
    first = np.concatenate([own.train_images, own.test_images])[:, 0, 0, 0]
    labels = np.concatenate([own.train_labels, own.test_labels])
    assert labels[np.argsort(first)].tolist() == (np.arange(120) % 3).tolist()


def test_channels_come_last_in_the_file(path):
    """Channel c of image n is n (c + 1) everywhere; scaled, all channels of an image are the same number."""
    images = np.broadcast_to(np.arange(30)[:, None, None, None] * np.arange(1, 4), (30, 6, 5, 3)).astype(np.uint8)
    np.savez(path, **arrays(images=images, labels=np.arange(30) % 3))
    assert data.dimensions(str(path)) == ((3, 6, 5), 3)
    own = data.load(str(path), rng())
    assert own.train_images.shape[1:] == (3, 6, 5)
    assert np.ptp(own.train_images, axis=(1, 2, 3)).max() < 1e-5
    assert len(np.unique(own.train_images[:, 0, 0, 0])) == len(own.train_labels)


def test_groups_are_not_split(path):
    group = np.repeat([f"patient {n}" for n in range(24)], 5)
    np.savez(path, **arrays(groups=group, labels=np.repeat(np.arange(24) % 3, 5)))
    own = data.load(str(path), rng(), test_fraction=0.4)
    values = np.concatenate([own.train_images, own.test_images])[:, 0, 0, 0]
    owner = np.empty(120, int)
    owner[np.argsort(values)] = np.arange(120) // 5
    train, test = set(owner[: len(own.train_labels)]), set(owner[len(own.train_labels) :])
    assert not train & test
    assert len(train | test) == 24


def test_groups_of_several_classes_leave_the_share_of_the_test_as_it_was_asked_for(path):
    np.savez(path, **arrays(groups=np.arange(120) // 6))
    for seed in range(5):
        # A group of six is a twentieth of the images: no class is farther from its quota than half a group.
        assert len(data.load(str(path), rng(seed), test_fraction=0.2).test_labels) == pytest.approx(24, abs=9)


def test_a_test_set_is_kept(path):
    in_test = np.arange(120) >= 100
    np.savez(path, **arrays(test=in_test))
    for fraction in (0.1, 0.7):
        own = data.load(str(path), rng(), test_fraction=fraction)
        assert own.test_images[:, 0, 0, 0].min() > own.train_images[:, 0, 0, 0].max()
        assert len(own.test_labels) == 20


@pytest.mark.parametrize(
    ("replaced", "message"),
    [
        ({"classes": None}, "lacks classes; has images, labels"),
        ({"images": np.zeros((120, 9))}, r"images have shape \(120, 9\), expected \[n, height, width\] or"),
        ({"images": np.zeros((120, 9, 9))}, "images are float64, expected uint8"),
        ({"labels": np.arange(120) / 40}, "labels are float64, expected whole numbers"),
        ({"labels": np.full(120, 3)}, "labels 3 to 3, allowed are 0 to 2"),
        ({"labels": np.zeros(7, int)}, r"120 images, labels of shape \(7,\)"),
        ({"groups": np.zeros(7, int)}, r"120 images, .* groups of shape \(7,\)"),
        ({"test": np.zeros(120, int)}, r"test is int64 \(120,\), expected bool \(120,\)"),
        ({"test": np.ones(120, bool)}, "dataset .* leaves 120 of 120 samples for the test"),
        ({"test": np.zeros(120, bool)}, "dataset .* leaves 0 of 120 samples for the test"),
        ({"test": np.zeros(7, bool)}, r"test is bool \(7,\), expected bool \(120,\)"),
        ({"classes": np.array(["a", 2, None], object)}, "is broken: classes.npy holds objects of Python, allowed"),
        ({"classes": 4}, r"classes have shape \(\), expected the names of two or more"),
        ({"classes": "abc"}, r"classes have shape \(\), expected the names"),
        ({"classes": [["a", "b", "c"]]}, r"classes have shape \(1, 3\), expected the names"),
        ({"classes": ["a"], "labels": np.zeros(120, int)}, r"classes have shape \(1,\), expected the names of two or"),
        ({"classes": np.array([b"\xff", b"b", b"c"])}, "cannot be read: 'ascii' codec"),
        ({"images": 4}, r"images have shape \(\), expected"),
        (
            {"images": np.zeros((120, 0, 5), np.uint8)},
            r"images have shape \(120, 0, 5, 1\), expected at least one pixel",
        ),
        ({"images": np.zeros((120, 6, 5, 0), np.uint8)}, "expected at least one pixel and one channel"),
        ({"labels": 1}, r"120 images, labels of shape \(\)"),
        ({"group": np.zeros(120)}, "unknown entry 'group', did you mean 'groups'"),
        ({"Test": np.zeros(120, bool)}, "unknown entry 'Test', did you mean 'test'"),
        ({"layout": "NHWC"}, r"layout = NHWC of images of shape \(120, 6, 5\), allowed: 'NHWC', 'NCHW' of four axes"),
        ({"layout": 3, "images": np.zeros((120, 6, 5, 3), np.uint8)}, "layout = 3 of images .* allowed: 'NHWC'"),
        ({"layout": ["NHWC"], "images": np.zeros((120, 6, 5, 3), np.uint8)}, "allowed: 'NHWC', 'NCHW'"),
        (
            {"images": np.zeros((120, 3, 32, 32), np.uint8)},
            r"save images.transpose\(0, 2, 3, 1\), or say layout='NCHW'",
        ),
        (
            {"images": np.zeros((120, 32, 32, 10), np.uint8)},
            r"with up to 4 channels: .* \(layout='NHWC': they have so many\)",
        ),
        ({"images": np.zeros((120, 3, 32, 3), np.uint8)}, r"may be \[n, height, width, channels\] or \[n, channels"),
    ],
)
def test_files_in_another_layout_are_refused(path, replaced, message):
    np.savez(path, **arrays(**replaced))
    with pytest.raises(DataError, match=message) as raised:
        data.load(str(path), rng())
    assert str(path) in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("content", [b"", b"PK", b"nonsense", b"PK\x05\x06" + bytes(18)])
def test_what_is_no_npz_file_is_named(path, content):
    path.write_bytes(content)
    with pytest.raises(DataError, match=f"^{path}") as raised:
        data.dimensions(str(path))
    assert "\n" not in str(raised.value)


def test_a_zip_file_of_something_else_is_named(path):
    with zipfile.ZipFile(path, "w") as file:
        for name in ("images", "labels", "classes"):
            file.writestr(name, "text")
    with pytest.raises(DataError, match=f"^{path}"):
        data.dimensions(str(path))


@given(
    axes=st.tuples(st.integers(1, 12), st.integers(1, 12), st.integers(1, 12)),
    layout=st.sampled_from([None, "NHWC", "NCHW"]),
)
def test_images_are_taken_as_they_can_only_be_meant(tmp_path_factory, axes, layout):
    path = tmp_path_factory.mktemp("data") / "own.npz"
    images = rng().integers(0, 256, (12, *axes), dtype=np.uint8)
    np.savez(path, **arrays(images=images, labels=np.arange(12) % 3, layout=layout))
    first, _, last = axes
    if layout is None and (last > 4 or first <= 4):
        with pytest.raises(DataError, match="layout='NHWC'"):
            data.dimensions(str(path))
        return
    expected = images if layout == "NCHW" else np.moveaxis(images, 3, 1)
    np.testing.assert_array_equal(read(str(path)).images, expected)


def client_fp_s():
    """Seconds for which a client computes in a round of the toy with the data set data.npz."""
    task = {"dataset": "data.npz", "train_samples": None}
    env = gym.make("SplitLearning-v0", scenario="toy", action="schedule", task=task)
    env.reset(seed=0)
    return env.step(np.array([0, 1, 1, 0]))[-1]["stages"]["client_fp"]


def test_rounds_are_timed_for_the_data_they_train_on_whatever_its_name(tmp_path, monkeypatch):
    """The toy's first unit has as many FLOPs as there are pixels: 30 in one folder, 90 in the other."""
    seconds = []
    for name, shape in (("a", (120, 6, 5)), ("b", (120, 10, 9)), ("a", (120, 12, 10))):
        (tmp_path / name).mkdir(exist_ok=True)
        monkeypatch.chdir(tmp_path / name)
        np.savez("data.npz", **arrays(images=rng().integers(0, 200, shape, dtype=np.uint8)))
        seconds.append(client_fp_s())
    assert seconds == pytest.approx([seconds[0], 3 * seconds[0], 4 * seconds[0]])


def test_an_environment_stays_with_the_file_that_its_relative_path_meant(tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    np.savez(tmp_path / "elsewhere" / "data.npz", **arrays(images=np.zeros((120, 6, 5), np.uint8)))
    np.savez(tmp_path / "data.npz", **arrays())
    monkeypatch.chdir(tmp_path)
    env = gym.make("SplitLearning-v0", scenario="toy", task={"dataset": "data.npz", "train_samples": None})
    observation, _ = env.reset(seed=0)
    monkeypatch.chdir(tmp_path / "elsewhere")
    np.testing.assert_array_equal(env.reset(seed=0)[0], observation)


def test_data_of_another_size_need_a_new_environment(path):
    np.savez(path, **arrays())
    env = gym.make("SplitLearning-v0", scenario="toy", task={"dataset": str(path), "train_samples": None})
    env.reset(seed=0)
    np.savez(path, **arrays(images=np.zeros((120, 7, 7), np.uint8)))
    with pytest.raises(DataError, match=r"has changed: .*\(1, 7, 7\), 3.* timed for \(\(1, 6, 5\), 3\)"):
        env.reset(seed=0)


@pytest.mark.parametrize("name", ["a\0.npz", "x" * 5000 + ".npz", "", "npz", None, 3, b"digits", ["digits"]])
def test_what_can_be_no_data_set_is_one_line(name):
    for read_by in (lambda: data.load(name, rng()), lambda: data.dimensions(name)):
        with pytest.raises(DataError, match=r"^dataset ") as raised:
            read_by()
        assert "\n" not in str(raised.value)


def test_a_path_may_be_a_path(path):
    np.savez(path, **arrays())
    assert data.dimensions(path) == data.dimensions(str(path))
    np.testing.assert_array_equal(data.load(path, rng()).train_images, data.load(str(path), rng()).train_images)


def test_a_file_that_is_not_there_is_named_with_its_folder(path, monkeypatch):
    monkeypatch.chdir(path.parent)
    with pytest.raises(DataError, match=f"'own.npz': {path} does not exist"):
        data.load("own.npz", rng())


def test_scenario_with_own_data_trains_and_goes_to_a_file(path):
    np.savez(path, **arrays())
    scenario = build("toy", {"task": {"dataset": str(path), "train_samples": None}, "training": {"batch_size": 4}})
    file = path.with_suffix(".toml")
    file.write_text(scenario.to_toml(), encoding="utf-8")
    assert load(file) == scenario
    env = gym.make("SplitLearning-v0", scenario=str(file), action="schedule")
    env.reset(seed=0)
    info = env.step(np.array([0, 1, 1, 0]))[-1]
    assert info["trained"]
    # b = 4 samples, 30 pixels, 32 neurons, two FLOPs for each weight, a cycle for each FLOP, 1e6 cycles/s.
    assert info["stages"]["client_fp"] == pytest.approx(4 * 2 * 30 * 32 / 1e6)


def test_own_data_have_no_calibration(path):
    np.savez(path, **arrays())
    with pytest.raises(ScenarioError, match="is not calibrated"):
        gym.make("SplitLearning-v0", scenario="toy", task={"dataset": str(path)}, learner="surrogate")
