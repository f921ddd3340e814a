"""All results of a folder on one HTML page: what each says, its plots, its data, what made it."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import pandas as pd
from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup

from agents.policy_file import write
from experiments.running import provenance
from splitgym.evaluation.html import embedded, render
from splitgym.files import read_text
from splitgym.inputs import InputError, reading

MOST_TABLES = 5
"""Named one by one; of more it is said how many there are."""


@dataclass(frozen=True)
class Part:
    """A result: a Markdown file and what belongs to it."""

    name: str
    title: str
    """Its first heading; may be empty."""
    text: Markup
    images: Sequence[tuple[str, str]]
    """Name and URL of those that its text does not show."""
    tables: Mapping[str, str]
    """Rows and columns by name of the file."""
    facts: Mapping[str, str]
    """What made it, by name."""

    @property
    def anchor(self) -> str:
        """Where links lead."""
        return re.sub(r"\W", "-", self.name)


def write_page(folder: Path, path: Path) -> None:
    """Writes a page with every result that has a Markdown file in the folder, or in one below it.

    Raises:
        InputError: there is none.
    """
    found = sorted(parts(folder), key=lambda part: part.name)
    if not found:
        raise InputError(f"{folder} holds no results, expected: Markdown files as experiments write them")
    template = files("experiments.running").joinpath("page.html.jinja").read_text(encoding="utf-8")
    page = render(template, title="Experiments with splitgym", parts=found)
    write(path, lambda unfinished: unfinished.write_text(page, encoding="utf-8"))


def parts(folder: Path) -> Iterator[Part]:
    """All results."""
    texts = sorted(folder.rglob("*.md"), key=lambda path: (path.parent, path.stem != "README", path.stem))
    shown = {path: _Text(path) for path in texts}
    others = [path for kind in ("*.png", "*.csv", "*.csv.gz") for path in sorted(folder.rglob(kind))]
    owners = {path: _owner(path, texts) for path in others if not any(path in text.images for text in shown.values())}
    for path, text in shown.items():
        own = [other for other, owner in owners.items() if owner == path]
        relative = path.relative_to(folder)
        plain = relative.parent if path.stem in ("README", path.parent.name) else relative.with_suffix("")
        yield Part(
            name=plain.as_posix() if plain.name else path.stem,
            title=text.title,
            text=Markup(text.html),
            images=[(other.stem, embedded(other)) for other in own if other.suffix == ".png"],
            tables=_tables([other for other in own if other.suffix != ".png"], path.parent),
            facts=_facts(path.parent),
        )


def _owner(path: Path, texts: Sequence[Path]) -> Path | None:
    """The text to which a file belongs: of those in the nearest folder the one with the most similar name."""
    for folder in path.parents:
        near = [text for text in texts if text.parent == folder]
        if near:
            named = [text for text in near if path.name.startswith(text.stem)]
            return max(named, key=lambda text: len(text.stem)) if named else near[-1]
    return None


def _tables(paths: Sequence[Path], folder: Path) -> dict[str, str]:
    """Rows and columns of tables."""
    if len(paths) > MOST_TABLES:
        return {f"{len(paths)} tables": f"{paths[0].relative_to(folder)} and others"}
    return {path.relative_to(folder).as_posix(): _size(path) for path in paths}


def _size(path: Path) -> str:
    with reading(str(path)):
        table = pd.read_csv(path, comment="#")
    return f"{len(table):,} rows of {', '.join(map(str, table.columns))}"


def _facts(folder: Path) -> dict[str, str]:
    """What made the results of a folder."""
    made_by = provenance.saved(folder) or {}
    facts = {name.replace("_", " "): made_by.get(name) for name in ("command", "commit", "torch_threads")}
    for group in ("settings", "versions"):
        facts[group] = ", ".join(f"{name} {value}" for name, value in made_by.get(group, {}).items())
    return {name: str(value) for name, value in facts.items() if value}


class _Text:
    """A Markdown file as HTML, with its images inside."""

    def __init__(self, path: Path) -> None:
        markdown = MarkdownIt("commonmark", {"html": False, "xhtmlOut": False}).enable("table")
        markdown.add_render_rule("table_open", lambda *_: '<div class="wide"><table>')
        markdown.add_render_rule("table_close", lambda *_: "</table></div>")
        with reading(str(path)):
            tokens = markdown.parse(read_text(path))
        self.title = _title(tokens)
        self.images: set[Path] = set()
        for token in tokens:
            if token.tag in ("h1", "h2", "h3", "h4"):
                token.tag = f"h{int(token.tag[1]) + 2}"  # below that of the page and that of the part
            for child in token.children or ():
                image = path.parent / str(child.attrs.get("src", ""))
                if child.type == "image" and image.is_file():
                    self.images.add(image)
                    child.attrs["src"] = embedded(image)
        self.html: str = markdown.renderer.render(tokens, markdown.options, {})


def _title(tokens: Sequence[Token]) -> str:
    """The first heading, if a text begins with one of the first level."""
    return tokens[1].content if tokens and tokens[0].tag == "h1" else ""
