"""Parts by name: those of the package, and a user's own, from any module that Python can import."""

import difflib
import importlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar

from splitgym.inputs import InputError, one_line

Part = TypeVar("Part")


class Parts(Mapping[str, Part]):
    """All parts of one kind.

    A part is asked for by its name; by `module:NAME`, which any process can import; or it is given itself.

    Args:
        kind: What a message calls such a part, and the argument that asks for it: "framework".
        fits: Whether an object is such a part.
        shipped: Those of the package by name: the part, or `module:NAME`, which is imported when it is asked for.
        error: What is raised.
    """

    def __init__(
        self,
        kind: str,
        fits: Callable[[Any], bool],
        shipped: Mapping[str, Part | str] | None = None,
        error: type[InputError] = InputError,
    ) -> None:
        self.kind = kind
        self._fits = fits
        self._shipped: dict[str, Part | str] = dict(shipped or {})
        self._error = error

    def __iter__(self) -> Iterator[str]:
        """Names of the parts of the package."""
        return iter(self._shipped)

    def __getitem__(self, name: str) -> Part:
        """The part of the package with that name."""
        part = self._shipped[name]
        if isinstance(part, str):
            # Kept, as some parts are asked for in every round.
            part = self._shipped[name] = self._imported(part, self.kind)
        return part

    def __len__(self) -> int:
        """How many parts the package has."""
        return len(self._shipped)

    def find(self, asked: Any, argument: str | None = None) -> Part:
        """The part of that name, or the one that is given.

        Args:
            asked: Name, `module:NAME` or a part.
            argument: What a message calls the argument; None: the kind.

        Raises:
            InputError: there is none; the message suggests the nearest.
        """
        argument = argument or self.kind
        if not isinstance(asked, str):
            if self._fits(asked):
                given: Part = asked
                return given
            raise self._error(f"{argument} = {asked!r} is unknown, {suggest(asked, self)} (your own: 'module:NAME')")
        if asked in self._shipped:
            return self[asked]
        if ":" in asked:
            return self._imported(asked, argument)
        raise self._error(f"{argument} = {asked!r} is unknown, {suggest(asked, self)} (your own: 'module:NAME')")

    def _imported(self, name: str, argument: str) -> Part:
        """The part that a module of the user's has under a name; refused in one line if there is none that fits."""
        module, _, attribute = name.partition(":")
        try:
            part: Any = getattr(importlib.import_module(module), attribute, None)
        except (Exception, SystemExit) as error:  # It is a user's module, and may raise anything.
            raise self._error(
                f"{argument} = {name!r} cannot be imported: {type(error).__name__}: {one_line(error)}"
            ) from error
        if not self._fits(part):
            raise self._error(f"{argument} = {name!r}: module {module!r} has no {self.kind} {attribute!r}")
        fitting: Part = part
        return fitting


def suggest(name: object, allowed: Iterable[str]) -> str:
    """Ends a message about an unknown `name` with the nearest allowed one, or with all of them."""
    names = sorted(allowed)
    near = difflib.get_close_matches(str(name), names, n=1, cutoff=0.6)
    return f"did you mean {near[0]!r}?" if near else f"allowed: {', '.join(names)}"
