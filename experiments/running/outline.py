"""What an experiment offers, read off its file: help need not import what it measures with, which takes seconds."""

import ast
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import experiments

ROOT = Path(experiments.__path__[0]).parent
OURS = ("agents", "experiments", "splitgym")


@dataclass(frozen=True)
class Outline:
    """Of a module that `python -m experiments` runs: it holds an `EXPERIMENT`, or `Options` and a `main`."""

    title: str
    cases: Any = None
    """Those of the `EXPERIMENT`, without methods, if they have options."""
    options: type[Any] | None = None
    """Those of `main`; None: the module holds an `EXPERIMENT`."""


def outline(path: Path) -> Outline | None:
    """That of a module; None: it is not run."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call) and "EXPERIMENT" in _bound(node):
            said = {word.arg: word.value for word in node.value.keywords}
            cases, title = said["cases"], ast.literal_eval(said["title"])
            return Outline(title, part(path, ast.unparse(cases.func))() if isinstance(cases, ast.Call) else None)
    if any("main" in _bound(node) for node in tree.body):
        return Outline((ast.get_docstring(tree) or "").partition("\n")[0], options=part(path, "Options"))
    return None


def part(path: Path, name: str) -> Any:
    """A definition of a module, of which only that is executed which the definition names; it has no methods."""
    module = ModuleType(f"outline of {path}: {name}")
    module.__file__ = str(path)
    names, kept = {name}, list[ast.stmt]()
    # What is named stands before what names it.
    for node in reversed(ast.parse(path.read_text(encoding="utf-8")).body):
        if not names.intersection(_bound(node)):
            continue
        if isinstance(node, ast.ImportFrom) and (found := _file(node.module)):
            wanted = [alias for alias in node.names if (alias.asname or alias.name) in names]
            vars(module).update({alias.asname or alias.name: part(found, alias.name) for alias in wanted})
            continue
        if isinstance(node, ast.ClassDef):
            node.body = [each for each in node.body if not isinstance(each, ast.FunctionDef)]
        kept.insert(0, node)
        names |= {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}
    # Dataclasses and tyro look for the module of a class.
    sys.modules[module.__name__] = module
    exec(compile(ast.Module(kept, []), str(path), "exec"), vars(module), vars(module))
    return getattr(module, name)


def places() -> dict[str, Path]:
    """Files of all modules that may be run, by name."""
    folder = ROOT / "experiments"
    found = {}
    for path in sorted(folder.rglob("*.py")):
        parts = path.relative_to(folder).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        if parts[0] != "running" and name not in ("", "__main__"):
            found[name] = path
    return found


def _file(module: str | None) -> Path | None:
    """That of a module of the project; None: it is of another one."""
    if module is None or module.partition(".")[0] not in OURS:
        return None
    stem = ROOT / module.replace(".", "/")
    return next((path for path in (stem.with_suffix(".py"), stem / "__init__.py") if path.exists()), None)


def _bound(node: ast.stmt) -> set[str]:
    """Names that a statement binds."""
    if isinstance(node, ast.ClassDef | ast.FunctionDef):
        return {node.name}
    if isinstance(node, ast.Import | ast.ImportFrom):
        return {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
    return {each.id for each in ast.walk(node) if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store)}
