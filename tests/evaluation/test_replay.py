"""The page of a replay: it holds the numbers of the log, needs nothing else, and a browser shows them."""

import json
import os
import sys
from html.parser import HTMLParser

import gymnasium as gym
import pytest
from command_lines import error_line

from splitgym import schedulers
from splitgym.__main__ import main
from splitgym.evaluation import EpisodeLog
from splitgym.evaluation.replay import replay_data, write_replay
from splitgym.inputs import MissingExtraError
from splitgym.rendering.timeline import bars

BROWSER = os.environ.get("SPLITGYM_BROWSER")
"""A Chromium, or a script that starts one with the options that it needs here."""


def played(name, rounds=4, **settings):
    settings = {"scenario": "iot", "learner": "surrogate", "action": "schedule", **settings}
    log = EpisodeLog(gym.make("SplitLearning-v0", **settings))
    scheduler = schedulers.make(name, log.env)
    log.reset(seed=7)
    for _ in range(rounds):
        log.play(scheduler.decide(log.world.state))
    return log


class Page(HTMLParser):
    """Scripts of a page by their type, and what it asks for elsewhere."""

    def __init__(self, text):
        super().__init__()
        self.scripts, self.outside, self.policy, self._kind = [], [], "", None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.outside += [attributes[name] for name in ("href", "src") if name in attributes]
        if tag == "script":
            self._kind = attributes.get("type", "")
            self.scripts.append([self._kind, ""])
        if attributes.get("http-equiv") == "Content-Security-Policy":
            self.policy = attributes["content"]

    def handle_data(self, data):
        if self._kind is not None:
            self.scripts[-1][1] += data

    def handle_endtag(self, tag):
        self._kind = None if tag == "script" else self._kind

    @property
    def data(self):
        (text,) = [text for kind, text in self.scripts if kind == "application/json"]
        return json.loads(text)


@pytest.fixture(scope="module")
def logs():
    return {"greedy": played("greedy"), "fastest-k": played("fastest-k", 2)}


@pytest.fixture(scope="module")
def page(logs, tmp_path_factory):
    path = tmp_path_factory.mktemp("replay") / "page.html"
    write_replay(path, logs, 7, "/* plotly */")
    return Page(path.read_text(encoding="utf-8"))


def test_the_page_holds_the_numbers_of_the_log(logs, page):
    data = page.data
    assert (data["scenario"], data["seed"], [agent["name"] for agent in data["agents"]]) == ("iot", 7, list(logs))
    for agent, log in zip(data["agents"], logs.values(), strict=True):
        assert agent["accuracy"] == log.accuracy
        assert len(agent["rounds"]) == len(log.rounds)
        for number, (shown, noted) in enumerate(zip(agent["rounds"], log.rounds, strict=True), start=1):
            for name in ("elapsed_s", "accuracy", "loss", "round_latency_s", "energy_j", "traffic_bits", "cut_layer"):
                assert shown["facts"][name] == noted.info[name]
            assert shown["bars"] == [[bar.row, bar.stage, bar.start_s, bar.stop_s] for bar in bars(log.scene(number))]
            for client in shown["clients"]:
                assert client["participated"] == noted.info["participants"][client["client"]]
                assert client["energy_j"] == noted.info["client_energy_j"][client["client"]]
                assert [client["x_m"], client["y_m"]] == noted.position_m[client["client"]].tolist()
            assert {stage for _, stage, *_ in shown["bars"]} <= set(data["stages"])


def test_the_page_needs_nothing_else(page):
    assert page.outside == []
    assert page.policy.startswith("default-src 'none'")
    assert "http" not in page.scripts[-1][1]


def test_names_of_schedulers_end_no_script(logs, tmp_path):
    path = tmp_path / "page.html"
    write_replay(path, {"</script><script>alert(1)</script>": logs["greedy"]}, 7, "/* plotly */")
    page = Page(path.read_text(encoding="utf-8"))
    assert len(page.scripts) == 3
    assert page.data["agents"][0]["name"] == "</script><script>alert(1)</script>"


