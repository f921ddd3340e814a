"""Shared by the tests of experiments."""

from pathlib import Path

import pytest
import squares

from experiments.running import run as running
from splitgym.inputs import InputError


@pytest.fixture
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Jobs run one after the other in the process of the test, which is cheaper than to begin others."""

    def perform(measure, jobs):
        for job in jobs:
            try:
                yield job, measure(job.case, job.seed)
            except (ArithmeticError, InputError) as error:
                yield job, error

    monkeypatch.setattr(running, "workers", lambda text: perform)


@pytest.fixture
def traces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where jobs leave traces and find mishaps."""
    folder = tmp_path / "traces"
    folder.mkdir()
    monkeypatch.setenv(squares.FOLDER, str(folder))
    return folder
