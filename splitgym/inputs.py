"""What users give: the error of all input that is not allowed, and the line that it is."""

from collections.abc import Iterator
from contextlib import contextmanager
from numbers import Integral

LONGEST_LINE = 1000
"""Characters of a message; a longer one is cut in the middle, where it quotes what a user gave."""


class InputError(ValueError):
    """Something that a user gave is not allowed; the message is one line that names it and what is allowed."""

    def __init__(self, message: object = "") -> None:
        super().__init__(one_line(message))


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


def is_whole(value: object) -> bool:
    """Whether it is a whole number, of Python or numpy, and no truth value."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def one_line(said: object) -> str:
    """A message, or that of an error, as one line: without line breaks and control characters, and not too long."""
    text = "".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in " ".join(str(said).split()))
    half = LONGEST_LINE // 2
    return text if len(text) <= LONGEST_LINE else f"{text[:half]} [...] {text[-half:]}"
