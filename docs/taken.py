"""Text that is taken from where it stands: docstrings, fields of the scenario, results.

A page asks for it by a comment, `<!-- manual -->` for example; see `TAKEN`.
The tables under experiments/results are pages themselves: they are copied to docs/results/tables.
"""

import ast
import inspect
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from calibration_errors import errors, worst
from pydantic.fields import FieldInfo
from sphinx.application import Sphinx
from titles import TITLES

from splitgym.envs import SplitLearningEnv
from splitgym.frameworks import ledger, names
from splitgym.frameworks.segments import FED_SERVER
from splitgym.scenario import Scenario, Section
from splitgym.slices import SplitLearningSlicesEnv

ROOT = Path(__file__).parents[1]
TABLES = "results/tables/"


def manual() -> str:
    """The environment's manual."""
    return inspect.getdoc(SplitLearningEnv) or ""


def slices() -> str:
    """The manual of the environment of slices, its headings one level lower."""
    return re.sub("^##", "###", inspect.getdoc(SplitLearningSlicesEnv) or "", flags=re.MULTILINE)


def fields() -> str:
    """Every field of the scenario, section by section."""
    return "\n".join(line for name, field in Scenario.model_fields.items() for line in _section(name, field))


WHO = {"server": "edge server", FED_SERVER: "fed server", "cloud": "cloud", "client": "another client"}
"""Columns of the table of who sees what."""


def views() -> str:
    """What each node of each framework sees of the clients."""
    head = " | ".join(WHO.values())
    lines = [f"| framework | {head} |", "|---" * (1 + len(WHO)) + "|"]
    for name in names():
        seen = ledger(name)
        cells = (", ".join(sorted(thing.value for thing in seen.get(node, ()))) or "-" for node in WHO)
        lines.append(f"| `{name}` | {' | '.join(cells)} |")
    return "\n".join(lines)


def _section(name: str, field: FieldInfo) -> Iterator[str]:
    section = field.annotation
    if not (isinstance(section, type) and issubclass(section, Section)):
        return
    yield f"## `{name}`\n\n{inspect.getdoc(section)}\n\n| field | default | allowed | what |\n|---|---|---|---|"
    for own, info in section.model_fields.items():
        yield f"| `{own}` | `{_value(info.default)}` | {_allowed(info)} | {info.description} |"
    yield ""


def _allowed(field: FieldInfo) -> str:
    values = get_args(field.annotation) if get_origin(field.annotation) is Literal else ()
    if values or field.annotation is bool:
        return ", ".join(f"`{_value(value)}`" for value in values or (True, False))
    signs = {"gt": ">", "ge": "≥", "lt": "<", "le": "≤"}
    # Of a field that may be absent they stand inside.
    annotations = [info for kind in get_args(field.annotation) for info in getattr(kind, "__metadata__", ())]
    inside = [getattr(info, "metadata", ()) for info in annotations]
    bounds = [bound for metadata in (field.metadata, *inside) for bound in metadata]
    limits = [(sign, getattr(each, name)) for each in bounds for name, sign in signs.items() if hasattr(each, name)]
    return ", ".join(f"{sign} {limit:g}" for sign, limit in limits)


def _value(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    return f'"{value}"' if isinstance(value, str) else str(value)


def _result(docname: str, text: str) -> str:
    """A saved table as a page: with a title, what its experiment says of itself, and the plot of the same name."""
    name = docname.removeprefix(TABLES)
    plot = Path(name).with_suffix(".png").name
    shown = (ROOT / "experiments/results" / f"{name}.png").is_file() and plot not in text
    own = re.match(r"# (.*)\n", text)
    title = f"{own[1]}{_variant(name)}" if own else TITLES.get(name, name)
    text = text[own.end() :] if own else text
    return "\n\n".join([f"# {title}", *_purpose(name), text, *([f"![{name}]({plot})"] if shown else [])])


def _variant(name: str) -> str:
    """What tells a further run of an experiment from its first one: the folder inside that of the experiment."""
    _, *inside, _ = name.split("/")
    return f" ({', '.join(inside)})" if inside else ""


def _purpose(name: str) -> Iterator[str]:
    """First line of the docstring of the module in `experiments` that a result is named after, if there is one."""
    for module in (f"{name}.py", f"{name.split('/', maxsplit=1)[0]}/__init__.py"):
        path = ROOT / "experiments" / module
        if path.is_file():
            yield (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").splitlines()[0]
            return


TAKEN = {
    "manual": manual,
    "slices": slices,
    "fields": fields,
    "ledger": views,
    "errors": errors,
    "worst": worst,
}


def _fill(app: Sphinx, docname: str, source: list[str]) -> None:
    if docname.startswith(TABLES):
        source[0] = _result(docname, source[0])
    for comment, name in re.findall(r"^(<!-- (\w+) -->)$", source[0], re.MULTILINE):
        source[0] = source[0].replace(comment, TAKEN[name]())


def _copy_results(_: Sphinx) -> None:
    """Puts the results among the pages."""
    copies = Path(__file__).parent / TABLES
    shutil.rmtree(copies, ignore_errors=True)
    shutil.copytree(ROOT / "experiments/results", copies)


def setup(app: Sphinx) -> dict[str, bool]:
    """As Sphinx asks of extensions."""
    app.connect("builder-inited", _copy_results)
    app.connect("source-read", _fill)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
