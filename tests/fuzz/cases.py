"""How many cases a fuzz test draws, and what ends a case that hangs.

In the suite a test draws a few cases, the same ones in every run; `make fuzz` draws thousands, others for every seed.
"""

import os
import sys
from contextlib import contextmanager
from threading import Event, Thread
from time import monotonic, process_time

from hypothesis import HealthCheck, settings

MANY = int(os.environ.get("SPLITGYM_FUZZ_CASES", "0"))
"""Cases of each test in the long form; 0: the short form."""
MOST_CPU_S, MOST_S = 120, 1200
"""No case takes so long, not even one that has to compile: seconds of the processor, and by the clock."""
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
    done = Event()
    Thread(target=_watch, args=(case, done), daemon=True).start()
    try:
        yield
    finally:
        done.set()


def _watch(case, done):
    began_cpu, began = process_time(), monotonic()
    while not done.wait(1.0):
        if process_time() - began_cpu > MOST_CPU_S or monotonic() - began > MOST_S:
            print(f"\nhangs: {case}", file=sys.__stderr__, flush=True)
            os._exit(1)


def attempt(call):
    """What a call answers and None, or None and the line with which it refuses."""
    try:
        return call(), None
    except ValueError as error:
        line = str(error)
    assert "\n" not in line
    assert len(line) < LONGEST_LINE, line
    return None, line
