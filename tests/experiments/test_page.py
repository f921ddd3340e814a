"""The page of all results: it needs no other file, and shows every text, image and table beside what made it."""

import gzip
import json
from base64 import b64decode
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest
from command_lines import error_line
from matplotlib.figure import Figure

from experiments.__main__ import main

VOID = {"meta", "img", "br"}


class Page(HTMLParser):
    """What stands on a page; fails if elements are not closed in order, or if one is fetched from elsewhere."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.texts: dict[str, list[str]] = {}
        self.images: list[bytes] = []
        self.anchors: set[str] = set()
        self.links: set[str] = set()
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        values = dict(attributes)
        if tag == "img":
            kind, _, content = str(values["src"]).partition(",")
            assert kind == "data:image/png;base64"
            self.images.append(b64decode(content))
        if "href" in values:
            self.links.add(str(values["href"]).removeprefix("#"))
        if "id" in values:
            self.anchors.add(str(values["id"]))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if data.strip() and self.open:
            self.texts.setdefault(self.open[-1], []).append(data.strip())


def png(path: Path, title: str) -> bytes:
    figure = Figure(figsize=(1, 1))
    figure.suptitle(title)
    figure.savefig(path)
    return path.read_bytes()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A result with provenance and an image in its text; two older ones beside each other; a table far below."""
    new = tmp_path / "new"
    new.mkdir()
    (new / "new.md").write_text("# Is it <so>?\n\n## Why\n\n| a |\n|---|\n| 7 ± 1 |\n\n![p](p.png)\n", encoding="utf-8")
    provenance = {"command": "python -m experiments new", "settings": {"seeds": 3}, "versions": {"torch": "2.13"}}
    provenance["torch_threads"] = 1
    (new / "provenance.json").write_text(json.dumps(provenance))
    pd.DataFrame({"x": [1, 2], "y": [3, 4]}).to_csv(new / "new.csv.gz", index=False)
    for name in ("old", "older"):
        (tmp_path / f"{name}.md").write_text(f"`command of {name}`\n")
        pd.DataFrame({"z": range(1000)}).to_csv(tmp_path / f"{name}.csv", index=False)
    (tmp_path / "curves").mkdir()
    pd.DataFrame({"c": [1]}).to_csv(tmp_path / "curves" / "old_1.csv", index=False)
    return tmp_path


def test_every_result_is_shown_with_what_made_it(folder: Path) -> None:
    images = [png(folder / name, name) for name in ("new/p.png", "old.png", "older.png")]
    assert main(["report", str(folder)]) == 0
    page = Page((folder / "report.html").read_text(encoding="utf-8"))
    assert page.texts["h2"] == ["new", "old", "older"]
    assert page.texts["h3"] == ["Is it <so>?"]
    assert page.texts["h4"] == ["Why"]
    assert page.texts["td"] == ["7 ± 1"]
    assert sorted(page.images) == sorted(images)
    assert page.links == page.anchors == {"new", "old", "older"}
    assert page.texts["code"] == ["command of old", "command of older"]
    facts = dict(zip(page.texts["dt"], page.texts["dd"], strict=True))
    assert facts == {
        "command": "python -m experiments new",
        "settings": "seeds 3",
        "versions": "torch 2.13",
        "torch threads": "1",
        "new.csv.gz": "2 rows of x, y",
        "old.csv": "1,000 rows of z",
        "curves/old_1.csv": "1 rows of c",
        "older.csv": "1,000 rows of z",
    }


def test_results_of_the_repository_are_shown(tmp_path: Path) -> None:
    results = Path(__file__).parents[2] / "experiments/results"
    assert main(["report", str(results), "--out", str(tmp_path / "page.html")]) == 0
    page = Page((tmp_path / "page.html").read_text(encoding="utf-8"))
    assert len(page.images) == len(list(results.rglob("*.png")))
    assert len(page.texts["h2"]) == len(set(page.texts["h2"])) == len(list(results.rglob("*.md")))
    assert page.links <= page.anchors


