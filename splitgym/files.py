"""How files of users are read: of each kind one way, which looks at what a file says it holds before it takes it in.

What fails raises an error that says what is wrong; `splitgym.inputs.reading` around it
makes it the one line that names the file.
"""

import json
import math
import re
import stat
import tomllib
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

MOST_TEXT_BYTES = 2**18
"""Of a text, such as a scenario or the card of a policy."""
MOST_ARRAY_BYTES = 2**32
"""Of all arrays of an archive."""
ALWAYS_ALLOWED_BYTES = 2**26
"""Arrays of an archive may hold so much however small the archive is."""
MOST_PACKED = 100
"""Times that larger arrays may be as large as their archive: photographs are packed to a half, drawings to a tenth."""
MOST_ENTRIES = 1000
"""Arrays of an archive."""
MOST_HEADER_BYTES = 10_000
"""Of what an array says of itself."""
DEEPEST = 20
"""Lists and tables within each other."""
LARGEST_WHOLE = 2**63 - 1
"""Of whole numbers in JSON."""

MOST_VALUES = 2**18
"""Values in lists and tables of one depth."""

_PART = r"""(?:[\w-]+|"(?:[^"\\\n]|\\.)*"|'[^'\n]*')[ \t]*\.[ \t]*"""
_MANY_PARTS = re.compile(rf"(?<![\w-])(?:{_PART}){{{DEEPEST}}}")
"""A key of TOML with so many parts: the time to read one grows with the square of their number."""


def read_bytes(path: Path, most: int = MOST_TEXT_BYTES) -> bytes:
    """What a file holds.

    Raises:
        OSError: it cannot be read, or is no file but a device or a pipe, whose content may never end.
        ValueError: it is larger.
    """
    check_is_file(path)
    with path.open("rb") as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise ValueError(f"it has {path.stat().st_size} bytes, allowed: up to {most}")
    return content


def check_is_file(path: Path) -> None:
    """Raises an OSError if a path leads to no file."""
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError("it is no file" if not path.is_dir() else "it is a folder")


def read_text(path: Path, most: int = MOST_TEXT_BYTES) -> str:
    """The text of a file in UTF-8, with or without a byte order mark.

    Raises:
        UnicodeError: it is in another encoding.
        OSError, ValueError: as `read_bytes`.
    """
    content = read_bytes(path, most)
    if content.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in content:
        raise UnicodeError("it is in UTF-16 or no text, allowed: UTF-8")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as fault:
        raise UnicodeError(f"it is not in UTF-8 (byte {fault.start}), allowed: UTF-8") from fault


def read_toml(path: Path) -> dict[str, Any]:
    """The values of a TOML file.

    Raises:
        ValueError: it is no TOML, or holds what no file needs: see `check_plain`.
        OSError, UnicodeError: as `read_text`.
    """
    text = read_text(path)
    if _MANY_PARTS.search(text):
        raise ValueError(f"a key has many parts, allowed: up to {DEEPEST}")
    values = tomllib.loads(text)
    check_plain(values)
    return values


def read_json(path: Path) -> dict[str, Any]:
    """The values of a file that holds one object of JSON.

    Raises:
        ValueError, TypeError: it holds none, or what no file needs: see `check_plain`.
        OSError, UnicodeError: as `read_text`.
    """
    return parse_json(read_text(path))


def parse_json(text: str | bytes) -> dict[str, Any]:
    """The values of one object of JSON; errors as those of `read_json`."""
    values = json.loads(text, parse_int=_whole)
    if not isinstance(values, dict):
        raise TypeError(f"it holds {type(values).__name__}, allowed: an object in braces")
    check_plain(values)
    return values


def _whole(digits: str) -> int:
    """A whole number of 64 bits at most."""
    number = int(digits)
    if abs(number) > LARGEST_WHOLE:
        raise ValueError(f"a whole number has {len(digits)} digits, allowed: up to {LARGEST_WHOLE}")
    return number


def check_plain(values: object) -> None:
    """Raises a ValueError for values too many or within each other too deep."""
    layer = [values]
    for _ in range(DEEPEST + 1):
        layer = list(islice((inner for value in layer for inner in _inside(value)), MOST_VALUES + 1))
        if len(layer) > MOST_VALUES:
            raise ValueError(f"it holds more than {MOST_VALUES} values")
        if not layer:
            return
    raise ValueError(f"its values are within each other more than {DEEPEST} times deep")


def _inside(value: object) -> Iterator[object]:
    if isinstance(value, Mapping):
        yield from value.values()
    elif isinstance(value, list):
        yield from value


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays of an .npz archive, by name; nothing in it is executed.

    Sizes are those that the directory of the archive and the header of each array say; both are compared before
    anything is unpacked, and no more than they say is.

    Raises:
        ValueError: it is no complete archive, or its arrays are too large, of objects, or not as large as they say.
        OSError: it cannot be read.
    """
    check_is_file(path)
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            _check_sizes(entries, path.stat().st_size)
            return {entry.filename.removesuffix(".npy"): _array(archive, entry) for entry in entries}
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as fault:
        raise ValueError(f"it is not a complete .npz file ({fault})") from fault


def _check_sizes(entries: list[zipfile.ZipInfo], packed_bytes: int) -> None:
    """Raises a ValueError if an archive holds other things than arrays, too many, or too many bytes."""
    if len(entries) > MOST_ENTRIES:
        raise ValueError(f"it holds {len(entries)} arrays, allowed: up to {MOST_ENTRIES}")
    names = [entry.filename for entry in entries]
    for name in names:
        if not name.endswith(".npy") or names.count(name) > 1:
            raise ValueError(f"it holds {name!r}, allowed: names that end in .npy, each once")
    total = sum(entry.file_size for entry in entries)
    most = min(MOST_ARRAY_BYTES, max(ALWAYS_ALLOWED_BYTES, MOST_PACKED * packed_bytes))
    if total > most:
        raise ValueError(f"its arrays have {total} bytes, allowed for a file of {packed_bytes} bytes: up to {most}")


def _array(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> NDArray[Any]:
    """An array of an archive, if it is as large as it says."""
    with archive.open(entry) as file:
        shape, is_fortran, dtype = _header(file, entry.filename)
        if dtype.hasobject:
            raise ValueError(f"{entry.filename} holds objects of Python, allowed: numbers and text")
        size = math.prod(shape) * dtype.itemsize
        content = file.read()
    if size != len(content) or not dtype.itemsize:
        raise ValueError(f"{entry.filename} has {len(content)} bytes, but says {dtype} of shape {shape}")
    array = np.frombuffer(content, dtype).reshape(shape, order="F" if is_fortran else "C")
    return array


def _header(file: IO[bytes], name: str) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, order and type that an array says it has."""
    try:
        version = np.lib.format.read_magic(file)
        read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}[version]
        shape, is_fortran, dtype = read(file, max_header_size=MOST_HEADER_BYTES)
    except Exception as fault:  # What numpy raises for a damaged header is not written anywhere.
        raise ValueError(f"{name} is no array of numpy ({fault})") from fault
    if any(length < 0 for length in shape):
        raise ValueError(f"{name} has shape {shape}, allowed: lengths from 0")
    return shape, is_fortran, dtype
