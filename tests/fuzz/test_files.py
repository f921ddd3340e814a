"""Files that were damaged, by every loader: what it reads is right, or it says in one line which file is wrong.

Good files are cut, flipped, and their values are exchanged for others; hostile ones ask for more memory than there is,
for devices, or to be executed.
"""

import copy
import gzip
import io
import json
import os
import pickle
import tomllib
import zipfile
import zlib
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
import tomli_w
import torch
import yaml
from safetensors.numpy import load_file, save
from watched import drawn, is_one_line, watched

import agents
import splitgym
from agents import algorithms, learned
from agents.training.hyperparameters import Hyperparameters
from agents.training.run_folder import PolicyFolder, RunFolder
from experiments.calibrate.logs import Log
from experiments.running import provenance
from experiments.running.experiment import Job
from experiments.running.finished import Finished
from experiments.running.page import parts
from splitgym.data.sources import read
from splitgym.evaluation.kept import differences
from splitgym.files import read_arrays, read_toml
from splitgym.inputs import InputError, reading
from splitgym.learning.surrogate.calibration import Calibration
from splitgym.scenario import ScenarioError, build, load
from splitgym.scenario.errors import in_one_line
from splitgym.schedulers import tuned_rule

PACKAGE = Path(splitgym.__file__).parent
ODD = (
    *(None, True, -1, 0, 1, 2**31, 2**63, 10**30, -0.5, 1e-308, 1e308, float("nan"), float("inf")),
    *("", "x", "ü" * 3000, "a\nb", "\x1b[31m", "[bold]", "../../x", "epsl", [], {}, [[]], [1, 2], ["x"] * 3),
    *({"x": 1}, [float("nan")] * 10, [10**30], {"a": {"b": {"c": [1]}}}),
)
"""What stands where something else should."""


# Good files ----------------------------------------------------------------------------------------------------------


def data_arrays():
    labels = np.arange(40) % 3
    arrays = {"images": np.arange(40 * 30, dtype=np.uint8).reshape(40, 6, 5), "labels": labels}
    return {**arrays, "classes": np.array(["a", "b", "c"]), "groups": np.arange(40) // 2, "test": labels > 1}


def log():
    rng = np.random.default_rng(0)
    job = {"number": 1, "pattern": "random_k", "clients": 3, "dirichlet_alpha": 0.5}
    return Log(
        job=job,
        class_counts=rng.integers(1, 20, (3, 10)),
        test_counts=np.full(10, 5),
        cut_layer=np.full((6, 3), 2),
        selected=rng.random((6, 3)) < 0.7,
        aggregation_ratio=np.full(6, 0.5),
        client_loss=np.ones((6, 3)),
        evaluated=np.array([1, 3, 5]),
        correct=rng.integers(0, 5, (3, 3, 10)),
    )


def npz(arrays):
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()


def png():
    def chunk(kind, content):
        return len(content).to_bytes(4, "big") + kind + content + zlib.crc32(kind + content).to_bytes(4, "big")

    header = chunk(b"IHDR", bytes([0, 0, 0, 1, 0, 0, 0, 1, 8, 0, 0, 0, 0]))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(2))) + chunk(b"IEND", b"")


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """A good file of every kind, by its name."""
    folder = tmp_path_factory.mktemp("good")
    (folder / "scenario.toml").write_text(build("toy").to_toml(), encoding="utf-8")
    calibrations = PACKAGE / "learning/surrogate/calibrations"
    (folder / "calibration.toml").write_bytes((calibrations / "toy-epsl.toml").read_bytes())
    (folder / "data.npz").write_bytes(npz(data_arrays()))
    log().save(folder / "log.npz")
    for ending in ("toml", "safetensors"):
        shipped = learned.TRAINED / "ppo-equivariant" / f"iot.{ending}"
        (folder / f"policy.{ending}").write_bytes(shipped.read_bytes())
    (folder / "progress.json").write_text('{"steps": 128}\n')
    settings = {"scenario": "toy", "seeds": 2, "compare": ["greedy"], "device": None}
    (folder / "run.json").write_text(json.dumps({"command": "python train_agent.py", "settings": settings}))
    (folder / "settings.yml").write_bytes(algorithms.get("ppo-equivariant").settings.read_bytes())
    made_by = {"command": "python -m experiments x", "settings": {"seeds": 3}, "versions": {"torch": "2"}}
    (folder / "provenance.json").write_text(json.dumps(made_by))
    for number in range(5):
        Finished(folder / "jobs.jsonl").add(Job({"name": "x"}, number), [{"value": number / 3, "text": "ü"}] * 2)
    (folder / "rules.toml").write_bytes(tuned_rule.TABLE.read_bytes())
    (folder / "a.md").write_text("# Title\n\n| a |\n|---|\n| 1 |\n\n![p](p.png)\n")
    (folder / "a.csv").write_text("x,y\n1,2\n3,4\n")
    (folder / "b.csv.gz").write_bytes(gzip.compress(b"x,y\n1,2\n3,4\n"))
    (folder / "p.png").write_bytes(png())
    return folder