def test_a_folder_without_results_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(tmp_path)]) == 2
    assert "holds no results" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.md", "# x".encode("utf-16")),
        ("a.md", "# \xfc".encode("latin-1")),
        ("a.csv", b""),
        ("a.csv", b"\xff\xfe"),
        ("a.csv.gz", b"not packed"),
        ("provenance.json", b"{"),
        ("provenance.json", b"[1]"),
        ("provenance.json", b'{"settings": 3, "versions": {}}'),
        ("provenance.json", b'{"command": "x"}'),
    ],
)
def test_a_broken_file_of_a_result_is_named(tmp_path, capsys, name, content):
    (tmp_path / "a.md").write_text("# Title", encoding="utf-8-sig")
    assert main(["report", str(tmp_path)]) == 0
    capsys.readouterr()
    (tmp_path / name).write_bytes(content)
    assert error_line(main, capsys, "report", str(tmp_path)).startswith(f"error: {tmp_path / name} ")


SECRET = b"nobody's business"


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    """A folder of results, beside which a secret lies, as itself and as what begins as a picture."""
    for name in ("secret", "secret.png"):
        (tmp_path / name).write_bytes(b"\x89PNG\r\n\x1a\n" + SECRET)
    folder = tmp_path / "results"
    (folder / "sub").mkdir(parents=True)
    png(folder / "own.png", "own")
    (folder / "link.png").symlink_to(tmp_path / "secret.png")
    return folder


def shown(folder: Path, text: str) -> str:
    (folder / "sub" / "a.md").write_text(text, encoding="utf-8")
    (folder / "link.png").unlink()
    assert main(["report", str(folder)]) == 0
    return (folder / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "source",
    [
        "../../secret",
        "../../secret.png",
        "..%2f..%2fsecret.png",
        "%2e%2e/%2e%2e/secret.png",
        "{}/secret.png",
        "file://{}/secret.png",
        "file:../../secret.png",
        "https://example.org/spy.png",
        "//example.org/spy.png",
        "data:image/png;base64,AAAA",
        "a.md",
        "nothing.png",
        ".",
    ],
)
def test_only_pictures_of_the_folder_are_embedded(hostile: Path, source: str) -> None:
    source = source.format(hostile.parent)
    page = shown(hostile, f"# Title\n\n![one]({source})\n\n[![two][r]](x)\n\n[r]: {source}\n\n![own](../own.png)\n")
    assert Page(page).images == [(hostile / "own.png").read_bytes()]
    assert page.count("is not shown, allowed: PNG files among the results") == 2 or source.startswith("file:")
    assert "src=" not in page.replace('src="data:image/png', "")


@pytest.mark.parametrize("name", ["link.png", "b.md", "b.csv", "sub/provenance.json"])
def test_a_file_that_is_a_link_out_of_the_folder_is_refused(hostile: Path, capsys, name: str) -> None:
    (hostile / "sub" / "a.md").write_text("# Title", encoding="utf-8")
    if name != "link.png":
        (hostile / "link.png").unlink()
        (hostile / name).symlink_to(hostile.parent / "secret")
    assert str(hostile / name) in error_line(main, capsys, "report", str(hostile))
    assert not (hostile / "report.html").exists()


def test_what_is_no_picture_is_refused(hostile: Path, capsys) -> None:
    (hostile / "link.png").unlink()
    (hostile / "sub" / "a.md").write_text("![x](../fake.png)", encoding="utf-8")
    (hostile / "fake.png").write_bytes(SECRET)
    assert "fake.png is broken: it does not begin as a PNG file does" in error_line(
        main, capsys, "report", str(hostile)
    )


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        "# <img src=x onerror=alert(1)>",
        "[x](javascript:alert(1)) ![x](javascript:alert(1))",
        "[x](data:text/html;base64,PHNjcmlwdD4=)",
        "`</code><script>alert(1)</script>`",
        '![" onerror="alert(1)](../own.png)',
        '<a href="javascript:alert(1)">x</a>',
    ],
)
def test_texts_of_results_are_never_script(hostile: Path, text: str) -> None:
    class Tags(Page):
        def handle_starttag(self, tag, attributes):
            super().handle_starttag(tag, attributes)
            assert tag != "script"
            assert not any(name.startswith("on") for name, _ in attributes)
            assert not str(dict(attributes).get("href", "#")).startswith(("javascript", "data"))

    Tags(shown(hostile, text))


def test_a_packed_table_is_not_unpacked_without_end(tmp_path, capsys):
    (tmp_path / "a.md").write_text("# Title")
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(bytes(2**25 + 1)))
    assert "allowed: up to 33554432" in error_line(main, capsys, "report", str(tmp_path))
