"""Which code and data make an experiment's numbers: what its cases and its measurement reach, definition by definition.

A definition is a function, class or constant of a module. It reaches all that it names, directly or by `module:NAME`;
a class reaches all of its methods. Parts that are imported when they are asked for, and files of data, count if a text
of the code that is reached names them, or a setting of the run.

What makes no number is left out: docstrings, comments, hints of arguments, texts of errors, reports and plots, command
lines, pages, frames, how kernels are compiled and kept, how jobs are run.
"""

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from experiments.running.modules import OF_MODULE, PLACE, Module, Reading, hashed, parsed, read

LEFT_OUT = (
    "agents.provenance",
    "agents.training.messages",
    "experiments.command_line",
    "experiments.curves",
    "experiments.running",
    "experiments.tables",
    "splitgym.command_line",
    "splitgym.commands",
    "splitgym.evaluation.html",
    "splitgym.evaluation.plots",
    "splitgym.evaluation.replay",
    "splitgym.evaluation.report",
    "splitgym.evaluation.tables",
    "splitgym.forks",
    "splitgym.inputs",
    "splitgym.kernels.cache",
    "splitgym.kernels.compilation",
    "splitgym.kernels.compilers",
    "splitgym.kernels.sources",
    "splitgym.lazy",
    "splitgym.outputs",
    "splitgym.rendering",
    "splitgym.warm_up",
)
"""Modules and packages that make no numbers."""
MEASURED = ("cases", "measure", "first_seed")
"""What of an `Experiment` decides its numbers; how many seeds there are stands in the settings."""
DATA = re.compile(r"(splitgym/(?:scenario|slices)/presets|\w[\w/]*/calibrations|agents/trained/[\w-]+)/([\w.-]+)\.\w+")
"""Files of data, and what a text has to name."""
TUNED = "splitgym/schedulers/tuned/rules.toml"
TRAINED, GENERAL = "agents/trained/", "iot-family"
"""Where policies are, and the scenario of the one that is tried where there is none of the environment's own."""
USUAL = "iot"
"""The scenario of environments that are not told another."""
_WORD = re.compile(r"[\w.-]+")

Tree = Mapping[str, bytes]
"""Files of the project by their paths in it."""
Definition = tuple[str, str]
"""Module and name."""


class GoneError(Exception):
    """There is no such experiment."""


@dataclass(frozen=True)
class Made:
    """What makes an experiment's numbers."""

    parts: Mapping[str, str]
    """Digest of each definition (`path: NAME`) and each file of data (`path`)."""

    @property
    def digest(self) -> str:
        """Of all of it."""
        return hashed("\n".join(f"{name} {digest}" for name, digest in sorted(self.parts.items())))

    def differs_in(self, other: "Made") -> list[str]:
        """Paths of the files in which they differ."""
        differ = {name for name, _ in set(self.parts.items()) ^ set(other.parts.items())}
        return sorted({name.partition(":")[0] for name in differ})


def made_by(tree: Tree, module: str, settings: Mapping[str, Any]) -> Made:
    """What makes the numbers of an experiment or a command.

    Args:
        tree: The project.
        module: In which it begins: `EXPERIMENT` or `main`.
        settings: Of the run; their texts are read.

    Raises:
        GoneError: there is no such experiment.
    """
    reach = _Reach(tree)
    reach.begin(module, settings)
    reach.finish()
    # The framework epsl is no scenario.
    of_data = {name: value for name, value in settings.items() if name != "framework"}
    return Made({**reach.definitions(), **_data(tree, reach.named | set(_words(_texts_of(of_data))))})


