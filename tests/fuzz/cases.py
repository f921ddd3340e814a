"""How many cases a fuzz test draws, and what ends a case that hangs.

In the suite a test draws a few cases, the same ones in every run; `make fuzz` draws thousands, others for every seed.
"""

import os
import sys
from contextlib import contextmanager
from threading import Timer

from hypothesis import HealthCheck, settings

MANY = int(os.environ.get("FUZZ_CASES", "0"))
"""Cases of each test in the long form; 0: the short form."""
HANGS_S = 240
"""No case takes so long, not even one that has to compile."""

LONGEST_LINE = 600
"""Characters of a message."""


def cases(few, share=1.0):
    """Settings of a fuzz test: its cases in the suite, and its share of the cases of the long form."""
    return settings(
        max_examples=max(int(MANY * share), 1) if MANY else few,
        derandomize=not MANY,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )


@contextmanager
def watchdog(case):
    """Ends the process with a line that shows the case if it hangs: a compiled loop hears neither Ctrl-C nor errors."""
    timer = Timer(HANGS_S, _end, [case])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def attempt(call):
    """What a call answers and None, or None and the line with which it refuses."""
    try:
        return call(), None
    except ValueError as error:
        line = str(error)
    assert "\n" not in line
    assert len(line) < LONGEST_LINE, line
    return None, line


def _end(case):
    print(f"\nhangs for {HANGS_S} s: {case}", file=sys.__stderr__, flush=True)
    os._exit(1)
