"""Where jobs run: processes of this machine, or a Ray cluster."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from functools import partial
from importlib.util import find_spec

from experiments.running.experiment import Case, Job, Row
from splitgym.evaluation.processes import check_workers, interrupts_ignored, worker_pool
from splitgym.inputs import InputError

ATTEMPTS = 3
"""A job is begun so often if its process dies each time."""

Measure = Callable[[Case, int], Sequence[Row]]
Outcomes = Iterator[tuple[Job, Sequence[Row] | BaseException]]
"""Jobs as they end, with what they measured or raised."""
Workers = Callable[[Measure, Sequence[Job]], Outcomes]
"""Runs all jobs; one that fails does not keep the others from being run."""


def workers(text: str) -> Workers:
    """What a text such as "local:2", "ray:auto" or "ray:ADDRESS" says.

    Raises:
        InputError: it says neither.
    """
    kind, _, where = text.partition(":")
    if kind == "local" and where.isdecimal() and len(where) < 10 and int(where) > 0:
        check_workers(int(where))
        return partial(in_processes, processes=int(where))
    if kind == "ray" and where:
        if find_spec("ray") is None:
            raise InputError(f"--workers {text} needs the extra: pip install -c constraints.txt -e '.[ray]'")
        from experiments.running.ray_cluster import on_ray  # noqa: PLC0415 - it needs what stands above

        return partial(on_ray, address=where)
    raise InputError(f"--workers {text!r}, allowed: local:NUMBER, ray:auto, ray:ADDRESS")


def in_processes(measure: Measure, jobs: Sequence[Job], processes: int) -> Outcomes:
    """Runs the jobs in so many processes; the job of one that dies is begun again, in a new process."""
    waiting = deque((job, 1) for job in jobs)
    running: dict[Future[Sequence[Row]], tuple[Job, int, ProcessPoolExecutor]] = {}
    with ExitStack() as pools:
        # Each process is a pool of its own: if it dies, it is known of which job.
        idle = [pools.enter_context(worker_pool(1)) for _ in range(min(processes, len(jobs)))]
        while waiting or running:
            while waiting and idle:
                (job, attempt), pool = waiting.popleft(), idle.pop()
                with interrupts_ignored():
                    running[pool.submit(measure, job.case, job.seed)] = job, attempt, pool
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                job, attempt, pool = running.pop(future)
                error = future.exception()
                died = isinstance(error, BrokenProcessPool)
                idle.append(pools.enter_context(worker_pool(1)) if died else pool)
                if died and attempt < ATTEMPTS:
                    waiting.append((job, attempt + 1))
                else:
                    yield job, future.result() if error is None else error
