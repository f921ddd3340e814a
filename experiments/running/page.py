"""All results of a folder on one HTML page: what each says, its plots, its data, what made it."""

import gzip
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from io import BytesIO
from pathlib import Path
from urllib.parse import unquote

import pandas as pd
from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup

from experiments.running import provenance
from splitgym.evaluation.html import embedded, render
from splitgym.files import read_bytes, read_text
from splitgym.inputs import InputError, reading
from splitgym.outputs import write_text

MOST_SIGNS = 5000
"""Of a paragraph: the time to read one may grow with the square of its length."""
MOST_TABLE_BYTES = 2**25
"""Of a table, unpacked."""
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

    Nothing outside of the folder comes into the page, whatever its files and links name.

    Raises:
        InputError: there is none, or a file is broken or is a link that leads out of the folder.
    """
    found = sorted(parts(folder), key=lambda part: part.name)
    if not found:
        raise InputError(f"{folder} holds no results, expected: Markdown files as experiments write them")
    template = files("experiments.running").joinpath("page.html.jinja").read_text(encoding="utf-8")
    page = render(template, title="Experiments with splitgym", parts=found)
    write_text(path, page)


def parts(folder: Path) -> Iterator[Part]:
    """All results."""
    texts = sorted(_found(folder, "*.md"), key=lambda path: (path.parent, path.stem != "README", path.stem))
    shown = {path: _Text(path, folder) for path in texts}
    others = [path for kind in ("*.png", "*.csv", "*.csv.gz") for path in sorted(_found(folder, kind))]
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


def _found(folder: Path, kind: str) -> Iterator[Path]:
    """Files of a kind in a folder and below.

    Raises:
        InputError: one leads out of the folder.
    """
    for path in folder.rglob(kind):
        if not _is_inside(path, folder):
            raise InputError(f"{path} leads to {path.resolve()}, allowed: files in {folder}")
        if path.is_file():
            yield path


def _is_inside(path: Path, folder: Path) -> bool:
    return path.resolve().is_relative_to(folder.resolve())


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
        content = read_bytes(path, MOST_TABLE_BYTES)
        if path.suffix == ".gz":
            with gzip.GzipFile(fileobj=BytesIO(content)) as packed:
                content = packed.read(MOST_TABLE_BYTES + 1)
        if len(content) > MOST_TABLE_BYTES:
            raise ValueError(f"it has more bytes than allowed: up to {MOST_TABLE_BYTES}")
        table = pd.read_csv(BytesIO(content), comment="#")
    return f"{len(table):,} rows of {', '.join(map(str, table.columns))}"


def _facts(folder: Path) -> dict[str, str]:
    """What made the results of a folder."""
    for name in (provenance.FILE, provenance.OF_COMMAND):
        if not _is_inside(folder / name, folder):
            raise InputError(f"{folder / name} leads out of {folder}")
    made_by = provenance.saved(folder) or {}
    facts = {name.replace("_", " "): made_by.get(name) for name in ("command", "commit", "torch_threads")}
    for group in ("settings", "versions"):
        facts[group] = ", ".join(f"{name} {value}" for name, value in made_by.get(group, {}).items())
    return {name: str(value) for name, value in facts.items() if value}


class _Text:
    """A Markdown file as HTML, with its images inside: those that are PNG files in the folder of the results."""

    def __init__(self, path: Path, folder: Path) -> None:
        markdown = MarkdownIt("commonmark", {"html": False, "xhtmlOut": False}).enable("table")
        markdown.add_render_rule("table_open", lambda *_: '<div class="wide"><table>')
        markdown.add_render_rule("table_close", lambda *_: "</table></div>")
        with reading(str(path)):
            text = read_text(path)
            with markdown.reset_rules():
                longest = max((len(block.content) for block in markdown.disable("inline").parse(text)), default=0)
            if longest > MOST_SIGNS:
                raise ValueError(f"a paragraph has {longest} signs, allowed: up to {MOST_SIGNS}")
            tokens = markdown.parse(text)
        self.title = _title(tokens)
        self.images: set[Path] = set()
        for token in tokens:
            if token.tag in ("h1", "h2", "h3", "h4"):
                token.tag = f"h{int(token.tag[1]) + 2}"  # below that of the page and that of the part
            for child in token.children or ():
                if child.type == "image":
                    self._take_in(child, path, folder)
        self.html: str = markdown.renderer.render(tokens, markdown.options, {})

    def _take_in(self, token: Token, path: Path, folder: Path) -> None:
        """Puts an image into the text, or else says that it is not shown."""
        source = str(token.attrs["src"])
        image = path.parent / unquote(source)
        with reading(str(path)):
            if image.suffix == ".png" and _is_inside(image, folder) and image.is_file():
                self.images.add(image)
                token.attrs["src"] = embedded(image)
                return
        token.type, token.tag, token.children = "text", "", None
        token.content = f"[{token.content}: {source} is not shown, allowed: PNG files among the results]"


def _title(tokens: Sequence[Token]) -> str:
    """The first heading, if a text begins with one of the first level."""
    return tokens[1].content if tokens and tokens[0].tag == "h1" else ""
