"""The project as it is and as it was, from git."""

import io
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
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
    files = _files_at(commit)
    return None if files is None else {path: file for path, file in files.items() if path.endswith(SUFFIXES)}


@lru_cache(maxsize=64)
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
    files = _files_at(commit)
    return None if files is None else digest_of(_of_simulator(files))


def _of_simulator(files: Tree) -> Iterator[tuple[str, bytes]]:
    """Its files in the order of `agents.provenance.sources`."""
    for package in SIMULATOR:
        for path in sorted(map(PurePosixPath, files)):
            if path.parts[0] == package:
                yield path.as_posix(), files[path.as_posix()]


def _files_at(commit: str) -> Tree | None:
    """All files of the packages at a commit; None if git does not know it."""
    packed = _git("archive", "--format=tar", commit, "--", *PACKAGES)
    if not packed:
        return None
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        files = [member for member in archive if member.isfile()]
        return {member.name: archive.extractfile(member).read() for member in files}  # type: ignore[union-attr]


def _git(*arguments: str) -> bytes:
    """What it prints about the project; nothing without git, or if it fails."""
    git = shutil.which("git")
    if git is None:
        return b""
    asked = [git, "-C", str(provenance.FOLDER.parent), *arguments]
    return subprocess.run(asked, capture_output=True, check=False).stdout
