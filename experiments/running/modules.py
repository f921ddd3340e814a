"""What a module defines, imports and names, and digests of its definitions: of the code, not of how it is written."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from hashlib import sha256

PACKAGES = ("agents", "experiments", "splitgym")
"""Of the project."""
PLACE = re.compile(r"((?:agents|experiments|splitgym)(?:\.\w+)*):(\w+)")
"""A text that says where a part is."""
OF_MODULE = ""
"""Name of what stands in a module outside of definitions."""


@dataclass(frozen=True)
class Reading:
    """What a piece of code names."""

    chains: frozenset[tuple[str, ...]]
    """Names with the attributes behind them."""
    texts: frozenset[str]
    by_name: tuple[tuple[str, "Reading"], ...] = ()
    """What it names where a word stands in a text: parts in a table that are imported when they are asked for."""


class Module:
    """A module: what it defines and imports."""

    def __init__(self, name: str, path: str, content: bytes) -> None:
        self.name, self.path = name, path
        self.imports: dict[str, tuple[str, str | None]] = {}
        """Module and name of each name that it imports, anywhere; None: the module itself."""
        self.definitions: dict[str, ast.AST] = {}
        self.bound: dict[str, str] = {}
        """The definition by which a name is bound."""
        self._readings: dict[str, Reading] = {}
        self._digests: dict[str, str] = {}
        body = ast.parse(content).body
        for node in ast.walk(ast.Module(body, [])):
            self._import(node)
        outside: list[ast.stmt] = []
        for node in body:
            names = _defined(node)
            if not names:
                outside.append(node)
            for each in names:
                self.definitions[each], self.bound[each] = node, each
        if outside := [node for node in outside if not isinstance(node, ast.Import | ast.ImportFrom)]:
            self.definitions[OF_MODULE] = ast.Module(outside, [])
            for node in ast.walk(self.definitions[OF_MODULE]):
                if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                    self.bound.setdefault(node.id, OF_MODULE)

    def _absolute(self, node: ast.ImportFrom) -> str:
        """The module from which a statement imports, also if it says so relative to this one."""
        if not node.level:
            return str(node.module)
        steps = self.name.split(".")
        above = steps[: len(steps) - node.level + self.path.endswith("__init__.py")]
        return ".".join([*above, *([node.module] if node.module else [])])

    def reading(self, name: str) -> Reading:
        """What a definition names."""
        if name not in self._readings:
            self._readings[name] = read(self.definitions[name])
        return self._readings[name]

    def digest(self, name: str, words: set[str]) -> str:
        """Of a definition, where these words are named."""
        if self.reading(name).by_name:
            return hashed("".join(_dump(self.definitions[name], words)))
        if name not in self._digests:
            self._digests[name] = hashed("".join(_dump(self.definitions[name], words)))
        return self._digests[name]

    def _import(self, node: ast.AST) -> None:
        if isinstance(node, ast.ImportFrom) and _is_own(module := self._absolute(node)):
            for alias in node.names:
                self.imports[alias.asname or alias.name] = module, alias.name
        if isinstance(node, ast.Import):
            for alias in node.names:
                if _is_own(alias.name):
                    whole = alias.name if alias.asname else alias.name.partition(".")[0]
                    self.imports[alias.asname or whole] = whole, None


@cache
def parsed(name: str, path: str, content: bytes) -> Module:
    return Module(name, path, content)


def _is_own(module: str) -> bool:
    return module.partition(".")[0] in PACKAGES


def _defined(node: ast.stmt) -> list[str]:
    """Names that a statement defines, if that is all it does."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [node.name]
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return [each.id for target in targets for each in ast.walk(target) if isinstance(each, ast.Name)]


def read(node: ast.AST) -> Reading:
    chains: set[tuple[str, ...]] = set()
    texts: set[str] = set()
    by_name: list[tuple[str, Reading]] = []
    pending = [node]
    while pending:
        each = pending.pop()
        if chain := _chain(each):
            chains.add(chain)
        elif isinstance(each, ast.Constant):
            texts |= {each.value} if isinstance(each.value, str) else set()
        else:
            named = _parts_by_name(each)
            by_name += [(word, read(value)) for word, value in named.items()]
            apart = _entries_by_name(each)
            pending += [child for _, child in _children(each) if id(child) not in apart]
    return Reading(frozenset(chains), frozenset(texts), tuple(by_name))


def _chain(node: ast.AST) -> tuple[str, ...]:
    """A name and the attributes behind it; empty if it is something else."""
    if isinstance(node, ast.Name):
        return (node.id,)
    if isinstance(node, ast.Attribute) and (before := _chain(node.value)):
        return (*before, node.attr)
    return ()


def _parts_by_name(node: ast.AST) -> dict[str, ast.AST]:
    """Entries of a table whose values say `module:NAME`."""
    if not isinstance(node, ast.Dict):
        return {}
    return {
        key.value: value
        for key, value in zip(node.keys, node.values, strict=True)
        if isinstance(key, ast.Constant) and isinstance(key.value, str) and _says_place(value)
    }


def _entries_by_name(node: ast.AST) -> dict[int, str]:
    """Ids of the keys and the values of these entries, with their words."""
    if not isinstance(node, ast.Dict):
        return {}
    words = {id(value): word for word, value in _parts_by_name(node).items()}
    pairs = [(key, value) for key, value in zip(node.keys, node.values, strict=True) if id(value) in words]
    return {id(each): words[id(value)] for key, value in pairs for each in (key, value)}


def _says_place(node: ast.AST) -> bool:
    texts = (each.value for each in ast.walk(node) if isinstance(each, ast.Constant) and isinstance(each.value, str))
    return any(PLACE.fullmatch(text) for text in texts)


def _children(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    """What decides numbers in a piece of code, with the names of the fields."""
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns") and not isinstance(node, ast.AnnAssign):
            continue
        if isinstance(node, ast.Raise) or name in ("ctx", "type_comment", "type_params", "type_ignores"):
            continue
        for each in value if isinstance(value, list) else [value]:
            if isinstance(each, ast.AST) and not _is_text(each):
                yield name, each


def _is_text(node: ast.AST) -> bool:
    """Whether it is a docstring."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _dump(node: ast.AST, words: set[str]) -> Iterator[str]:
    """The code as text, the same in all versions of Python; without the parts of tables that no word names."""
    yield f"{type(node).__name__}("
    if not isinstance(node, ast.Raise):
        for name, value in ast.iter_fields(node):
            if isinstance(value, str | int | float | bytes | complex) and name != "kind":
                yield f"{name}={value!r},"
            if isinstance(value, list) and value and isinstance(value[0], str):
                yield f"{name}={value!r},"
    left_out = {each for each, word in _entries_by_name(node).items() if word not in words}
    for name, child in _children(node):
        if id(child) not in left_out:
            yield f"{name}="
            yield from _dump(child, words)
    yield ")"


def hashed(content: str | bytes) -> str:
    return sha256(content.encode() if isinstance(content, str) else content).hexdigest()[:16]
