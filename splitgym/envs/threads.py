"""Threads that outlive copies: a thread pool of Python can be neither copied nor pickled, and dies in a fork."""

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

Result = TypeVar("Result")


class Threads:
    """So many threads, which start when they are first needed; a copy and a forked process start their own.

    Args:
        count: How many; with one, the calling thread does the work.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._pool: ThreadPoolExecutor | None = None
        self._process = os.getpid()

    def map(self, work: Callable[..., Result], *arguments: Iterable[Any]) -> list[Result]:
        """What `work` returns for each of the arguments, in their order."""
        if self._count == 1:
            return [work(*each) for each in zip(*arguments, strict=True)]
        if self._pool is None or self._process != os.getpid():
            self._pool, self._process = ThreadPoolExecutor(self._count), os.getpid()
        return list(self._pool.map(work, *arguments))

    def close(self) -> None:
        """Ends the threads."""
        if self._pool is not None and self._process == os.getpid():
            self._pool.shutdown()
        self._pool = None

    def __reduce__(self) -> tuple[type["Threads"], tuple[int]]:
        return Threads, (self._count,)
