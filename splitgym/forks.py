"""Forked processes: they inherit that torch has threads, but not the threads, and would wait for them for ever."""

import os
import sys
from multiprocessing import current_process


def use_one_torch_thread_in_forks() -> None:
    """Lets processes that this one forks from now on, and this one if it is forked, compute with one torch thread.

    A process that knows better, as it was forked before torch had computed anything, may set more.
    """
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_use_one_torch_thread)
    if type(current_process()).__name__ == "ForkProcess":
        _use_one_torch_thread()


def _use_one_torch_thread() -> None:
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
