"""Which scenarios the surrogate knows: shipped calibrations, and one's own, in files that may be wrong."""

from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from splitgym import data, models
from splitgym.envs.world import World
from splitgym.frameworks import get
from splitgym.learning.surrogate import Surrogate, calibration_for
from splitgym.learning.surrogate import calibration as calibrations
from splitgym.learning.surrogate.calibration import FOLDER_VARIABLE
from splitgym.scenario import ScenarioError, build, presets

CALIBRATED = [name for name in presets() if build(name).plan.codecs == ("none",) and name not in ("boards", "lora")]
"""With codecs, and of text, there is real training only."""
SHIPPED = Path(calibrations.__file__).with_name("calibrations") / "iot-epsl.toml"


@pytest.mark.parametrize("preset", CALIBRATED)
@pytest.mark.parametrize("framework", ["epsl", "psl"])
def test_presets_are_calibrated(preset, framework):
    calibration = calibration_for(build(preset), framework)
    assert len(calibration.parameters.class_ease) == len(calibration.train_samples) == len(calibration.test_samples)
    assert all(np.all(np.isfinite(number)) for number in calibration.parameters)
    # Of HAM10000 there are only few and short runs.
    most = 0.15 if build(preset).task.dataset == "ham10000" else 0.1
    assert all(errors["held out"]["accuracy_mae"] < most for errors in calibration.error.values())
    assert calibration.provenance["command"].startswith("python -m experiments calibrate")


@pytest.mark.parametrize("preset", CALIBRATED)
def test_calibrations_of_presets_say_what_their_networks_cost(preset):
    task = build(preset).task
    shape, classes = data.dimensions(task.dataset)
    network = models.build(task.model, shape, classes, stem=task.stem)
    said = calibration_for(build(preset), "epsl").network_costs
    counted = (models.profile(network, shape), models.memory_of(network, shape))
    for own, other in zip((said.profile, said.memory), counted, strict=True):
        for field in fields(other):
            np.testing.assert_array_equal(getattr(own, field.name), getattr(other, field.name))
    assert said.has_batch_norm is any("running_mean" in name for name in network.state_dict())


def test_of_a_calibration_that_does_not_say_it_the_network_is_measured(own):
    scenario = build("iot", {"clients": {"count": 3}})
    said = World(scenario, get("epsl"), "surrogate").system
    text = own.read_text(encoding="utf-8")
    own.write_text(text[: text.index("[network]")] + text[text.index("[parameters]") :], encoding="utf-8")
    measured = World(scenario, get("epsl"), "surrogate").system
    assert calibration_for(scenario, "epsl").network_costs is None
    np.testing.assert_array_equal(measured.prefix_bits, said.prefix_bits)
    np.testing.assert_array_equal(measured.program.work, said.program.work)


def test_costs_of_a_calibration_are_those_of_the_simulator(own):
    rewrite(own, "model_bits = [5120, ", "model_bits = [54321, ")
    world = World(build("iot", {"clients": {"count": 3}}), get("epsl"), "surrogate")
    assert world.system.prefix_bits[1] == 54321


def test_what_learns_as_psl_has_its_calibration():
    made = Surrogate(build("three-tier"), get("hierarchical"), 1)
    assert made.calibration.provenance == calibration_for(build("three-tier"), "psl").provenance
    with pytest.raises(ScenarioError, match=r"calibrate --scenario FILE\.toml --framework psl"):
        Surrogate(build("three-tier", {"training": {"batch_size": 8}}), get("hierarchical"), 1)


def test_radio_does_not_matter():
    assert calibration_for(build("iot", {"radio": {"subchannels": 3}}), "epsl")