def test_losses_that_are_no_numbers_are_null(logs):
    log = played("greedy", 1)
    log.rounds[0].info["loss"] = float("nan")
    data = replay_data({"greedy": log}, 7)
    assert data["agents"][0]["rounds"][0]["facts"]["loss"] is None
    json.dumps(data, allow_nan=False)


def test_without_plotly_one_line_says_how_to_install_it(monkeypatch, tmp_path, capsys):
    monkeypatch.setitem(sys.modules, "plotly.offline", None)
    said = error_line(main, capsys, "replay", "--out", str(tmp_path / "page.html"), "--scenario", "toy")
    assert "a replay needs plotly, pip install 'splitgym[replay]'" in said
    assert issubclass(MissingExtraError, ModuleNotFoundError)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--rounds", "0"], "--rounds 0, allowed: 1..1000"),
        (["--seed", "-1"], "--seed -1, allowed: 0 or more"),
        (["--agents", "greedy", "greedy"], "allowed: 1 to 6 different ones"),
        (["--out", "page.pdf"], "allowed: a name that ends in .html"),
    ],
)
def test_wrong_settings_are_one_line(tmp_path, capsys, options, words):
    assert words in error_line(main, capsys, "replay", "--out", str(tmp_path / "page.html"), *options)


COMMAND = ["--scenario", "iot", "--learner", "surrogate", "--rounds", "3", "--agents", "greedy", "fastest-k:k=2"]


def test_the_command_writes_a_page_with_plotly_inside(tmp_path):
    pytest.importorskip("plotly", reason="needs the extra replay")
    files = [tmp_path / "one.html", tmp_path / "other.html"]
    for path in files:
        assert main(["replay", *COMMAND, "--out", str(path)]) == 0
    assert files[0].read_bytes() == files[1].read_bytes()
    page = Page(files[0].read_text(encoding="utf-8"))
    assert [agent["name"] for agent in page.data["agents"]] == ["greedy", "fastest-k:k=2"]
    assert len(page.scripts[1][1]) > 1e6
    assert page.outside == []


@pytest.mark.skipif(BROWSER is None, reason="SPLITGYM_BROWSER names no Chromium")
def test_a_browser_shows_each_round_and_asks_for_nothing(tmp_path):
    pytest.importorskip("plotly", reason="needs the extra replay")
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    path = tmp_path / "page.html"
    assert main(["replay", *COMMAND, "--out", str(path)]) == 0
    data = Page(path.read_text(encoding="utf-8")).data
    asked, faults = [], []
    with playwright.sync_playwright() as p:
        browser = p.chromium.launch(executable_path=BROWSER)
        tab = browser.new_page()
        tab.on("request", lambda request: asked.append(request.url))
        tab.on("pageerror", lambda fault: faults.append(str(fault)))
        tab.goto(path.as_uri())
        for number in (1, 2, 3):
            tab.eval_on_selector("#round", "(e, n) => { e.value = n; e.dispatchEvent(new Event('input')); }", number)
            assert tab.text_content("#shown") == f"{number} of 3"
            for place, agent in enumerate(data["agents"]):
                shown = agent["rounds"][number - 1]
                cells = tab.eval_on_selector_all(f"#agent-{place} td", "cells => cells.map(c => c.textContent)")
                assert float(cells[0].split()[0]) == pytest.approx(shown["facts"]["elapsed_s"], rel=1e-3)
                assert float(cells[2]) == pytest.approx(shown["facts"]["accuracy"], rel=1e-3)
                drawn = tab.evaluate(f"document.querySelector('#agent-{place} .gantt').data.flatMap(t => t.x)")
                assert sorted(drawn) == pytest.approx(sorted(stop - start for _, _, start, stop in shown["bars"]))
                assert len(tab.query_selector_all(f"#agent-{place} .gantt .bars .point path")) == len(shown["bars"])
        tab.hover("#agent-0 .gantt .bars .point path", force=True)
        # A machine without fonts shows no letters.
        tab.wait_for_selector("#agent-0 .gantt .hovertext text", state="attached")
        assert "client 0: client_fp" in tab.text_content("#agent-0 .gantt .hovertext text")
        browser.close()
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []
    assert faults == []
