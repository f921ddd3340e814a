"""Outlines say what the modules say that they are read off."""

from dataclasses import fields
from importlib import import_module

import pytest

from experiments.running.outline import outline, places


def described(options):
    """Names, types and defaults of options, and what is said of all."""
    return options.__doc__, [(field.name, str(field.type), field.default) for field in fields(options)]


@pytest.mark.parametrize("name", [name for name, path in places().items() if outline(path)])
def test_an_outline_is_that_of_the_module(name):
    found, module = outline(places()[name]), import_module(f"experiments.{name}")
    if found.options is not None:
        assert described(found.options) == described(module.Options)
        assert found.title == module.__doc__.splitlines()[0]
        assert not hasattr(module, "EXPERIMENT")
        return
    assert found.title == module.EXPERIMENT.title
    cases = module.EXPERIMENT.cases
    assert (found.cases is None) == (type(cases).__name__ == "function")
    if found.cases is not None:
        assert described(type(found.cases)) == described(type(cases))
        assert vars(found.cases) == vars(cases)


def test_every_module_that_holds_an_experiment_has_an_outline():
    for name, path in places().items():
        if "\nEXPERIMENT" in (text := path.read_text()) or "\ndef main(" in text:
            assert outline(path) is not None, name
        else:
            assert outline(path) is None, name
