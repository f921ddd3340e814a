"""Jobs in processes, whose rows are kept in a CSV file: what stands there is not run again."""

from collections.abc import Callable, Sequence
from concurrent.futures import as_completed
from pathlib import Path
from typing import Any, Protocol, TypeVar

import pandas as pd
from tqdm import tqdm

from splitgym.evaluation.processes import interrupts_ignored, worker_pool


class Keyed(Protocol):
    """A job that knows what tells it from others."""

    @property
    def key(self) -> dict[str, Any]:
        """Columns of its rows by which it is found again."""
        ...


J = TypeVar("J", bound=Keyed)


def finish(jobs: Sequence[J], run: Callable[[J], list[dict[str, Any]]], path: Path, workers: int) -> None:
    """Runs the jobs whose rows are not in the file yet, and adds theirs as they end.

    Args:
        jobs: What is wanted.
        run: Makes the rows of one job, its key among their columns; runs in a process of its own.
        path: The CSV file; rows of other jobs stay in it.
        workers: Number of processes.
    """
    rows = [pd.read_csv(path)] if path.exists() else []
    known = {key for own in rows for key in own[list(jobs[0].key)].itertuples(index=False, name=None)}
    todo = [job for job in jobs if tuple(job.key.values()) not in known]
    with worker_pool(workers) as pool:
        with interrupts_ignored():
            running = [pool.submit(run, job) for job in todo]
        for job in tqdm(as_completed(running), total=len(todo), desc=path.stem):
            rows.append(pd.DataFrame(job.result()))
            # Written beside and renamed: a stopped run leaves no half file.
            unfinished = path.with_suffix(".unfinished")
            pd.concat(rows).to_csv(unfinished, index=False)
            unfinished.rename(path)


def finished(jobs: Sequence[Keyed], path: Path) -> pd.DataFrame:
    """The rows of those of the jobs that are in the file.

    Raises:
        FileNotFoundError: there is no file yet.
    """
    wanted = pd.DataFrame([job.key for job in jobs])
    return wanted.merge(pd.read_csv(path), on=list(wanted.columns))
