"""Compiled code is kept between processes, never used with other sources, and never a reason to fail."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numba.core.errors import NumbaError

import splitgym
from splitgym.kernels import NO_REFCOUNT, kernel
from splitgym.kernels.cache import NOTICE
from splitgym.kernels.sources import ROOT, dependencies

CALLER = """
from splitgym.kernels import COMPILED, kernel
from splitgym.example.callee import FACTOR, times

@kernel(COMPILED)
def twice(x):
    return FACTOR * times(x)

def outcome():
    return twice(1.0), twice.stats.cache_hits
"""
CALLEE = """
from splitgym.kernels import COMPILED, kernel

FACTOR = 1.0

@kernel(COMPILED)
def times(x):
    return 2.0 * x
"""


class Copy:
    """A copy of the package with two kernels, the first of which calls the second."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.cache = folder, folder / "cache"
        shutil.copytree(
            Path(splitgym.__file__).parent, folder / "splitgym", ignore=shutil.ignore_patterns("__pycache__")
        )
        (folder / "splitgym" / "example").mkdir()
        self.write("__init__", "")
        self.write("caller", CALLER)
        self.write("callee", CALLEE)

    def write(self, name: str, source: str) -> None:
        (self.folder / "splitgym" / "example" / f"{name}.py").write_text(source)

    def run(self, after: str = "", before: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
        """Result and cache hits in a new process, with some code before and after."""
        code = f"{before}\nfrom splitgym.example.caller import outcome; print(*outcome())\n{after}"
        environment = {**os.environ, "PYTHONPATH": str(self.folder), "SPLITGYM_CACHE": str(self.cache), **variables}
        return subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True, cwd=self.folder
        )

    def files(self) -> list[Path]:
        return sorted(self.cache.rglob("*.bin"))


@pytest.fixture
def package(tmp_path: Path) -> Copy:
    return Copy(tmp_path)


def result(process: subprocess.CompletedProcess[str]) -> tuple[float, bool]:
    """What was computed, and whether it came from a kept kernel."""
    value, hits = process.stdout.splitlines()[0].split(" ", 1)
    return float(value), hits != "Counter()"


def test_a_later_process_takes_what_an_earlier_one_compiled(package):
    assert result(package.run()) == (2.0, False)
    assert result(package.run()) == (2.0, True)


def test_a_process_says_once_that_it_compiles_and_nothing_if_all_is_kept(package):
    two_types = "from splitgym.example.caller import twice; twice(1); twice(1.0)"
    assert package.run(two_types).stderr == f"{NOTICE}\n"
    assert package.run(two_types).stderr == ""
    package.files()[0].write_bytes(b"damaged")
    assert package.run(two_types).stderr == f"{NOTICE}\n"


def test_whoever_compiles_beforehand_says_it_in_other_words(package):
    silent = "from splitgym.kernels import without_notice\nfrom splitgym.example.caller import twice\n"
    silent += "with without_notice():\n    twice(1)\n"
    assert package.run(before=f"{silent}    twice(1.0)\n").stderr == ""
    assert len(package.files()) == 2
    # What is compiled after it is said.
    assert package.run(before=silent, SPLITGYM_CACHE=str(package.folder / "other")).stderr == f"{NOTICE}\n"


@pytest.mark.parametrize(
    ("old", "new", "expected"), [("2.0 * x", "3.0 * x", 3.0), ("FACTOR = 1.0", "FACTOR = 5.0", 10.0)]
)
def test_a_change_in_a_file_that_a_kernel_imports_is_noticed(package, old, new, expected):
    package.run()
    package.write("callee", CALLEE.replace(old, new))
    assert result(package.run()) == (expected, False)
    # The former sources find their own code again.
    package.write("callee", CALLEE)
    assert result(package.run()) == (2.0, True)


@pytest.mark.parametrize("content", [b"", b"damaged", b"\x80\x05K\x01."])
def test_a_damaged_file_is_written_again(package, content):
    package.run()
    for file in package.files():
        file.write_bytes(content)
    assert result(package.run()) == (2.0, False)
    assert result(package.run()) == (2.0, True)


def test_code_for_other_types_is_not_taken(package):
    package.run()
    (kept,) = package.files()
    package.write("caller", CALLER.replace("twice(1.0)", "twice(1)"))
    package.run()
    for file in package.files():
        if file != kept:
            shutil.copy(kept, file)
    assert result(package.run()) == (2.0, False)


def test_only_what_python_calls_is_kept_and_a_kernel_can_be_called_by_both(package):
    package.run()
    assert [file.name.split("-")[0] for file in package.files()] == ["twice"]
    both = CALLER.replace("twice.stats", "times.stats").replace("twice(1.0)", "twice(times(1.0))")
    package.write("caller", both)
    assert result(package.run()) == (4.0, False)
    assert result(package.run()) == (4.0, True)
    assert {file.name.split("-")[0] for file in package.files()} == {"twice", "times"}


def test_where_nothing_can_be_kept_one_warning_says_so_and_children_share_a_temporary_folder(package):
    (package.folder / "file").touch()
    unusable = str(package.folder / "file" / "cache")
    child = "import subprocess, sys; from splitgym.kernels import cache_folder; print(cache_folder(), flush=True);"
    child += "subprocess.run([sys.executable, '-c', 'from splitgym.example.caller import *; print(*outcome())'])"
    process = package.run(child, SPLITGYM_CACHE=unusable)
    assert result(process) == (2.0, False)
    assert process.stderr.count("Warning") == 1
    assert unusable in process.stderr
    assert "SPLITGYM_CACHE" in process.stderr
    _, folder, of_child = process.stdout.splitlines()
    assert of_child.startswith("2.0 Counter({")
    assert not Path(folder).exists()


def test_where_no_temporary_folder_can_be_made_either_kernels_still_run(package):
    (package.folder / "file").touch()
    nowhere = str(package.folder / "file")
    process = package.run(before=f"import tempfile; tempfile.tempdir = {nowhere!r}", SPLITGYM_CACHE=nowhere)
    assert result(process) == (2.0, False)


def test_a_kernel_depends_on_what_its_file_imports_directly_or_not_and_on_nothing_else():
    found = {path.relative_to(ROOT).as_posix() for path in dependencies(ROOT / "timing" / "slots.py")}
    assert {"timing/slots.py", "timing/rates.py", "timing/barrier.py", "frameworks/phases.py"} <= found
    assert not any(name.startswith(("envs/", "rendering/", "evaluation/", "allocation/")) for name in found)


def test_numba_still_has_the_flag_that_leaves_out_reference_counts():
    """If this fails, `_nrt` of `splitgym.kernels.NO_REFCOUNT` is gone: measure what numba offers in its place."""

    @kernel(NO_REFCOUNT)
    def makes_an_array(n):
        return np.zeros(n)[0]

    with pytest.raises(NumbaError):
        makes_an_array(3)
