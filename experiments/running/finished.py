"""The finished jobs of a run, in a file: what stands there is not run again."""

import json
import os
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from experiments.running.experiment import Job, Row
from splitgym.files import parse_json, read_bytes
from splitgym.inputs import InputError, one_line, reading

MOST_BYTES = 2**30
"""Of a file of finished jobs."""


class Finished:
    """A file with a line of JSON for each finished job; it survives that its writer is killed at any moment."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: dict[str, list[Row]] = {}
        """What was measured, by key of the job."""
        if path.exists():
            self._read()

    def _read(self) -> None:
        with reading(str(self.path)):
            content = read_bytes(self.path, MOST_BYTES)
        # A line without an end is one whose writer was killed: the job is not finished.
        whole = content[: content.rfind(b"\n") + 1]
        if len(whole) < len(content):
            os.truncate(self.path, len(whole))
        for number, line in enumerate(whole.splitlines(), 1):
            try:
                job, rows = _read(line)
                self.rows[job] = rows
            except Exception as error:
                raise InputError(
                    f"line {number} of {self.path} is broken ({one_line(error)}): delete it to run its job again"
                ) from error

    def add(self, job: Job, measured: Sequence[Row]) -> None:
        """Keeps what a job has measured; when this returns, it is on the disk."""
        rows = json.loads(json.dumps(measured, default=_plain))
        line = json.dumps({"job": job.key, "rows": rows, "sum": _sum(job.key, rows)})
        with self.path.open("ab") as file:
            file.write(f"{line}\n".encode())
            file.flush()
            os.fsync(file.fileno())
        self.rows[job.key] = rows


def _read(line: bytes) -> tuple[str, list[Row]]:
    """Key and rows of a job; any error if the line does not say them."""
    entry = parse_json(line)
    job, rows = str(entry["job"]), [dict(row) for row in entry["rows"]]
    # Lines of before have no sum.
    if entry.get("sum") not in (None, _sum(job, rows)):
        raise ValueError("its sum is another")
    for row in rows:
        for name, value in row.items():
            if isinstance(value, dict | list):
                raise TypeError(f"{name} = {value!r}, allowed: text, numbers, true and false")
    return job, rows


def _sum(job: str, rows: Sequence[Row]) -> int:
    """By which a line that was damaged is told from a whole one."""
    return zlib.crc32(json.dumps([job, rows]).encode())


def _plain(value: object) -> object:
    """Numbers of numpy as those of Python."""
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"a row holds {value!r}, allowed: text, numbers, true and false")
