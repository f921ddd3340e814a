"""Seeds faults into the sources, one operator or number at a time, and runs the tests that should notice each.

`python tests/mutants.py --count 60 --seed 0` draws faults in physics, allocation, training, statistics and environment,
prints which test noticed each of them, and ends with status 1 if fewer than 95 % were noticed. It works on a copy, so
the checkout stays as it is. A fault that no test can notice, because it changes nothing that counts, is for a reader to
judge: the table shows the line before and after.
"""

import argparse
import ast
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
ENOUGH = 0.95
"""Fraction of the faults that must be noticed."""
TIMEOUT_S = 900
"""A test run that takes longer has noticed: something goes on for ever."""

ROOMS = {
    "network": ["network"],
    "models": ["models", "timing"],
    "data": ["data"],
    "frameworks": ["frameworks", "timing", "learning"],
    "timing": ["timing", "allocation"],
    "allocation": ["allocation", "timing"],
    "learning": ["learning", "experiments/test_calibrate_experiment.py"],
    "envs": ["envs", "schedulers/test_rules.py"],
    "schedulers": ["schedulers"],
    "evaluation/statistics.py": ["evaluation"],
    "evaluation/comparison.py": ["evaluation"],
    "evaluation/episodes.py": ["evaluation"],
}
"""Where faults are seeded, and which tests should notice them, the nearest first."""

SWAPPED: dict[type, tuple[str, str]] = {
    ast.Add: ("+", "-"),
    ast.Sub: ("-", "+"),
    ast.Mult: ("*", "/"),
    ast.Div: ("/", "*"),
    ast.FloorDiv: ("//", "*"),
    ast.Pow: ("**", "*"),
    ast.Lt: ("<", ">="),
    ast.LtE: ("<=", ">"),
    ast.Gt: (">", "<="),
    ast.GtE: (">=", "<"),
    ast.Eq: ("==", "!="),
    ast.NotEq: ("!=", "=="),
    ast.And: ("and", "or"),
    ast.Or: ("or", "and"),
}
CALLS = {"min": "max", "max": "min", "minimum": "maximum", "maximum": "minimum", "sum": "max", "argmin": "argmax"}


@dataclass(frozen=True)
class Fault:
    """A piece of a file that is replaced."""

    path: Path
    """Below the package."""
    start: int
    """First byte that is replaced."""
    stop: int
    new: str

    def seeded(self, source: bytes) -> bytes:
        """The source with the fault in it."""
        return source[: self.start] + self.new.encode() + source[self.stop :]

    def line(self, source: bytes) -> str:
        """Its line, stripped."""
        start = source.rfind(b"\n", 0, self.start) + 1
        return source[start : source.find(b"\n", self.start)].decode().strip()


def faults(path: Path) -> Iterator[Fault]:
    """All faults that a file below the package can be given."""
    source = (ROOT / "splitgym" / path).read_bytes()
    starts = [0]
    for line in source.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))

    def at(line: int, column: int) -> int:
        return starts[line - 1] + column

    def between(left: ast.expr, right: ast.expr, old: str, new: str) -> Iterator[Fault]:
        """The operator between two operands."""
        assert left.end_lineno is not None
        assert left.end_col_offset is not None
        begin, end = at(left.end_lineno, left.end_col_offset), at(right.lineno, right.col_offset)
        place = source.find(old.encode(), begin, end)
        if place >= 0:
            yield Fault(path, place, place + len(old), new)

    for node in _executed(ast.parse(source)):
        match node:
            case ast.BinOp(left, operator, right) if type(operator) in SWAPPED:
                yield from between(left, right, *SWAPPED[type(operator)])
            case ast.Compare(left, [operator, *_], [right, *_]) if type(operator) in SWAPPED:
                yield from between(left, right, *SWAPPED[type(operator)])
            case ast.BoolOp(operator, [left, right, *_]):
                yield from between(left, right, *SWAPPED[type(operator)])
            case ast.AugAssign(target, ast.Add(), value):
                yield from between(target, value, "+=", "-=")
            case ast.Call(func=ast.Name() | ast.Attribute() as function):
                name = function.id if isinstance(function, ast.Name) else function.attr
                if name in CALLS:
                    stop = at(function.end_lineno or 0, function.end_col_offset or 0)
                    yield Fault(path, stop - len(name), stop, CALLS[name])
            case ast.Constant(value=bool()):
                pass
            case ast.Constant(value=int() | float() as value):
                start, stop = (at(node.lineno, node.col_offset), at(node.end_lineno or 0, node.end_col_offset or 0))
                yield Fault(path, start, stop, repr(value + 1 if isinstance(value, int) else value * 1.5 + 0.25))
            case _:
                pass


