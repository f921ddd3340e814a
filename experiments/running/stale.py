"""Which results were made by other code, or other data, than the project has now."""

import io
import shutil
import subprocess
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from agents.provenance import sources
from experiments.running import provenance
from experiments.running.code import GoneError, Made, Tree, made_by
from experiments.running.modules import PACKAGES
from experiments.running.provenance import DIRTY
from splitgym.inputs import InputError

SUFFIXES = (".py", ".toml", ".safetensors")
"""Files that may make numbers."""
RESULTS = (".csv", ".gz", ".md")
"""Files that hold results."""
MOST_FILES = 3
"""Files that a reason names one by one."""


@dataclass(frozen=True)
class Result:
    """A result, and whether it is what the project would make now."""

    folder: Path
    """Of the result."""
    reason: str
    """Why it is stale; empty: it is not."""


def results(folder: Path, now: Tree) -> Iterator[Result]:
    """Every result in a folder or below.

    Args:
        folder: As `experiments/results`.
        now: The project.

    Raises:
        InputError: a provenance is broken.
    """
    for place in sorted({path.parent for path in folder.rglob("*") if path.suffix in RESULTS}):
        saved = provenance.saved(place)
        if saved is None:
            yield Result(place, f"no {provenance.FILE} says what made it")
        elif "experiment" in saved:
            yield Result(place, _reason(saved, now))
        else:
            # Of `splitgym compare` or `splitgym train`, which all of the simulator and the schedulers may decide.
            yield Result(place, "" if saved["versions"].get("sources") == sources() else "made by other code")


def code_digest(experiment: str, settings: Mapping[str, Any]) -> str | None:
    """Of the code and the data that make an experiment's numbers now; None of one outside of the project."""
    try:
        return made_by(tree_of_project(), experiment, settings).digest
    except GoneError:
        return None


def listing(folder: Path) -> str:
    """A line for each stale result in a folder or below, and how many there are.

    Raises:
        InputError: there are no results, or a provenance is broken.
    """
    found = list(results(folder, tree_of_project()))
    if not found:
        raise InputError(f"{folder} holds no results, expected: files as experiments write them")
    stale = [result for result in found if result.reason]
    lines = [f"{result.folder.relative_to(folder).as_posix():30} {result.reason}" for result in stale]
    return "\n".join([*lines, f"{len(stale)} of {len(found)} results are stale: other code or data has made them."])


def tree_of_project() -> Tree:
    """The project as it is."""
    root = provenance.FOLDER.parent
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for package in PACKAGES
        for path in (root / package).rglob("*")
        if path.suffix in SUFFIXES and path.is_file()
    }


def _reason(saved: Mapping[str, Any], now: Tree) -> str:
    """Why a result with this provenance is stale; empty if it is not."""
    name, settings = str(saved.get("experiment", "")), saved["settings"]
    try:
        present = made_by(now, name, settings)
    except GoneError as error:
        return str(error)
    if saved.get("code") == present.digest:
        return ""
    made_at = str(saved.get("commit") or "")
    before = _made_at(made_at, name, settings)
    if saved.get("code") is None and before is None:
        where = f"at {made_at}, " if made_at else ""
        why = "with changes that were not committed" if made_at.endswith(DIRTY) else "which is not known here"
        return f"made {where}{why}"
    if before is None:
        return "made by other code"
    if saved.get("code") is None and before.digest == present.digest:
        return ""
    differ = present.differs_in(before)
    others = f" and {len(differ) - MOST_FILES} more" if len(differ) > MOST_FILES else ""
    return f"since {made_at} changed: {', '.join(differ[:MOST_FILES])}{others}"


def _made_at(commit: str, name: str, settings: Mapping[str, Any]) -> Made | None:
    """What made the numbers at a commit; None if that is not known."""
    tree = _tree_at(commit) if commit and not commit.endswith(DIRTY) else None
    if tree is None:
        return None
    try:
        return made_by(tree, name, settings)
    except (GoneError, SyntaxError):
        return None


@lru_cache(maxsize=4)
def _tree_at(commit: str) -> Tree | None:
    """The project at a commit; None if git does not know it."""
    git = shutil.which("git")
    if git is None:
        return None
    asked = [git, "-C", str(provenance.FOLDER.parent), "archive", "--format=tar", commit, "--", *PACKAGES]
    found = subprocess.run(asked, capture_output=True, check=False)
    if found.returncode:
        return None
    with tarfile.open(fileobj=io.BytesIO(found.stdout)) as archive:
        files = [member for member in archive if member.isfile() and member.name.endswith(SUFFIXES)]
        return {member.name: archive.extractfile(member).read() for member in files}  # type: ignore[union-attr]
