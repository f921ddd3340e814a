"""The finished jobs of a run, in a file: what stands there is not run again."""

import json
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from experiments.running.experiment import Job, Row
from splitgym.inputs import InputError, one_line


class Finished:
    """A file with a line of JSON for each finished job; it survives that its writer is killed at any moment."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: dict[str, list[Row]] = {}
        """What was measured, by key of the job."""
        if path.exists():
            self._read()

    def _read(self) -> None:
        content = self.path.read_bytes()
        # A line without an end is one whose writer was killed: the job is not finished.
        whole = content[: content.rfind(b"\n") + 1]
        if len(whole) < len(content):
            os.truncate(self.path, len(whole))
        for number, line in enumerate(whole.splitlines(), 1):
            try:
                entry = json.loads(line)
                self.rows[str(entry["job"])] = [dict(row) for row in entry["rows"]]
            except Exception as error:
                raise InputError(
                    f"line {number} of {self.path} is broken ({one_line(error)}): delete it to run its job again"
                ) from error

    def add(self, job: Job, measured: Sequence[Row]) -> None:
        """Keeps what a job has measured; when this returns, it is on the disk."""
        line = json.dumps({"job": job.key, "rows": measured}, default=_plain)
        with self.path.open("ab") as file:
            file.write(f"{line}\n".encode())
            file.flush()
            os.fsync(file.fileno())
        self.rows[job.key] = json.loads(line)["rows"]


def _plain(value: object) -> object:
    """Numbers of numpy as those of Python."""
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"a row holds {value!r}, allowed: text, numbers, true and false")
