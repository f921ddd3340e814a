"""Worker processes that train: one torch thread each, and Ctrl-C is for their parent."""

import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import (
    get_all_start_methods,
    get_context,
    parent_process,
    resource_tracker,
    set_forkserver_preload,
)
from multiprocessing.context import BaseContext

import torch

from splitgym.inputs import InputError

TORCH_THREADS = 1
"""With which each of these processes trains; with another number sums are rounded otherwise, and results differ."""
START_METHOD = "forkserver" if "forkserver" in get_all_start_methods() else "spawn"
"""Not forked from the process itself: where torch has started threads a fork may hang. A server that has only imported
what workers need is forked instead, which saves each of them the seconds of the imports."""
NEEDED = ("__main__", "splitgym.envs", "splitgym.evaluation")
"""What workers import."""
MOST_WORKERS = 1000
"""More than a machine has processors."""


def check_workers(workers: int) -> None:
    """Raises an InputError if there cannot be so many processes."""
    if not 1 <= workers <= MOST_WORKERS:
        raise InputError(f"--workers {workers}, allowed: 1..{MOST_WORKERS}")


@contextmanager
def worker_pool(workers: int) -> Iterator[ProcessPoolExecutor]:
    """A pool of processes, which an exception ends at once, Ctrl-C too; submit jobs inside `interrupts_ignored`.

    Raises:
        InputError: there are too many or none.
    """
    check_workers(workers)
    with ProcessPoolExecutor(workers, worker_context(), initializer=_begin, initargs=(dict(os.environ),)) as pool:
        try:
            yield pool
        except BaseException:
            # The executor itself would wait for the jobs that are running.
            running = list((pool._processes or {}).values())
            pool.shutdown(wait=False, cancel_futures=True)
            for process in running:
                process.terminate()
            raise


def worker_context() -> BaseContext:
    """How worker processes are started."""
    # Read when the server of this process is started, for the first worker.
    set_forkserver_preload(list(NEEDED))
    return get_context(START_METHOD)


def _begin(environment: dict[str, str]) -> None:
    # A server may have been started before the environment was changed.
    os.environ.clear()
    os.environ.update(environment)
    torch.set_num_threads(TORCH_THREADS)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A worker whose parent was killed would otherwise wait for jobs for ever."""
    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


@contextmanager
def interrupts_ignored() -> Iterator[None]:
    """Processes that begin meanwhile never hear Ctrl-C; their parent hears it at the end of the block, and ends them.

    In other threads than the main one it does nothing; on Windows the new processes do hear Ctrl-C.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    heard: list[int] = []
    # The mask alone does not hold back the parent: threads of numpy and torch may still take the signal.
    before = signal.signal(signal.SIGINT, lambda number, _: heard.append(number))
    try:
        with _blocked_for_children():
            yield
    finally:
        signal.signal(signal.SIGINT, before)
        if heard:
            signal.raise_signal(signal.SIGINT)


@contextmanager
def _blocked_for_children() -> Iterator[None]:
    """Within, processes are started that do not hear Ctrl-C; the one that started them does."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    # Begun later, the tracker of multiprocessing would unblock the signal.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
