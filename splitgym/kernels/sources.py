"""Which sources a kernel depends on.

numba stamps compiled code with the source of its own file only, so a change in a file that a kernel uses would go
unnoticed. Here all files of the package count that the kernel's file imports, directly or not.
"""

import re
from collections.abc import Callable
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
"""Folder of the package."""

_IMPORTED = re.compile(rb"^\s*(?:from|import)\s+(splitgym[\w.]*)", re.MULTILINE)


def is_of_package(function: Callable[..., Any]) -> bool:
    """Whether a function stands in a file of the package; a package inside an archive has none."""
    path = Path(function.__code__.co_filename)
    return path.is_relative_to(ROOT) and path.is_file()


@cache
def sources_digest(path: Path) -> str:
    """Digest of a file of the package and of all files of the package that it depends on, as they were at first use."""
    digest = sha256()
    for used in sorted(dependencies(path)):
        digest.update(used.relative_to(ROOT).as_posix().encode() + b"\n" + _read(used))
    return digest.hexdigest()[:16]


def dependencies(path: Path) -> set[Path]:
    """A file of the package and all files of the package that it imports, directly or not."""
    found, pending = {path}, [path]
    while pending:
        new = _imported_by(pending.pop()) - found
        found |= new
        pending += new
    return found


@cache
def _read(path: Path) -> bytes:
    return path.read_bytes()


@cache
def _imported_by(path: Path) -> frozenset[Path]:
    modules = set(_IMPORTED.findall(_read(path)))
    return frozenset(file for module in modules for file in _files_of(module.decode()))


@cache
def _files_of(module: str) -> tuple[Path, ...]:
    """The file of a module; of a package all files in its folder, for names that are imported may be modules in it."""
    place = ROOT.joinpath(*module.split(".")[1:])
    files = place.glob("*.py") if place.is_dir() else [place.with_suffix(".py")]
    # Packages above it run, too, when it is imported; that of the whole project imports nothing by itself.
    above = [folder / "__init__.py" for folder in place.parents if folder != ROOT and folder.is_relative_to(ROOT)]
    return tuple(file for file in (*files, *above) if file.is_file())