@pytest.fixture(scope="module")
def env():
    made = gym.make("SplitLearning-v0", scenario="toy", learner="surrogate", action="schedule")
    made.reset(seed=0)
    for name in ("best-fixed", "ppo-equivariant"):
        # What it has to compile and import counts for no case.
        agents.make(name, made).decide(made.unwrapped.state)
    return made


# Reading them --------------------------------------------------------------------------------------------------------


def read_policy(path, env):
    agent = agents.make("ppo-equivariant", env, policy=path.with_suffix(".safetensors"))
    decision = agent.decide(env.unwrapped.state)
    assert np.isfinite(decision.power_w_per_hz).all()


def read_rules(path, env):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tuned_rule, "TABLE", path)
        agents.make("best-fixed", env).decide(env.unwrapped.state)


def read_results(path, env):
    (path.parent / "a.md").exists() or (path.parent / "a.md").write_text("# Title")
    assert list(parts(path.parent))


def read_data(path, env):
    source = read(path)
    assert source.labels.max(initial=0) < len(source.classes)


def read_calibration(path, env):
    with reading(f"calibration {str(path)!r}", ScenarioError), in_one_line():
        Calibration.of(read_toml(path))


def read_settings(path, env):
    found = Hyperparameters.read(algorithms.get("ppo-equivariant"), "surrogate", path)
    assert found.steps >= 1


READERS = {
    "scenario.toml": lambda path, env: load(path),
    "calibration.toml": read_calibration,
    "data.npz": read_data,
    "log.npz": lambda path, env: Log.load(path).accuracy,
    "policy.toml": read_policy,
    "policy.safetensors": read_policy,
    "progress.json": lambda path, env: PolicyFolder(path.parent).progress().steps + 1,
    "run.json": lambda path, env: RunFolder(path.parent).settings(),
    "settings.yml": read_settings,
    "provenance.json": lambda path, env: differences(provenance.saved(path.parent)["settings"], {}),
    "jobs.jsonl": lambda path, env: Finished(path).rows,
    "rules.toml": read_rules,
    "a.md": read_results,
    "a.csv": read_results,
    "b.csv.gz": read_results,
    "p.png": read_results,
}
PARALLEL = {"policy.toml": "policy.safetensors", "policy.safetensors": "policy.toml", "p.png": "a.md"}
"""What else is needed to read a file."""


def is_read_or_refused(path, env, case):
    """Reads a file by its loader, which may refuse it in one line that names it."""
    refused = None
    with watched(case):
        try:
            READERS[path.name](path, env)
        except InputError as error:
            refused = str(error)
    assert refused is None or (is_one_line(refused) and path.stem in refused), (case, refused)


# Damage --------------------------------------------------------------------------------------------------------------


