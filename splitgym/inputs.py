"""What users give: the error of all input that is not allowed, and how their files are read."""

from collections.abc import Iterator
from contextlib import contextmanager
from numbers import Integral
from pathlib import Path


class InputError(ValueError):
    """Something that a user gave is not allowed; the message is one line that names it and what is allowed."""


class MissingExtraError(InputError, ModuleNotFoundError):
    """A package that only a part of the project needs is not installed; the message says how to install it."""


@contextmanager
def reading(what: str, error: type[InputError] = InputError) -> Iterator[None]:
    """Around the reading of a user's file: whatever fails there becomes one line that names the file.

    Args:
        what: The file, as the message names it.
        error: What is raised.
    """
    try:
        yield
    except (InputError, MemoryError):
        raise
    except (OSError, UnicodeError) as fault:
        raise error(f"{what} cannot be read: {getattr(fault, 'strerror', None) or one_line(fault)}") from fault
    except KeyError as fault:
        raise error(f"{what} is broken: it lacks {one_line(fault)}") from fault
    except Exception as fault:
        raise error(f"{what} is broken: {one_line(fault) or type(fault).__name__}") from fault


def read_text(path: Path) -> str:
    """The text of a file in UTF-8, with or without a byte order mark.

    Raises:
        UnicodeError: it is in another encoding.
        OSError: it cannot be read.
    """
    content = path.read_bytes()
    if content.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in content:
        raise UnicodeError("it is in UTF-16 or no text, allowed: UTF-8")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as fault:
        raise UnicodeError(f"it is not in UTF-8 (byte {fault.start}), allowed: UTF-8") from fault


def is_whole(value: object) -> bool:
    """Whether it is a whole number, of Python or numpy, and no truth value."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def one_line(fault: BaseException) -> str:
    """The message of an error without line breaks."""
    return " ".join(str(fault).split())
