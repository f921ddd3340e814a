"""The package as users get it: light to import, registered once, complete as a wheel."""

import importlib
import json
import os
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from importlib.metadata import version
from pathlib import Path

import gymnasium as gym
import pytest

import splitgym
from splitgym.kernels.cache import NOTICE

ROOT = Path(splitgym.__file__).parent.parent
HEAVY = ("torch", "matplotlib", "PIL", "numba", "sklearn", "scipy", "pandas", "stable_baselines3", "pydantic")
ROOMS = (
    "allocation",
    "data",
    "envs",
    "evaluation",
    "frameworks",
    "learning",
    "models",
    "network",
    "rendering",
    "scenario",
    "schedulers",
    "slices",
    "timing",
)


def python(code, cwd):
    """What a fresh interpreter prints as JSON."""
    done = subprocess.run([sys.executable, "-c", code], cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_import_loads_nothing_heavy(tmp_path):
    code = f"import splitgym, sys, json; print(json.dumps([m for m in {HEAVY!r} if m in sys.modules]))"
    assert python(code, tmp_path) == []


def test_scenarios_can_be_read_without_torch(tmp_path):
    code = (
        "import splitgym, sys, json; splitgym.scenario.load('iot'); "
        "print(json.dumps([m for m in ('torch', 'matplotlib', 'numba', 'sklearn') if m in sys.modules]))"
    )
    assert python(code, tmp_path) == []


def test_names_of_rules_need_no_learning_library(tmp_path):
    code = (
        "import splitgym.schedulers, sys, json; before = 'torch' in sys.modules; known = splitgym.schedulers.names(); "
        "print(json.dumps([before, 'stable_baselines3' in sys.modules, 'agents' in sys.modules, 'greedy' in known]))"
    )
    assert python(code, tmp_path) == [False, False, False, True]


def test_with_the_surrogate_nothing_of_real_training_is_loaded(tmp_path):
    code = """
import json, sys
import gymnasium as gym
import splitgym
for preset in {*splitgym.scenario.presets()} - {"narrowband", "boards", "lora"}:
    env = gym.make("SplitLearning-v0", scenario=preset, learner="surrogate")
    env.reset(seed=0)
    env.step(env.action_space.sample())
envs = gym.make_vec("SplitLearning-v0", 2, "vector_entry_point", learner="surrogate", action="schedule")
envs.reset(seed=0)
envs.step(envs.action_space.sample())
splitgym.schedulers.make("greedy", env).decide(env.unwrapped.state)
heavy = ("torch", "sympy", "sklearn", "scipy.optimize", "pandas", "stable_baselines3", "matplotlib", "PIL", "tyro")
print(json.dumps([m for m in heavy if m in sys.modules]))
"""
    assert python(code, tmp_path) == []


def test_registration_is_idempotent():
    before = gym.spec("SplitLearning-v0")
    importlib.reload(splitgym)
    assert gym.spec("SplitLearning-v0") is before


def test_entry_point_is_a_string_so_that_workers_can_make_it():
    assert gym.spec("SplitLearning-v0").entry_point == "splitgym.envs:SplitLearningEnv"


def test_rooms_are_attributes_after_import(tmp_path):
    code = f"import splitgym, json; print(json.dumps([getattr(splitgym, room).__name__ for room in {ROOMS!r}]))"
    assert python(code, tmp_path) == [f"splitgym.{room}" for room in ROOMS]
    assert set(ROOMS) <= set(dir(splitgym))


def test_unknown_attribute_is_an_attribute_error():
    with pytest.raises(AttributeError, match="'splitgym' has no attribute 'envz'"):
        _ = splitgym.envz


def test_version_is_that_of_the_distribution():
    assert splitgym.__version__ == version("splitgym")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = folder.glob("*.whl")
    return path


def test_wheel_holds_the_package_with_its_presets_and_nothing_else(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    info = f"splitgym-{splitgym.__version__}.dist-info/"
    assert {name.split("/")[0] + "/" for name in names} == {"splitgym/", info}
    source = {
        str(path.relative_to(ROOT)) if folder == "splitgym" else f"splitgym/{path.relative_to(ROOT)}"
        for folder in ("splitgym", "agents")
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and path != ROOT / "splitgym/agents.py"
    }
    assert {"splitgym/agents/learned.py", "splitgym/agents/trained/ppo-equivariant/iot.safetensors"} <= source
    assert sum(name.endswith(".toml") for name in source) >= 5
    assert {name for name in names if not name.startswith(info)} == source


def test_source_distribution_makes_the_same_wheel_and_has_no_links(wheel, tmp_path):
    command = [sys.executable, "-m", "build", "--sdist", "--no-isolation", "--outdir", str(tmp_path), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    (path,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        assert [member.name for member in archive if member.issym() or member.islnk()] == []
        archive.extractall(tmp_path, filter="data")
    (unpacked,) = (folder for folder in tmp_path.iterdir() if folder.is_dir())
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(unpacked)]
    subprocess.run(command, check=True, capture_output=True)
    (again,) = tmp_path.glob("*.whl")
    first, second = (zipfile.ZipFile(each) for each in (wheel, again))
    assert sorted(first.namelist()) == sorted(second.namelist())
    assert all(first.read(name) == second.read(name) for name in first.namelist())
    tracked = subprocess.run(["git", "-C", ROOT, "ls-files"], capture_output=True, text=True, check=False)
    unshipped = {".ci/run"}
    missing = [name for name in tracked.stdout.split() if not (unpacked / name).is_file() and name not in unshipped]
    assert missing == []


def test_wheel_says_what_it_needs(wheel):
    archive = zipfile.ZipFile(wheel)
    metadata = archive.read(f"splitgym-{splitgym.__version__}.dist-info/METADATA").decode()
    assert "Requires-Python: >=3.11" in metadata
    assert "Requires-Dist: gymnasium<2,>=1.2" in metadata
    assert "Provides-Extra: train" in metadata


EPISODE = """
import json, gymnasium as gym, numba, splitgym
env = gym.make("SplitLearning-v0", scenario="toy")
env.reset(seed=0)
env.action_space.seed(0)
ended = False
while not ended:
    *_, terminated, truncated, info = env.step(env.action_space.sample())
    ended = terminated or truncated
assert "best-fixed" in splitgym.schedulers.names()
splitgym.agents.make("ppo-equivariant", env.unwrapped.__class__("iot", learner="surrogate", action="priority"))
splitgym.schedulers.make("best-fixed", env)
places = [splitgym.__file__, splitgym.envs.__file__, str(splitgym.kernels.cache_folder())]
print(json.dumps([places, numba.config.DISABLE_JIT, int(info["round"]), list(splitgym.scenario.presets())]))
"""


def test_installed_wheel_plays_a_compiled_episode_away_from_the_checkout(wheel, tmp_path):
    """In an environment that holds the wheel alone, with nothing compiled before and a package that is not written to.

    Its dependencies are those of this environment. Compiled without optimisation, which takes less time.
    """
    venv.create(tmp_path / "venv", symlinks=True)
    site = Path(sysconfig.get_path("purelib", "venv", {"base": str(tmp_path / "venv")}))
    (site / "dependencies.pth").write_text("\n".join(path for path in sys.path if path.endswith("site-packages")))
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", str(site)]
    subprocess.run([*command, str(wheel)], check=True, capture_output=True)
    installed = site / "splitgym"
    for folder in (installed, *filter(Path.is_dir, installed.rglob("*"))):
        folder.chmod(0o555)
    before = sorted(installed.rglob("*"))
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "NUMBA_DISABLE_JIT")}
    kept = tmp_path / "kernels"

    def installed_python(*arguments):
        return subprocess.run(
            [tmp_path / "venv/bin/python", "-B", *arguments],
            cwd=tmp_path,
            env={**environment, "SPLITGYM_CACHE": str(kept), "NUMBA_OPT": "0"},
            capture_output=True,
            text=True,
            check=False,
        )

    done = installed_python("-c", EPISODE)
    assert (done.returncode, done.stderr) == (0, f"{NOTICE}\n")
    (package, envs, cache), disabled, rounds, presets = json.loads(done.stdout)
    assert Path(package).parent == Path(envs).parents[1] == installed
    assert Path(cache) == kept
    assert not disabled
    assert any(kept.rglob("*.bin"))
    assert 1 <= rounds <= 150
    assert {f"{name}.toml" for name in presets} == {path.name for path in installed.glob("scenario/presets/*.toml")}
    program = str(site / "bin/splitgym")
    compared = installed_python(program, "compare", "--agents", "ppo-equivariant", "--episodes", "2", "--workers", "1")
    assert (compared.returncode, "ppo-equivariant" in compared.stdout) == (0, True), compared.stderr
    rendered = installed_python(program, "render", "--scenario", "toy", "--learner", "surrogate", "--rounds", "1")
    assert (rendered.returncode, "round 1 of 150" in rendered.stdout) == (0, True), rendered.stderr
    refused = installed_python(program, "experiments", "list")
    assert (refused.returncode, "experiments run from a checkout only" in refused.stderr) == (2, True)
    assert "No module" not in "".join(done.stdout + done.stderr for done in (compared, rendered, refused))
    assert sorted(installed.rglob("*")) == before
