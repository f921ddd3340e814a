"""Writers that die: the n-th call that changes files, and every one after it, fails."""

import os
from pathlib import Path


class Died(BaseException):
    """Stands for a kill: no code of the writer runs any more."""


class Steps:
    """Counts what changes files, and dies at one of them.

    Args:
        monkeypatch: Of pytest.
        at: Number of the step at which it dies, from 0; it has no effect, or half of it.
    """

    def __init__(self, monkeypatch, at):
        self.done, self._at = 0, at
        for owner, name in ((os, "fsync"), (Path, "replace"), (Path, "unlink"), (os, "truncate")):
            monkeypatch.setattr(owner, name, self._counting(getattr(owner, name)))

    def _counting(self, function):
        def counting(*arguments, **options):
            if self.done >= self._at:
                self.done += 1
                raise Died
            self.done += 1
            return function(*arguments, **options)

        return counting
