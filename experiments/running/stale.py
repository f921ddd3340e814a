"""Which results were made by other code, or other data, than the project has now."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agents.provenance import sources
from agents.registry import names
from experiments.running import provenance
from experiments.running.code import GoneError, Made, Tree, made_by
from experiments.running.history import DIRTY, commit_of, tree_at, tree_of_project
from splitgym.inputs import InputError

COMMANDS = {"splitgym compare": "agents.compare", "splitgym train": "agents.train"}
"""Modules of commands that leave results."""
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
            yield Result(place, _reason_of_command(saved, now, place))


def code_digest(experiment: str, settings: Mapping[str, Any]) -> str | None:
    """Of the code and the data that make an experiment's numbers now; None of one outside of the project."""
    try:
        return made_by(tree_of_project(), f"experiments.{experiment}", settings).digest
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


def _reason(saved: Mapping[str, Any], now: Tree) -> str:
    """Why a result with this provenance is stale; empty if it is not."""
    module, settings = f"experiments.{saved.get('experiment', '')}", saved["settings"]
    try:
        present = made_by(now, module, settings)
    except GoneError as error:
        return str(error)
    if saved.get("code") == present.digest:
        return ""
    made_at = str(saved.get("commit") or "")
    before = _made_at(made_at, module, settings)
    if saved.get("code") is None and before is None:
        where = f"at {made_at}, " if made_at else ""
        why = "with changes that were not committed" if made_at.endswith(DIRTY) else "which is not known here"
        return f"made {where}{why}"
    if before is None:
        return "made by other code"
    return _since(made_at, present.differs_in(before))


def _reason_of_command(saved: Mapping[str, Any], now: Tree, place: Path) -> str:
    """The same of a result of `splitgym compare` or `splitgym train`, which note a digest of all sources."""
    digest = str(saved["versions"].get("sources"))
    if digest == sources():
        return ""
    module = next((module for words, module in COMMANDS.items() if saved["command"].startswith(words)), None)
    made_at = commit_of(digest, place / provenance.OF_COMMAND)
    settings = saved["settings"]
    if "agents" in settings and settings["agents"] is None:
        # A comparison takes all that fit.
        settings = {**settings, "agents": names()}
    if module is None or made_at is None or (before := _made_at(made_at, module, settings)) is None:
        return "made by other code"
    return _since(made_at, made_by(now, module, settings).differs_in(before))


def _since(commit: str, differ: Sequence[str]) -> str:
    """What has changed since then; empty if nothing has."""
    if not differ:
        return ""
    others = f" and {len(differ) - MOST_FILES} more" if len(differ) > MOST_FILES else ""
    return f"since {commit} changed: {', '.join(differ[:MOST_FILES])}{others}"


def _made_at(commit: str, module: str, settings: Mapping[str, Any]) -> Made | None:
    """What made the numbers of a module at a commit; None if that is not known."""
    tree = tree_at(commit) if commit and not commit.endswith(DIRTY) else None
    if tree is None:
        return None
    try:
        return made_by(tree, module, settings)
    except (GoneError, SyntaxError):
        return None
