"""The HTML report: self-contained, and it says what the tables say."""

import re
from base64 import b64decode
from html.parser import HTMLParser

import pytest
from played import EPISODES, episode

from splitgym.evaluation import Comparison, episode_table, readable, write_report
from splitgym.evaluation.report import findings

VOID = {"meta", "img", "br"}


class Page(HTMLParser):
    """Cells, images and links of a page; fails if elements are not closed in order."""

    def __init__(self, text):
        super().__init__()
        self.open, self.cells, self.images, self.outside = [], [], [], []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.outside += [
            attributes[name] for name in ("href", "src") if not attributes.get(name, "data:").startswith("data:")
        ]
        if tag == "img":
            self.images.append(attributes["src"])
        if tag not in VOID:
            self.open.append(tag)
        if tag == "td":
            self.cells.append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] == "td":
            self.cells[-1] += data


@pytest.fixture
def page(tmp_path):
    comparison = Comparison(episode_table(EPISODES), "slow")
    image = tmp_path / "plot.png"
    image.write_bytes(b"\x89PNG\r\n\x1a\n bits")
    path = tmp_path / "report.html"
    facts = {"Command": "python -m agents.compare --agents 'a<b'"}
    summary, paired = comparison.summary(), comparison.paired()
    write_report(path, "Title & all", facts, comparison, summary, paired, [(image, "what it shows")])
    return path.read_text(encoding="utf-8"), summary, paired


def test_report_needs_no_other_file(page):
    text = page[0]
    parsed = Page(text)
    assert parsed.outside == []
    assert not re.search(r"https?://|<script|@import", text)
    (image,) = parsed.images
    assert b64decode(image.removeprefix("data:image/png;base64,")) == b"\x89PNG\r\n\x1a\n bits"


def test_report_holds_every_cell_of_the_tables(page):
    text, summary, paired = page
    expected = [*readable(summary).to_numpy().flatten(), *readable(paired).to_numpy().flatten()]
    assert Page(text).cells == expected


def test_report_escapes_what_it_is_given(page):
    text = page[0]
    assert "a&lt;b" in text
    assert "a<b" not in text
    assert "Title &amp; all" in text
    assert "what it shows" in text


def test_finding_says_whether_it_may_be_chance():
    def finding(agents):
        episodes = [
            episode(name, seed, [0.1] * (rounds - 1) + [0.9], budget=100.0)
            for name, own in agents.items()
            for seed, rounds in enumerate(own)
        ]
        comparison = Comparison(episode_table(episodes), "base")
        (sentence,) = findings(comparison, comparison.summary())
        return sentence

    clear = finding({"base": [7, 8, 9, 8, 7], "new": [3, 4, 4, 3, 4]})
    assert "In s new is fastest" in clear
    assert "less than base" in clear
    assert "chance" not in clear
    assert "may be chance" in finding({"base": [7, 3, 9, 4, 7], "new": [8, 2, 3, 5, 7]})
    assert finding({"base": [3, 4], "new": [7, 8]}) == "In s nobody is faster than base."
