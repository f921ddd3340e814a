"""Docstrings and signatures as the API shows them."""

from typing import Any

from sphinx.application import Sphinx

from splitgym.envs import SplitLearningEnv
from splitgym.slices import SplitLearningSlicesEnv

MANUALS: dict[Any, str] = {SplitLearningEnv: "environment", SplitLearningSlicesEnv: "slices"}
"""Environments whose docstring is a manual, and the page that shows it."""

_as_written: dict[str, list[str]] = {}
"""Docstrings of values, which are prose: what stands before a colon is no type."""


def _keep(app: Sphinx, what: str, name: str, target: Any, options: Any, lines: list[str]) -> None:
    if what in ("attribute", "data", "property"):
        _as_written[name] = list(lines)


def _restore(app: Sphinx, what: str, name: str, target: Any, options: Any, lines: list[str]) -> None:
    if name in _as_written:
        lines[:] = _as_written.pop(name)
    if isinstance(target, type) and target in MANUALS:
        lines[:] = [f"Its docstring is Markdown and has a page of its own: :doc:`{MANUALS[target]}`."]


def _returned(
    app: Sphinx, what: str, name: str, target: Any, options: Any, signature: str | None, returned: str | None
) -> tuple[str | None, str | None]:
    """What is returned, if it is of a class."""
    given = getattr(target, "__annotations__", {}).get("return")
    return signature, given.__name__ if isinstance(given, type) else returned


def setup(app: Sphinx) -> dict[str, bool]:
    """As Sphinx asks of extensions; napoleon, in between, has priority 500."""
    app.connect("autodoc-process-docstring", _keep, priority=400)
    app.connect("autodoc-process-docstring", _restore, priority=600)
    app.connect("autodoc-process-signature", _returned)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