class _Reach:
    """All definitions that are reached so far.

    Args:
        tree: The project.
    """

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._found: set[Definition] = set()
        self._pending: list[Definition] = []
        self._words: set[str] = set()
        self._modules: dict[str, Module | None] = {}
        self.named: set[str] = set()
        """Words in the texts of the experiments' own code."""

    def begin(self, module: str, settings: Mapping[str, Any]) -> None:
        """Starts from the `EXPERIMENT` of a module, or else from its `main`, with all that it reports.

        Raises:
            GoneError: there is none.
        """
        own = self._module(module)
        if own is None or own.definitions.keys().isdisjoint({"EXPERIMENT", "main"}):
            raise GoneError(f"there is no experiment {module.partition('.')[2]!r}")
        self._words |= set(_words(_texts_of(settings)))
        if "EXPERIMENT" not in own.definitions:
            self._add((module, "main"))
            return
        calls = [node for node in ast.walk(own.definitions["EXPERIMENT"]) if isinstance(node, ast.Call)]
        decides = [word.value for call in calls[:1] for word in call.keywords if word.arg in MEASURED]
        for part in decides:
            self._follow(own, read(part))

    def finish(self) -> None:
        """Goes on until nothing new is reached."""
        while True:
            while self._pending:
                module, name = self._pending.pop()
                own = self._module(module)
                if own is not None and name in own.definitions:
                    self._follow(own, own.reading(name))
            # Parts that were named meanwhile.
            for module, name in list(self._found):
                own = self._module(module)
                if own is not None and name in own.definitions:
                    for word, read in own.reading(name).by_name:
                        if word in self._words:
                            self._follow(own, read)
            if not self._pending:
                return

    def definitions(self) -> dict[str, str]:
        """Digests of all that is reached."""
        found = {}
        for module, name in self._found:
            own = self._module(module)
            if own is not None and name in own.definitions:
                found[f"{own.path}: {name}"] = own.digest(name, self._words)
        return found

    def _follow(self, module: Module, read: Reading) -> None:
        for text in read.texts:
            words = _words([text])
            self._words.update(words)
            if module.name.startswith("experiments"):
                self.named.update(words)
            if place := PLACE.fullmatch(text):
                self._reach(place[1], place[2])
            if "SplitLearning" in text:
                self._add(("splitgym", OF_MODULE))
        for chain in read.chains:
            self._resolve(module, chain)

    def _resolve(self, module: Module, chain: tuple[str, ...]) -> None:
        first, *others = chain
        if first in module.bound:
            self._add((module.name, module.bound[first]))
        elif first in module.imports:
            place, name = module.imports[first]
            for step in (*([name] if name else []), *others):
                if self._module(f"{place}.{step}") is None:
                    self._reach(place, step)
                    return
                place = f"{place}.{step}"
            self._reach_all(place)

    def _reach(self, module: str, name: str, passed: frozenset[Definition] = frozenset()) -> None:
        """A name of a module, perhaps imported there."""
        own = self._module(module)
        if own is None or (module, name) in passed:
            return
        if name in own.bound:
            self._add((module, own.bound[name]))
        elif name in own.imports:
            place, other = own.imports[name]
            if other is None or self._module(f"{place}.{other}") is not None:
                self._reach_all(place if other is None else f"{place}.{other}")
            else:
                self._add((module, OF_MODULE))
                self._reach(place, other, passed | {(module, name)})

    def _reach_all(self, module: str) -> None:
        """A module that is handed on as it is: nobody knows what will be taken from it."""
        own = self._module(module)
        for name in own.definitions if own is not None else ():
            self._add((module, name))

    def _add(self, definition: Definition) -> None:
        """A definition, and what runs when its module is imported; that of the whole project makes no numbers."""
        module, _ = definition
        above = [module.rsplit(".", n)[0] for n in range(1, module.count("."))]
        for each in (definition, *((name, OF_MODULE) for name in (module, *above) if "." in name)):
            if each not in self._found:
                self._found.add(each)
                self._pending.append(each)

    def _module(self, name: str) -> Module | None:
        if name not in self._modules:
            self._modules[name] = self._look_up(name)
        return self._modules[name]

    def _look_up(self, name: str) -> Module | None:
        if any(name == left_out or name.startswith(f"{left_out}.") for left_out in LEFT_OUT):
            return None
        stem = name.replace(".", "/")
        for path in (f"{stem}.py", f"{stem}/__init__.py"):
            if path in self._tree:
                return parsed(name, path, self._tree[path])
        return None


def _texts_of(value: Any) -> Iterator[str]:
    """All texts in settings."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from _texts_of(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _texts_of(each)


def _words(texts: Iterable[str]) -> list[str]:
    return [word for text in texts for word in _WORD.findall(text)]


def _data(tree: Tree, named: set[str]) -> dict[str, str]:
    """Digests of the files of data that are named."""
    files = {path: (parts[1], parts[2]) for path in tree if (parts := DATA.fullmatch(path))}
    scenarios = {stem for folder, stem in files.values() if folder.endswith("presets")}
    known = named if named & scenarios else named | {USUAL}
    used = {path for path, (folder, stem) in files.items() if _is_named(folder, stem, known)}
    found = {path: hashed(tree[path]) for path in used | _general(files, known, known & scenarios)}
    if TUNED in tree and named & {"tuned", "best-fixed"}:
        # Rules of other scenarios may come and go.
        parts = re.split(rb"^(?=\[)", tree[TUNED], flags=re.MULTILINE)
        own = [part for part in parts if part[1:].split(b".")[0].decode() in known]
        found[TUNED] = hashed(b"".join(own))
    return found


def _is_named(folder: str, stem: str, named: set[str]) -> bool:
    """Whether a file of data is named: by scenario, calibrations also with a framework behind it."""
    if folder.startswith(TRAINED):
        return folder.removeprefix(TRAINED) in named and stem in named
    return stem in named or (folder.endswith("calibrations") and any(stem.startswith(f"{name}-") for name in named))


def _general(files: Mapping[str, tuple[str, str]], named: set[str], scenarios: set[str]) -> set[str]:
    """Paths of policies that serve scenarios which have none of their own; of each file folder and stem."""
    own = set(files.values())
    return {
        path
        for path, (folder, stem) in files.items()
        if stem == GENERAL
        and folder.removeprefix(TRAINED) in named
        and any((folder, scenario) not in own for scenario in scenarios)
    }