def bytes_damaged(content, rng):
    """Flips, cuts, doubles or inserts some bytes."""
    changed = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 10))):
        at = rng.randrange(len(changed) + 1)
        match rng.randrange(5):
            case 0:
                changed[at : at + 1] = [rng.randrange(256)]
            case 1:
                del changed[at:]
            case 2:
                del changed[at : at + rng.randrange(1, 20)]
            case 3:
                changed[at:at] = changed[at : at + rng.randrange(1, 50)]
            case 4:
                changed[at:at] = bytes(rng.randrange(256) for _ in range(rng.randrange(1, 10)))
    return bytes(changed)


def values_damaged(values, rng):
    """Exchanges, removes, renames or nests a value at any depth."""
    values = copy.deepcopy(values)
    inside = values
    while True:
        key = rng.choice(list(inside) if isinstance(inside, dict) else range(len(inside)))
        if not isinstance(inside[key], dict | list) or not inside[key] or rng.random() < 0.3:
            break
        inside = inside[key]
    match rng.randrange(6):
        case 0:
            del inside[key]
        case 1 if isinstance(inside, dict):
            inside[f"{key}x"] = inside.pop(key)
        case 2:
            for _ in range(rng.choice((1, 5, 50))):
                inside[key] = [inside[key]]
        case 3 if isinstance(inside[key], int | float):
            inside[key] = inside[key] * rng.choice((-1, 0, 1e9, 1e-9, 10**20))
        case _:
            inside[key] = copy.deepcopy(rng.choice(ODD))
    return values


def without_none(values):
    """TOML has no null."""
    if isinstance(values, dict):
        return {key: without_none(value) for key, value in values.items() if value is not None}
    return [without_none(value) for value in values if value is not None] if isinstance(values, list) else values


def arrays_damaged(arrays, rng):
    """Exchanges, removes or renames an array."""
    arrays, name = dict(arrays), rng.choice(sorted(arrays))
    array = np.asarray(arrays[name])
    match rng.randrange(6):
        case 0:
            del arrays[name]
        case 1:
            arrays[f"{name}x"] = arrays.pop(name)
        case 2:
            kinds = ["f8", "f4", "i8", "i2", "u8", "?", "c16", "S3", "U5", "V4", "M8[s]"]
            with np.errstate(all="ignore"):
                arrays[name] = np.zeros(array.shape, rng.choice(kinds))
        case 3:
            arrays[name] = np.resize(array, [rng.randrange(4) for _ in range(rng.randrange(5))])
        case 4:
            arrays[name] = np.full(array.shape, rng.choice((np.nan, np.inf, -1.0, 1e300)))
        case 5 if array.size and array.dtype.kind in "iuf":
            arrays[name] = array.copy()
            arrays[name].flat[rng.randrange(array.size)] = rng.choice((0, 1, 100))
    return arrays


def changed(path, rng):  # noqa: PLR0911 - one for each format
    """The content of a file whose values are others, in its own format."""
    match path.suffix:
        case ".toml":
            return tomli_w.dumps(without_none(values_damaged(tomllib.loads(path.read_text("utf-8")), rng))).encode()
        case ".json":
            return json.dumps(values_damaged(json.loads(path.read_bytes()), rng)).encode()
        case ".jsonl":
            lines = [json.loads(line) for line in path.read_bytes().splitlines()]
            return b"".join(json.dumps(line).encode() + b"\n" for line in values_damaged(lines, rng))
        case ".yml":
            return yaml.safe_dump(values_damaged(yaml.safe_load(path.read_text("utf-8")), rng)).encode()
        case ".npz":
            return npz(arrays_damaged(read_arrays(path), rng))
        case ".safetensors":
            weights = arrays_damaged(load_file(path), rng)
            kept = {name: np.ascontiguousarray(each) for name, each in weights.items() if each.dtype.kind in "fiub"}
            return save(kept)
    return bytes_damaged(path.read_bytes(), rng)


@pytest.mark.parametrize("name", READERS)
def test_a_good_file_is_read(good, tmp_path, env, name):
    for each in (name, PARALLEL.get(name, name)):
        (tmp_path / each).write_bytes((good / each).read_bytes())
    READERS[name](tmp_path / name, env)


