"""Public text uses the field's words: docstrings, messages, pages, README."""

import ast
import re

import pytest
from code_blocks import ROOT

WORDS = {
    r"turns?(?<!in turn)": "slot",
    "anew": "again",
    "by chance": "at random",
    "(is|are|who is|who are) away": "unavailable",
    "worth_most|is worth": "client weight",
    "deals?|dealt": "assign",
    "holdings?": "assignment state",
    "exercises?": "round batch",
    "part(y|ies)": "nodes",
    "camera": "recorder",
    "acting": "inference",
    "uncounted": "no-refcount",
    "luck": "run effect",
    "talent": "class effect",
    "wobble": "class noise",
    "habit": "label bias",
    "openness": "initial rate",
    r"\[[A-Z, ]+\] who": "clients that",
}
"""Regular expressions of words that a reader would have to guess, and what the field says."""

FINE = re.compile(
    r"in turn\b|turn into|turns? (out|off|on)|How the C library deals|a test that is worth|\bis worth (a test|it)"
)
"""Where such a word means what it does elsewhere."""


def texts() -> dict[str, str]:
    """All strings of the package and of the schedulers, and all pages."""
    found = {}
    for path in [*ROOT.glob("splitgym/**/*.py"), *ROOT.glob("agents/**/*.py"), ROOT / "train_agent.py"]:
        strings = [
            node.value
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
        ]
        found[path.relative_to(ROOT).as_posix()] = "\n".join(strings)
    for path in [ROOT / "README.md", *ROOT.glob("docs/**/*.md")]:
        if not {"_build", "results"} & set(path.parts):
            found[path.relative_to(ROOT).as_posix()] = path.read_text(encoding="utf-8")
    return found


TEXTS = {name: FINE.sub("", text) for name, text in texts().items()}


def test_many_texts_are_read() -> None:
    assert len(TEXTS) > 200


@pytest.mark.parametrize("banned", WORDS)
def test_the_word_is_that_of_the_field(banned: str) -> None:
    word = re.compile(rf"(?<![\w-])({banned})(?![\w-])", re.IGNORECASE)
    found = [f"{name}: {match[0]!r}" for name, text in TEXTS.items() for match in word.finditer(text)]
    assert found == [], f"allowed: {WORDS[banned]!r}"
