"""The project as it is and as it was, from git."""

import io
import shutil
import subprocess
import tarfile
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path, PurePosixPath

from agents.provenance import digest_of
from experiments.running import provenance
from experiments.running.code import Tree
from experiments.running.modules import PACKAGES

SUFFIXES = (".py", ".toml", ".safetensors")
"""Files that may make numbers."""
SIMULATOR = ("splitgym", "agents")
"""What `sources` is a digest of."""
DIRTY = "-dirty"
"""Behind a commit, if the code was another when the result was made."""
LONGEST = 30
"""States of the simulator that are looked at, before a result."""


def commit() -> str | None:
    """The project's state in git, for readers; None without git. Results that were made meanwhile change nothing."""
    head = _git("rev-parse", "--short=12", "HEAD").decode().strip()
    changed = _git("status", "--porcelain", "--", *PACKAGES, ":!experiments/results").strip()
    return f"{head}{DIRTY}" if head and changed else head or None


def tree_of_project() -> Tree:
    """The project as it is."""
    root = provenance.FOLDER.parent
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for package in PACKAGES
        for path in (root / package).rglob("*")
        if path.suffix in SUFFIXES and path.is_file()
    }


@lru_cache(maxsize=4)
def tree_at(commit: str) -> Tree | None:
    """The project at a commit; None if git does not know it."""
    return _files_at(commit, PACKAGES, SUFFIXES)


def commit_of(sources: str, result: Path) -> str | None:
    """The last commit whose simulator and schedulers have this digest, when a result was committed or before.

    Args:
        sources: As `agents.provenance.sources` gives it.
        result: A file of the result.
    """
    last = _git("log", "-1", "--format=%h", "--", str(result)).decode().strip() or "HEAD"
    listed = _git("log", f"-{LONGEST}", "--format=%h", last, "--", *SIMULATOR).decode().split()
    return next((commit for commit in [last, *listed] if _sources_at(commit) == sources), None)


@lru_cache(maxsize=256)
def _sources_at(commit: str) -> str | None:
    files = _files_at(commit, SIMULATOR)
    return None if files is None else digest_of((path, files[path]) for path in sorted(files, key=_place))


def _place(path: str) -> tuple[int, PurePosixPath]:
    """Of a file in the order of `agents.provenance.sources`."""
    return SIMULATOR.index(path.partition("/")[0]), PurePosixPath(path)


def _files_at(commit: str, packages: Sequence[str], suffixes: str | tuple[str, ...] = "") -> Tree | None:
    """Files of packages at a commit, all or those with these suffixes; None if git does not know it."""
    packed = _git("archive", "--format=tar", commit, "--", *packages)
    if not packed:
        return None
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        files = [member for member in archive if member.isfile() and member.name.endswith(suffixes)]
        return {member.name: archive.extractfile(member).read() for member in files}  # type: ignore[union-attr]


def _git(*arguments: str) -> bytes:
    """What it prints about the project; nothing without git, or if it fails."""
    git = shutil.which("git")
    if git is None:
        return b""
    asked = [git, "-C", str(provenance.FOLDER.parent), *arguments]
    return subprocess.run(asked, capture_output=True, check=False).stdout
