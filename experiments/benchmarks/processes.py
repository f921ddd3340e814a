"""Each subject in a process of its own, so that it neither warms nor spoils another's memory; slots are interleaved."""

import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch

from experiments.benchmarks.subjects import Setting, Subject, prepare
from splitgym.evaluation.processes import interrupts_ignored, worker_context

Row = dict[str, Any]


class SubjectFailedError(RuntimeError):
    """A subject's process ended or raised."""


class SubjectProcess:
    """A process that trains one subject, and trains only when it is asked to."""

    def __init__(self, setting: Setting, subject: Subject, threads: int) -> None:
        context = worker_context()
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, setting, subject, threads), daemon=True)
        with interrupts_ignored():
            self._process.start()
        theirs.close()

    def wait_until_warm(self) -> None:
        """Waits until it is built and warm."""
        self._receive()

    def train(self, rounds: int) -> tuple[list[float], float]:
        """CPU seconds of so many rounds; peak memory so far, MiB above what the process had before it was built."""
        self._connection.send(rounds)
        seconds, peak = self._receive()
        return seconds, peak

    def close(self) -> None:
        """Ends the process."""
        self._connection.close()
        self._process.join(5)
        if self._process.is_alive():
            self._process.terminate()
            self._process.join()

    def _receive(self) -> Any:
        try:
            answer = self._connection.recv()
        except EOFError:
            self._process.join(5)
            raise SubjectFailedError(f"its process ended with exit status {self._process.exitcode}") from None
        if isinstance(answer, str):
            raise SubjectFailedError(answer)
        return answer


def measure(setting: Setting, threads: int, report: Callable[[], object]) -> tuple[list[Row], list[str]]:
    """One pass over the subjects of a setting.

    Args:
        setting: If it is resident, all processes begin together and then have their turns one after the other, again
            and again; otherwise each process lives for the slots of its subject only.
        threads: Of torch.
        report: Called after each slot.

    Returns:
        A row for each measured round (label, seconds, peak_mib), and a line for each subject that failed.
    """
    together = [setting.subjects] if setting.resident else [(subject,) for subject in setting.subjects]
    rows: list[Row] = []
    failures: list[str] = []
    for subjects in together:
        alive = {subject: SubjectProcess(setting, subject, threads) for subject in subjects}
        try:
            for slot in range(-1, setting.slots):
                for subject, process in list(alive.items()):
                    try:
                        if slot < 0:
                            process.wait_until_warm()
                            continue
                        seconds, peak = process.train(setting.rounds)
                        rows += [{"label": subject.label, "seconds": s, "peak_mib": peak} for s in seconds]
                    except SubjectFailedError as error:
                        failures.append(f"{setting.title}, {subject.label} was left out: {error}")
                        alive.pop(subject).close()
                    report()
        finally:
            for process in alive.values():
                process.close()
    return rows, failures


def _serve(connection: Connection, setting: Setting, subject: Subject, threads: int) -> None:
    """Body of the process: builds the subject, then trains as many rounds as it is sent, until nobody listens."""
    try:
        torch.set_num_threads(threads)
        _load_libraries()
        start = _memory_mib("VmRSS")
        train = prepare(setting, subject)
        for _ in range(setting.warm_up):
            train()
        connection.send(None)
        while True:
            seconds = [_timed(train) for _ in range(connection.recv())]
            connection.send((seconds, _memory_mib("VmHWM") - start))
    except (EOFError, BrokenPipeError):
        return
    except Exception as error:
        connection.send(f"{type(error).__name__}: {error}")


def _timed(train: Callable[[], object]) -> float:
    """CPU seconds of a call, all threads together."""
    before = time.process_time()
    train()
    return time.process_time() - before


def _load_libraries() -> None:
    """Loads what would be loaded on first use and count as memory of some subjects only."""
    torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))])


def _memory_mib(name: str) -> float:
    """VmRSS, the resident memory, or VmHWM, its peak; NaN where the system has no /proc.

    Not `getrusage`: its peak of a process that has just begun is that of the parent.
    """
    status = Path("/proc/self/status")
    if not status.exists():
        return float("nan")
    (line,) = (line for line in status.read_text(encoding="utf-8").splitlines() if line.startswith(name + ":"))
    return int(line.split()[1]) / 1024
