"""Worker processes that train: started anew, one torch thread each, and Ctrl-C is for their parent."""

import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context

import torch

START_METHOD = "spawn"
"""Not forked: a fork of a process in which torch has started threads may hang."""


@contextmanager
def worker_pool(workers: int) -> Iterator[ProcessPoolExecutor]:
    """A pool of processes, which an exception ends at once, Ctrl-C too; submit jobs inside `interrupts_ignored`."""
    with ProcessPoolExecutor(
        workers, get_context(START_METHOD), initializer=torch.set_num_threads, initargs=(1,)
    ) as pool:
        try:
            yield pool
        except BaseException:
            # The executor itself would wait for the jobs that are running.
            running = list((pool._processes or {}).values())
            pool.shutdown(wait=False, cancel_futures=True)
            for process in running:
                process.terminate()
            raise


@contextmanager
def interrupts_ignored() -> Iterator[None]:
    """Processes that begin meanwhile ignore Ctrl-C for ever: it is for the parent, which ends them."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