@pytest.mark.parametrize("name", READERS)
def test_a_damaged_file_is_read_or_refused_in_one_line(good, tmp_path, env, name):
    other = PARALLEL.get(name, name)
    (tmp_path / other).write_bytes((good / other).read_bytes())
    for case, rng in drawn(name):
        content = bytes_damaged((good / name).read_bytes(), rng) if rng.random() < 0.4 else changed(good / name, rng)
        (tmp_path / name).write_bytes(content)
        is_read_or_refused(tmp_path / name, env, case)


# Hostile files -------------------------------------------------------------------------------------------------------


class Bomb:
    """Leaves a trace where it is unpickled."""

    def __reduce__(self):
        return Path.touch, (Path("executed"),)


def zipped(entries, **says):
    """An archive of raw entries whose directory says of each what it is told to say."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
        for entry in archive.filelist:
            for field, value in says.items():
                setattr(entry, field, value)
    return file.getvalue()


def array_that_says(shape, descr="|u1", content=b""):
    header = f"{{'descr': {descr!r}, 'fortran_order': False, 'shape': {shape!r}, }}".encode()
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + content


def safetensors(header, content=b""):
    text = json.dumps(header).encode() if isinstance(header, dict) else header
    return len(text).to_bytes(8, "little") + text + content


def torch_file():
    file = io.BytesIO()
    torch.save({"x": Bomb()}, file)
    return file.getvalue()


def aliases(first, form):
    """YAML in which each value is nine times the one before."""
    more = (form.format(", ".join([f"*a{number - 1}"] * 9)) for number in range(1, 10))
    return "\n".join(f"a{number}: &a{number} {value}" for number, value in enumerate((first, *more))).encode()


DEEP = 50_000
HOSTILE = {
    "data.npz": {
        "bomb": lambda: zipped({"images.npy": array_that_says((2**27,), content=bytes(2**27))}),
        "lie": lambda: zipped({"images.npy": array_that_says((2**40,))}, file_size=2**40),
        "header": lambda: zipped({"images.npy": array_that_says((10**12, 10**12))}),
        "negative": lambda: zipped({"images.npy": array_that_says((-1, -2))}),
        "empty": lambda: zipped({"images.npy": array_that_says((10**12,), "|V0")}),
        "long header": lambda: zipped({"images.npy": array_that_says("(" * 30_000)}),
        "objects": lambda: npz({"images": np.array([Bomb(), None], object)}),
        "pickle": lambda: pickle.dumps(Bomb()),
        "pickles in it": lambda: zipped({"images.npy": pickle.dumps(Bomb())}),
        "twice": lambda: zipped({"images.npy": array_that_says((0,)), "images": array_that_says((0,))}),
        "many": lambda: zipped({f"{number}.npy": b"" for number in range(2000)}),
        "encrypted": lambda: zipped({"images.npy": array_that_says((0,))}, flag_bits=1),
        "other packing": lambda: zipped({"images.npy": array_that_says((0,))}, compress_type=97),
    },
    "log.npz": {
        "deep job": lambda: npz({"job": np.array("[" * DEEP)}),
        "objects": lambda: npz({"job": np.array([Bomb()], object)}),
    },
    "policy.safetensors": {
        "pickle": lambda: pickle.dumps(Bomb()),
        "torch": torch_file,
        "huge": lambda: safetensors({"x": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}}),
        "long": lambda: (2**62).to_bytes(8, "little") + b"{}",
        "deep": lambda: safetensors(b"[" * DEEP),
        "nothing": lambda: safetensors({}),
    },
    "policy.toml": {
        "wide": lambda card: {**card, "policy": {"width": 10**6}},
        "many": lambda card: {**card, "policy": {"heads": 10**9}},
        "far too wide": lambda card: {**card, "policy": {"width": 10**400}},
        "code": lambda card: {**card, "policy": {"activation_fn": "os:abort"}},
        "deep": lambda: b"a = " + b"[" * DEEP,
        "dots": lambda: b"a." * DEEP + b"a = 1",
    },
    "scenario.toml": {
        "dots": lambda: b"a." * DEEP + b"a = 1",
        "quoted dots": lambda: b'"\\"" . ' * 30_000 + b"a = 1",
        "deep": lambda: b"a = " + b"{a = " * DEEP,
        "long": lambda: b"#" * 2**24,
        "digits": lambda: b"version = " + b"9" * 100_000,
    },
    "calibration.toml": {"dots": lambda: b"a." * DEEP + b"a = 1", "long": lambda: b"#" * 2**24},
    "rules.toml": {"dots": lambda: b"a." * DEEP + b"a = 1", "deep": lambda: b"a = " + b"[" * DEEP},
    "settings.yml": {
        "laughs": lambda: aliases("[x, x]", "[{}]"),
        "merges": lambda: aliases("{x: 1}", "{{<<: [{}]}}"),
        "dashes": lambda: b"- " * 30_000,
        "keys": lambda: b"? " * 30_000,
        "quotes": lambda: b"'" * 60_000,
        "code": lambda: b"SplitLearning-v0: !!python/object/apply:pathlib.Path.touch [executed]",
        "deep": lambda: b"[" * DEEP,
        "long": lambda: b"#" * 2**24,
    },
    "run.json": {"deep": lambda: b"[" * DEEP, "digits": lambda: b'{"settings": ' + b"9" * 100_000 + b"}"},
    "progress.json": {"deep": lambda: b'{"a":' * DEEP, "inf": lambda: b'{"steps": 1e999}'},
    "provenance.json": {"deep": lambda: b"[" * DEEP},
    "jobs.jsonl": {"deep": lambda: b"[" * DEEP + b"\n", "digits": lambda: b'{"job": ' + b"9" * 5000 + b"}\n"},
    "a.md": {
        "brackets": lambda: b"![" * 20_000,
        "quotes": lambda: b">" * 20_000,
        "stars": lambda: b"*a **a " * 10_000,
        "ticks": lambda: b"`" * 100_000,
        "long": lambda: b"a" * 2**24,
    },
    "a.csv": {"quote": lambda: b'x\n"' * 10_000, "long": lambda: b"," * (2**25 + 1)},
    "b.csv.gz": {"bomb": lambda: gzip.compress(bytes(2**25 + 1))},
    "p.png": {"text": lambda: b"secret"},
}


@pytest.mark.parametrize(("name", "what"), [(name, what) for name, whats in HOSTILE.items() for what in whats])
def test_a_hostile_file_is_refused_and_nothing_of_it_executed(good, tmp_path, monkeypatch, env, name, what):
    monkeypatch.chdir(tmp_path)
    other, make = PARALLEL.get(name, name), HOSTILE[name][what]
    (tmp_path / other).write_bytes((good / other).read_bytes())
    if make.__code__.co_argcount:
        content = tomli_w.dumps(make(tomllib.loads((good / name).read_text("utf-8")))).encode()
    else:
        content = make()
    (tmp_path / name).write_bytes(content)
    is_read_or_refused(tmp_path / name, env, what)
    assert not Path("executed").exists()


@pytest.mark.parametrize("name", ["scenario.toml", "calibration.toml", "data.npz", "log.npz", "settings.yml"])
@pytest.mark.parametrize("kind", ["pipe", "device", "folder", "nothing", "loop"])
def test_what_is_no_file_is_refused(tmp_path, env, name, kind):
    """A pipe would be waited for, and a device read without end."""
    path = tmp_path / name
    {
        "pipe": os.mkfifo,
        "device": lambda path: path.symlink_to("/dev/zero"),
        "folder": Path.mkdir,
        "nothing": lambda path: None,
        "loop": lambda path: path.symlink_to(path),
    }[kind](path)
    with watched(kind), pytest.raises(InputError) as raised:
        READERS[name](path, env)
    assert str(path) in str(raised.value)
    assert is_one_line(str(raised.value))
