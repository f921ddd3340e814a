"""One clear line for everything that can be wrong with a scenario."""

from collections.abc import Iterator
from contextlib import contextmanager

from pydantic import ValidationError

from splitgym.inputs import InputError

LONGEST_VALUE = 300
"""Characters of a value that a message shows."""


class ScenarioError(InputError):
    """A scenario, or a part of it, is not valid; the message names field, value and what is allowed."""


class UnknownArgumentError(ScenarioError, TypeError):
    """There is no such keyword argument; the message has Python's own phrase, by which other tools know it."""


@contextmanager
def in_one_line(error: type[ValueError] = ValueError) -> Iterator[None]:
    """Around the making of pydantic's models: what they refuse is raised as an error of one line."""
    try:
        yield
    except ValidationError as refused:
        raise error(_one_line(refused)) from refused


def _one_line(error: ValidationError) -> str:
    """Puts a pydantic error into one line: `section.field = value: what is wrong`."""
    parts, found = [], error.errors(include_url=False)
    for item in found:
        # A list whose entries are refused is counted without them.
        if item["type"] == "too_short" and any(_is_inside(other["loc"], item["loc"]) for other in found):
            continue
        path = ".".join(str(step) for step in item["loc"])
        text = item["msg"].removeprefix("Value error, ")
        if item["type"] == "missing":
            parts.append(f"{path} is missing")
            continue
        whole_section = item["type"] == "value_error" and isinstance(item["input"], dict)
        shown = "" if whole_section else f" = {_shown(item['input'])}"
        parts.append(f"{path}{shown}: {text}" if path else text)
    # A value may be written over several lines.
    return " ".join("; ".join(parts).split())


def _is_inside(place: tuple[int | str, ...], outer: tuple[int | str, ...]) -> bool:
    return len(place) > len(outer) and place[: len(outer)] == outer


def _shown(value: object) -> str:
    """The value, or its start."""
    try:
        text = repr(value)
    except ValueError:  # Python writes no whole number of more than some thousand digits.
        return "a whole number of too many digits"
    return text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}..."
