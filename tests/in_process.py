"""Comparisons without the seconds that a new process takes to begin."""

from concurrent.futures import Future
from contextlib import nullcontext

from splitgym.evaluation import runner


class Pool:
    """Runs jobs when they are submitted, in the process of the test."""

    def submit(self, function, *arguments):
        future = Future()
        try:
            future.set_result(function(*arguments))
        except Exception as error:  # As the pools of other processes.
            future.set_exception(error)
        return future


def compare_in_this_process(monkeypatch):
    monkeypatch.setattr(runner, "worker_pool", lambda _: nullcontext(Pool()))
