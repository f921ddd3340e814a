"""The finished jobs of a run, in a file: what stands there is not run again."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from experiments.running.experiment import Job, Row
from splitgym.outputs import Journal


class Finished:
    """A file with a line of JSON for each finished job.

    Raises:
        InputError: a line is broken.
    """

    def __init__(self, path: Path) -> None:
        self._journal = Journal(path, _job_and_rows)
        self.rows: dict[str, list[Row]] = dict(self._journal.entries)
        """What was measured, by key of the job."""

    def add(self, job: Job, measured: Sequence[Row]) -> None:
        """Keeps what a job has measured; when this returns, it is on the disk."""
        key, kept = self._journal.add({"job": job.key, "rows": measured})
        self.rows[key] = kept


def _job_and_rows(line: Any) -> tuple[str, list[Row]]:
    job, rows = str(line["job"]), [dict(row) for row in line["rows"]]
    for row in rows:
        for name, value in row.items():
            if isinstance(value, dict | list):
                raise TypeError(f"{name} = {value!r}, allowed: text, numbers, true and false")
    return job, rows
