"""Shared by the tests that draw wrong input: how many cases, which, and a watch over their time and memory.

`SPLITGYM_FUZZ_CASES` says how many cases each test draws, `SPLITGYM_FUZZ_SEED` which; without them they are few and
the same each time.
"""

import os
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random

from splitgym.inputs import LONGEST_LINE

CASES = int(os.environ.get("SPLITGYM_FUZZ_CASES", "12"))
SEED = os.environ.get("SPLITGYM_FUZZ_SEED", "0")
LONGEST_S = 60
"""A case that takes so long hangs, also on a machine that is busy."""
MOST_BYTES = 3 * 2**30
"""A case that takes so much more memory takes too much."""


def drawn(name: str) -> Iterator[tuple[str, Random]]:
    """Cases of a test: their names, and what draws each."""
    for number in range(CASES):
        case = f"{name}, seed {SEED}, case {number}"
        yield case, Random(case)


class TooLongError(BaseException):
    """A case hangs; no loader takes this for an error of its file."""


@contextmanager
def watched(case: str) -> Iterator[None]:
    """Around a case: ends it if it hangs, or asks for too much memory."""

    def hangs(*_: object) -> None:
        raise TooLongError(case)

    pages = int(open("/proc/self/statm").read().split()[0]) if os.path.exists("/proc/self/statm") else 0  # noqa: PTH110, PTH123, SIM115
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    before = signal.signal(signal.SIGALRM, hangs)
    signal.alarm(LONGEST_S)
    if pages:
        resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + MOST_BYTES, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def is_one_line(text: str) -> bool:
    """Whether a message is one printable line that is not too long."""
    return 0 < len(text) <= LONGEST_LINE + 100 and text.isprintable()