def _executed(node: ast.AST) -> Iterator[ast.AST]:
    """All nodes but types and the texts of errors."""
    yield node
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "decorator_list") or isinstance(node, ast.Raise | ast.JoinedStr):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST):
                yield from _executed(child)


def draw(count: int, seed: int) -> list[Fault]:
    """As many faults of each room as of every other, or one more."""
    chance, by_room = random.Random(seed), []
    for room in ROOMS:
        place = ROOT / "splitgym" / room
        files = sorted(place.rglob("*.py")) if place.is_dir() else [place]
        found = [fault for file in files for fault in faults(file.relative_to(ROOT / "splitgym"))]
        chance.shuffle(found)
        by_room.append(found)
    slots = [room[slot] for slot in range(max(map(len, by_room))) for room in by_room if slot < len(room)]
    return slots[:count]


def noticed_by(fault: Fault, copy: Path) -> str:
    """The test that noticed, run on a copy of the checkout; empty: none did."""
    path = copy / "splitgym" / fault.path
    sound = path.read_bytes()
    path.write_bytes(fault.seeded(sound))
    room = next(room for room in ROOMS if fault.path.is_relative_to(room))
    try:
        for tests in ROOMS[room]:
            command = [
                sys.executable,
                "-m",
                "pytest",
                "-x",
                "-q",
                "-n",
                "0",
                "-p",
                "no:cacheprovider",
                f"tests/{tests}",
            ]
            environment = {**os.environ, "PYTHONPATH": str(copy), "OMP_NUM_THREADS": "1"}
            try:
                done = subprocess.run(
                    command, cwd=copy, env=environment, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
                )
            except subprocess.TimeoutExpired:
                return f"tests/{tests} did not end"
            if done.returncode != 0:
                failed = [line for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
                return failed[0].split(" - ")[0] if failed else f"tests/{tests} ended with status {done.returncode}"
    finally:
        path.write_bytes(sound)
    return ""


def main() -> int:
    """Draws faults, seeds them, and prints what was noticed; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=60, help="faults to seed")
    parser.add_argument("--seed", type=int, default=0, help="of the draw")
    parser.add_argument("--workers", type=int, default=2, help="faults at the same time")
    settings = parser.parse_args()
    drawn = draw(settings.count, settings.seed)
    with tempfile.TemporaryDirectory() as folder:
        copies = [Path(folder, str(worker)) for worker in range(settings.workers)]
        for copy in copies:
            shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(".venv", ".git", "__pycache__", "runs"))

        def work(worker: int) -> list[bool]:
            return [_report(fault, noticed_by(fault, copies[worker])) for fault in drawn[worker :: settings.workers]]

        with ThreadPoolExecutor(settings.workers) as pool:
            noticed = [each for part in pool.map(work, range(settings.workers)) for each in part]
    print(f"{sum(noticed)} of {len(noticed)} faults noticed")
    return int(sum(noticed) < ENOUGH * len(noticed))


def _report(fault: Fault, by: str) -> bool:
    source = (ROOT / "splitgym" / fault.path).read_bytes()
    number = source.count(b"\n", 0, fault.start) + 1
    text = f"splitgym/{fault.path}:{number}\n  - {fault.line(source)}\n  + {fault.line(fault.seeded(source))}\n"
    print(f"{text}  {by or 'NOT NOTICED'}", flush=True)
    return bool(by)


if __name__ == "__main__":
    sys.exit(main())
