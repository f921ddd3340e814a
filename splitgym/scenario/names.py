"""Names of scenarios: what they may be, and the names of files that are made from them."""

import re
from collections.abc import Iterable
from typing import Annotated

from pydantic import AfterValidator

from splitgym.scenario.errors import ScenarioError

LONGEST_NAME = 50
"""Characters: files, folders and columns of tables are named so."""


def _checked(name: str) -> str:
    if not 1 <= len(name) <= LONGEST_NAME or not name.isprintable() or not name[0].isalnum() or name != name.strip():
        raise ValueError(
            f"allowed: 1 to {LONGEST_NAME} characters that can be printed, a letter or digit first, no space last"
        )
    return name


Name = Annotated[str, AfterValidator(_checked)]
"""Of a scenario."""


def file_name(name: str) -> str:
    """The name without what has a meaning in paths."""
    return re.sub(r"[^\w.-]", "-", name)


def check_files_differ(names: Iterable[str]) -> None:
    """Raises a ScenarioError if two scenarios would write to the same file, on systems that do not see case too."""
    seen: dict[str, str] = {}
    for name in names:
        file = file_name(name).casefold()
        if file in seen:
            raise ScenarioError(
                f"scenarios {seen[file]!r} and {name!r} have the same file name {file_name(name)!r}, allowed: names "
                "that differ in letters (not only in their case), digits, '_', '.' or '-'"
            )
        seen[file] = name
