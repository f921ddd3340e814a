"""How files are written: as a whole or not at all, or line by line; a kill or a full disk spoils none."""

import json
import os
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, Generic, TypeVar

import numpy as np

from splitgym.files import parse_json, read_bytes
from splitgym.inputs import InputError, one_line, reading

Entry = TypeVar("Entry")

MOST_JOURNAL_BYTES = 2**30
"""Of a journal."""
SUM = "sum"
"""Under which a line of a journal says its checksum."""


def write(path: Path, save: Callable[[BinaryIO], Any]) -> Path:
    """Writes a file as a whole: until all of it is on the disk the former one stays.

    Args:
        path: Of the file.
        save: Is given an open file and writes to it.

    Raises:
        OSError: it cannot be written, for example because the disk is full; the former one is as it was.
    """
    write_together({path: save})
    return path


def write_text(path: Path, text: str) -> Path:
    """Writes a text in UTF-8 as a whole, see `write`."""
    return write(path, lambda file: file.write(text.encode()))


def write_together(files: Mapping[Path, Callable[[BinaryIO], Any]]) -> None:
    """Writes files of one folder that belong together, see `write`: all are whole before the first is replaced.

    A kill between two replacements leaves the rest of the new files where `unfinished` says.
    """
    try:
        for path, save in files.items():
            with _naming(path), unfinished(path).open("wb") as file:
                save(file)
                file.flush()
                os.fsync(file.fileno())
    except BaseException:
        for path in files:
            unfinished(path).unlink(missing_ok=True)
        raise
    for path in files:
        unfinished(path).replace(path)
    _sync_folder(next(iter(files)).parent)


def unfinished(path: Path) -> Path:
    """Where a file is written before it takes the place of the former one."""
    return path.with_name(f"{path.name}.unfinished")


class Journal(Generic[Entry]):
    """A file with a line of JSON for each entry; it survives that its writer is killed at any moment.

    Args:
        path: Of the file; it need not exist.
        read: Makes an entry of what stands in a line; it may raise anything.

    Attributes:
        path: Of the file.
        entries: Those of the file when it was opened, and what was added since.

    Raises:
        InputError: a line is broken.
    """

    def __init__(self, path: Path, read: Callable[[Any], Entry]) -> None:
        self.path, self._read = path, read
        content = b""
        if path.exists():
            with reading(str(path)):
                content = read_bytes(path, MOST_JOURNAL_BYTES)
        # What has no end is of a writer that was killed.
        *whole, rest = content.split(b"\n")
        self.entries = [self._entry(number, line) for number, line in enumerate(whole, 1)]
        self._bytes = len(content) - len(rest)
        if rest:
            os.truncate(path, self._bytes)

    def add(self, content: dict[str, Any]) -> Entry:
        """Adds an entry, given what JSON says of it; when this returns, it is on the disk.

        Raises:
            OSError: it cannot be written; the file is as it was.
        """
        content = json.loads(json.dumps(content, default=_plain))
        line = f"{json.dumps({**content, SUM: _sum(content)})}\n".encode()
        try:
            with _naming(self.path), self.path.open("ab") as file:
                file.write(line)
                file.flush()
                os.fsync(file.fileno())
        except BaseException:
            with suppress(OSError):
                os.truncate(self.path, self._bytes)
            raise
        self._bytes += len(line)
        self.entries.append(self._read(content))
        return self.entries[-1]

    def _entry(self, number: int, line: bytes) -> Entry:
        """What a line says; an InputError names its number if it is broken."""
        try:
            return self._read(_summed(parse_json(line)))
        except Exception as error:
            said = one_line(error) or type(error).__name__
            raise InputError(
                f"line {number} of {self.path} is broken ({said}): delete it to run its job again"
            ) from error


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Errors of the system say which file they are about."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or str(path)
        raise


def _summed(content: dict[str, Any]) -> dict[str, Any]:
    """A line without its checksum, which it fits; lines of before have none."""
    if content.pop(SUM, None) not in (None, _sum(content)):
        raise ValueError("its sum is another")
    return content


def _sum(content: Any) -> int:
    """By which a line that was damaged is told from a whole one."""
    return zlib.crc32(json.dumps(content).encode())


def _plain(value: object) -> object:
    """Numbers of numpy as those of Python."""
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{value!r} cannot be kept, allowed: text, numbers, true and false")


def _sync_folder(folder: Path) -> None:
    """Waits until the names of a folder are on the disk, where folders can be opened."""
    with suppress(OSError):
        opened = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)