@pytest.mark.parametrize(
    ("changed", "framework", "message"),
    [
        (
            {"training": {"batch_size": 8}},
            "epsl",
            r"'iot' with framework 'epsl' is not calibrated: it has training.batch_size = 8, calibrated: \d+; `python "
            r"-m experiments calibrate --scenario FILE.toml --framework epsl` \(FILE.toml: where you save",
        ),
        (
            {},
            "psl-drop",
            "not calibrated for any scenario; `.* calibrate --scenario iot --framework psl-drop` makes",
        ),
        ({}, "fl", "'fl' is not calibrated, nor can it be, allowed: learner = 'train', or framework 'epsl', 'psl'"),
        ({"clients": {"count": 400}}, "epsl", r"clients.count = 400: .* calibrated for 4 to 14; .* --clients 4 400`"),
        ({"family": {"clients": [3, 8]}}, "epsl", r"family.clients = 3: .* 4 to 14"),
        ({"family": {"dirichlet_alpha": [0.2, 2.0]}}, "epsl", r"family.dirichlet_alpha = 2: .* 0.1 to 1"),
        ({"task": {"dirichlet_alpha": 5.0}}, "epsl", r"task.dirichlet_alpha = 5: .* 0.1 to 1"),
    ],
)
def test_what_is_not_calibrated_is_refused(changed, framework, message):
    with pytest.raises(ScenarioError, match=message):
        Surrogate(build("iot", changed), get(framework), 1)


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A folder of one's own calibrations with one for iot with 2 to 3 clients."""
    text = SHIPPED.read_text(encoding="utf-8").replace("clients = [4, 14]", "clients = [2, 3]")
    (tmp_path / "mine.toml").write_text(text, encoding="utf-8")
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    return tmp_path / "mine.toml"


def test_own_calibrations_come_first(own):
    assert calibration_for(build("iot", {"clients": {"count": 3}}), "epsl").clients == (2, 3)


def test_of_several_calibrations_the_first_that_holds_is_taken(own):
    for count, clients in ((3, (2, 3)), (8, (4, 14)), (40, (5, 120))):
        assert calibration_for(build("iot", {"clients": {"count": count}}), "epsl").clients == clients
    assert calibration_for(build("iot-wide"), "epsl").clients == (5, 120)


def test_a_byte_order_mark_does_not_matter(own):
    own.write_text(own.read_text(encoding="utf-8"), encoding="utf-8-sig")
    assert calibration_for(build("iot", {"clients": {"count": 3}}), "epsl").clients == (2, 3)


TEXT = SHIPPED.read_text(encoding="utf-8")
MEMORY = TEXT[TEXT.index("[network.memory]") : TEXT.index("[parameters]")]
BROKEN = [
    ("test_samples", "tests", "unknown field 'tests'"),
    ("test_samples =", "# ", "test_samples is missing"),
    ("test_samples = [36, 36, ", "test_samples = [36, ", "test_samples has 9 values, allowed: 10, as many as train"),
    ("test_samples = [36, 36, ", "test_samples = [36, -1, ", r"test_samples\.1 = -1: .* greater than or equal to 0"),
    ("train_samples = [142, ", "train_samples = [0.5, ", r"train_samples\.0 = 0\.5: .* integer"),
    ("clients = [2, 3]", "clients = 2", "clients = 2: .* tuple"),
    ("clients = [2, 3]", "clients = [3, 2]", r"clients = \[3, 2\], allowed: the lower one first"),
    ("clients = [2, 3]", 'clients = ["2", "3"]', r"clients = \['2', '3'\]: allowed: numbers"),
    ("clients = [2, 3]", "clients = [2, 100_000]", "train_samples = 1438 in all, allowed: one for each of 100000"),
    ("run_effect = ", "run_efect = ", "run_efect"),
    ("run_effect = ", "run_effect = inf # ", r"parameters\.run_effect = inf: .* finite"),
    ("initial_rate = ", "initial_rate = nan # ", r"parameters\.initial_rate = nan: .* finite"),
    ("initial_rate = ", "initial_rate = -1 # ", r"parameters\.initial_rate = -1: .* greater than or equal to 0"),
    ("ceiling = ", "ceiling = 1.5 # ", r"parameters\.ceiling = 1\.5: .* less than or equal to 1"),
    ("class_ease = [1.185, ", "class_ease = [", "class_ease has 9 values, allowed: 10"),
    ("server_speed = [0.1933, ", "server_speed = [", r"parameters\.server_speed"),
    ("cut_layers = 3", "cut_layers = [3]", r"cut_layers = \[3\]"),
    ("cut_layers = 3", "cut_layers = 0", "cut_layers = 0: .* greater than or equal to 1"),
    ("cut_layers = 3", "cut_layers = 3\ncolour = 1", "colour"),
    ("model_bits = [5120, ", "model_bits = [", "network.model_bits has 3 values, allowed: 4, one more than cut_layers"),
    ("model_bits = [5120, ", "model_bits = [-1, ", r"network\.model_bits\.0 = -1: .* greater than or equal to 0"),
    ("has_batch_norm = false", "has_batch_norm = 0", r"network\.has_batch_norm = 0: allowed: a boolean"),
    ("has_batch_norm = false", "", r"network\.has_batch_norm is missing"),
    (MEMORY, "", r"network\.memory is missing"),
    ("saved_bytes = [4352, ", "saved_bytes = [", r"network\.memory\.saved_bytes has 3 values, allowed: 4, one more"),
    ("saved_bytes = [4352, ", "saved_bytes = [-1, ", r"network\.memory\.saved_bytes\.0 = -1: .* greater than or equal"),
    ("shared_bytes = ", "# ", r"network\.memory\.shared_bytes is missing"),
]
"""Of a file whose purpose can still be read."""
ILLEGIBLE = [
    ("", 'name = "toy"\n[cell]\n', "frameworks is missing"),
    ("batch_size = 16", "batch_size = 0", r"training\.batch_size = 0"),
    ('model = "cnn"', "modle = 3", "modle"),
    ("cut_layers = 3", "cut_layers = ", "line"),
    ('frameworks = ["epsl", "psl"]', "frameworks = 3", "frameworks = 3"),
]
"""Of a file whose purpose cannot be read."""


