"""The documentation as it is built: without a warning, readable without a network, with no link that leads nowhere."""

import inspect
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from code_blocks import ROOT

import splitgym
from splitgym.envs import SplitLearningEnv
from splitgym.scenario import Scenario, Section
from splitgym.slices import SplitLearningSlicesEnv

RESULTS = ROOT / "experiments/results"
ROOMS = ("allocation", "data", "envs", "evaluation", "frameworks", "learning", "models", "network", "slices", "timing")
"""Those with a list of public names; the fields of scenarios have a page of their own."""


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """The built pages; a warning is an error."""
    folder = tmp_path_factory.mktemp("html")
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html"]
    done = subprocess.run(
        [*command, "-d", str(folder / "doctrees"), str(ROOT / "docs"), str(folder / "html")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder / "html"


class Page(HTMLParser):
    """What a page names, asks for, and says."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.asked: list[tuple[str, str]] = []
        self.text = ""
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.names |= {values[key] for key in ("id", "name") if values.get(key)}
        self.asked += [(tag, values[key]) for key in ("href", "src") if values.get(key)]

    def handle_data(self, data):
        self.text += data


@pytest.fixture(scope="module")
def pages(site) -> dict[Path, Page]:
    return {path: Page(path) for path in site.rglob("*.html")}


def test_links_lead_somewhere(pages):
    lost = []
    for path, page in pages.items():
        for _, link in page.asked:
            parts = urlsplit(link)
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if parts.scheme or parts.netloc:
                continue
            if not target.exists() or (
                parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].names
            ):
                lost.append(f"{path.name}: {link}")
    assert lost == []


def test_pages_need_no_network(pages):
    asked = [link for page in pages.values() for tag, link in page.asked if tag != "a"]
    assert [link for link in asked if urlsplit(link).netloc] == []


def test_equations_are_drawn_by_the_browser(site):
    page = (site / "system-model.html").read_text(encoding="utf-8")
    assert page.count('display="block"') > 10
    assert "\\frac" not in page
    assert "$$" not in page


def test_environment_page_is_the_manual(pages, site):
    said = " ".join(pages[site / "environment.html"].text.split())
    headings = re.findall(r"^## (.*)$", inspect.getdoc(SplitLearningEnv), re.MULTILINE)
    assert [heading for heading in headings if heading not in said] == []
    assert "It is worst with phi above 0.6" in said


def test_slices_page_has_the_manual(pages, site):
    said = " ".join(pages[site / "slices.html"].text.split())
    headings = re.findall(r"^## (.*)$", inspect.getdoc(SplitLearningSlicesEnv), re.MULTILINE)
    assert [heading for heading in headings if heading not in said] == []
    assert "What one slice does changes no number of another".lower() in said.lower()


def test_scenario_page_has_every_field(pages, site):
    said = pages[site / "scenario.html"].text
    fields = {
        own: info.description
        for field in Scenario.model_fields.values()
        if isinstance(field.annotation, type) and issubclass(field.annotation, Section)
        for own, info in field.annotation.model_fields.items()
    }
    assert len(fields) > 50
    assert [own for own in fields if own not in said] == []


def test_every_saved_table_is_a_page(pages, site):
    for table in RESULTS.rglob("*.md"):
        page = site / "results/tables" / table.relative_to(RESULTS).with_suffix(".html")
        numbers = re.findall(r"\d+\.\d+", table.read_text(encoding="utf-8"))
        assert set(numbers) <= set(re.findall(r"\d+\.\d+", pages[page].text)), table


def test_public_functions_and_classes_of_every_room_are_in_the_api(pages, site):
    names = pages[site / "api.html"].names
    rooms = [getattr(splitgym, room) for room in ROOMS]
    public = {f"{room.__name__}.{name}": getattr(room, name) for room in rooms for name in room.__all__}
    documented = {name for name, value in public.items() if inspect.isclass(value) or inspect.isfunction(value)}
    assert len(documented) > 60
    assert sorted(documented - names) == []