def rewrite(path, old, new):
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new) if old else new, encoding="utf-8")


@pytest.mark.parametrize(("old", "new", "message"), BROKEN)
def test_a_calibration_that_is_broken_is_named_where_it_would_be_used(own, old, new, message):
    rewrite(own, old, new)
    with pytest.raises(ScenarioError, match=message) as raised:
        calibration_for(build("iot"), "epsl")
    assert str(raised.value).startswith(f"calibration {str(own)!r} is broken: ")
    assert "\n" not in str(raised.value)
    assert calibration_for(build("toy"), "epsl").cut_layers == 2


@pytest.mark.parametrize(("old", "new", "message"), ILLEGIBLE)
def test_a_file_that_is_no_calibration_is_passed_over_with_a_warning(own, old, new, message):
    rewrite(own, old, new)
    with pytest.warns(RuntimeWarning, match=message) as warned:
        assert calibration_for(build("iot"), "epsl").clients == (4, 14)
    assert str(warned[0].message).startswith(f"calibration {str(own)!r} is broken: ")
    with pytest.raises(ScenarioError, match=f"is not calibrated.*; calibration .* is broken: .*{message}") as raised:
        calibration_for(build("iot"), "fl")
    assert "\n" not in str(raised.value)


def test_a_calibration_that_cannot_be_read_is_named(own):
    own.write_text(own.read_text(encoding="utf-8"), encoding="utf-16")
    with pytest.warns(RuntimeWarning, match=f"calibration {str(own)!r} cannot be read: it is in UTF-16"):
        calibration_for(build("iot"), "epsl")


def test_a_folder_of_calibrations_that_is_not_there_is_named(monkeypatch):
    monkeypatch.setenv(FOLDER_VARIABLE, "nowhere")
    with pytest.raises(ScenarioError, match="SPLITGYM_CALIBRATIONS = 'nowhere' cannot be read: No such file"):
        calibration_for(build("iot"), "epsl")


def test_a_calibration_of_own_data_is_for_these_data_not_for_others_of_that_name(tmp_path, own, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arrays = {"labels": np.arange(60) % 3, "classes": ["a", "b", "c"]}
    np.savez("data.npz", images=np.zeros((60, 8, 8), np.uint8), **arrays)
    text = own.read_text(encoding="utf-8").replace('dataset = "digits"', 'dataset = "data.npz"')
    own.write_text(f"data_digest = {data.digest('data.npz')!r}\n{text}", encoding="utf-8")
    scenario = build("iot", {"clients": {"count": 3}, "task": {"dataset": "data.npz"}})
    assert calibration_for(scenario, "epsl").clients == (2, 3)
    np.savez("data.npz", images=np.ones((60, 8, 8), np.uint8), **arrays)
    with pytest.raises(ScenarioError, match="is not calibrated"):
        calibration_for(scenario, "epsl")
