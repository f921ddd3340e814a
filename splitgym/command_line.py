"""How every command line of the project ends: what a failure looks like, and signs that a console does not have."""

import codecs
import inspect
import os
import select
import shlex
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, contextmanager, redirect_stderr
from dataclasses import fields
from io import StringIO, TextIOWrapper
from pathlib import Path
from typing import Any, TextIO, TypeVar

from splitgym.inputs import InputError, MissingExtraError, one_line

Options = TypeVar("Options")

TRACEBACK = "--traceback"
"""Option of every command."""
ABOUT_TRACEBACK = f"{TRACEBACK} shows where in the code an error comes from."
"""For the help of a command."""

SPELLING = "splitgym.spelling"
"""Name of the error handler of encodings."""
SPELT = str.maketrans({"≥": ">=", "≤": "<=", "±": "+-", "µ": "u", "…": "..."})
"""How signs are written on a console that does not have them."""


def run(command: Callable[[list[str]], int | None], arguments: Sequence[str] | None = None) -> int:
    """Runs a command line and returns its exit status.

    What a user can mend (wrong input, files, memory) is one line on the error stream and status 2, with `--traceback`
    also the trace, and so is a package that the project imports and that is not installed. Everything else is a fault
    of the program and keeps its trace. Ctrl-C is status 130.

    Args:
        command: Is given the arguments without `--traceback`; its status is 0 if it returns none. A KeyboardInterrupt
            that it raises may say how to go on.
        arguments: None: those of the process.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    _hear_ctrl_c()
    _replace_closed_streams()
    with _only_signs_that_the_console_has():
        try:
            with _naming_extras():
                status = command([argument for argument in given if argument != TRACEBACK])
            print(end="", flush=True)
        except KeyboardInterrupt as stop:
            _say(f"\nStopped. {stop}".rstrip(), sys.stdout)
            return 130
        except (InputError, OSError, MemoryError, EOFError, BrokenProcessPool) as error:
            if _output_is_gone():
                return 1
            trace = traceback.format_exc() if TRACEBACK in given else ""
            _say(f"{trace}error: {_said(error)}", sys.stderr)
            return 2
        except RuntimeError as error:
            if not _comes_from_ctrl_c(error):
                raise
            _say("\nStopped.", sys.stdout)
            return 130
    return status or 0


def _comes_from_ctrl_c(error: BaseException | None) -> bool:
    """Whether Ctrl-C came while Python waited for a lock, which it then gives back twice: an error of its own."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__context__
    return error is not None


@contextmanager
def _naming_extras() -> Iterator[None]:
    """A package that a module of the project imports and that is missing is one of the extra that commands need."""
    try:
        yield
    except ModuleNotFoundError as error:
        *_, (importer, _) = traceback.walk_tb(error.__traceback__)
        ours = str(importer.f_globals.get("__name__")).startswith("splitgym.")
        if isinstance(error, InputError) or not ours or str(error.name).startswith("splitgym"):
            raise
        raise MissingExtraError(f"package {error.name} is not installed: pip install 'splitgym[train]'") from error


def about(text: str | None) -> str:
    """What the help of a command begins with: its text, which `python -OO` leaves out, and what every command has."""
    return "\n\n".join(filter(None, (text, ABOUT_TRACEBACK)))


def parsed(options: type[Options], program: str, arguments: Sequence[str]) -> Options:
    """The options of a command line, a dataclass whose docstring begins the help.

    Raises:
        MissingExtraError: tyro is not installed.
        InputError: an option is not allowed.
    """
    try:
        import tyro  # noqa: PLC0415 - of an extra
    except ImportError as error:
        raise MissingExtraError("the command line needs: pip install 'splitgym[train]'") from error
    with parsing():
        return tyro.cli(options, prog=program, args=arguments, description=about(inspect.getdoc(options)))


def spelt(program: str, options: Any) -> str:
    """The command that asks for these options: those that are not the default."""
    words = program.split()
    for field in fields(options):
        value, name = getattr(options, field.name), field.name.replace("_", "-")
        if value == field.default:
            continue
        if isinstance(value, bool):
            words.append(f"--{name}" if value else f"--no-{name}")
        else:
            words += [f"--{name}", *map(str, value if isinstance(value, tuple) else [value])]
    return shlex.join(words)


@contextmanager
def parsing() -> Iterator[None]:
    """Around the reading of options by tyro.

    Raises:
        InputError: instead of the box that tyro prints about options that are not allowed.
    """
    said = StringIO()
    try:
        with redirect_stderr(said):
            yield
    except SystemExit as end:
        if not end.code:
            raise
        raise InputError(_unboxed(said.getvalue()) or f"options are not allowed ({end.code})") from None


def _unboxed(box: str) -> str:
    """What stands in a box of lines, without the part that repeats the help."""
    parts = [""]
    for line in box.splitlines()[1:]:  # The first has the title.
        inside = line.strip(" │╰╯")
        if inside.strip("─-"):
            parts[-1] += f" {inside}"
        else:
            parts.append("")
    told = [
        part.strip().rstrip(".")
        for part in parts
        if not part.strip().startswith(("Argument helptext", "For full helptext"))
    ]
    return f"{'; '.join(filter(None, told))}; --help says what is allowed"


@contextmanager
def checking_input() -> Iterator[None]:
    """Around the checks of what a user asked for: a ValueError there is a failure of input.

    Raises:
        InputError: instead of a ValueError or an OverflowError.
    """
    try:
        yield
    except InputError:
        raise
    except (ValueError, OverflowError) as error:
        raise InputError(one_line(error)) from error


def _hear_ctrl_c() -> None:
    """Makes Ctrl-C a KeyboardInterrupt, which it is not while a command is imported."""
    if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _replace_closed_streams() -> None:
    """Lets what is written to a stream that was closed before Python began (`>&-`) vanish, where it would fail."""
    sys.stdout = sys.stdout or Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - to the end
    sys.stderr = sys.stderr or Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115


def _say(text: str, stream: TextIO) -> None:
    """Prints a last line, if somebody still reads it."""
    try:
        print(text, file=stream, flush=True)
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _said(error: BaseException) -> str:
    """What the line says of an error."""
    if isinstance(error, EOFError | ConnectionError | BrokenProcessPool):
        return f"a worker process died ({type(error).__name__})"
    if isinstance(error, MemoryError):
        return f"not enough memory; {one_line(error)}".rstrip("; ")
    return one_line(error)


def _output_is_gone() -> bool:
    """Whether nobody reads the output any more, as `head` when it has enough; what is not written yet is dropped."""
    try:
        output, events = sys.stdout.fileno(), select.poll()
    except (OSError, AttributeError):  # It is no file; Windows has no poll.
        return False
    events.register(output, 0)
    gone = bool(events.poll(0))
    try:
        print(end="", flush=True)
    except OSError:
        # Python would fail on it once more when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), output)
    return gone


@contextmanager
def _only_signs_that_the_console_has() -> Iterator[None]:
    """Spells signs that standard output and error cannot encode, where Python would raise a UnicodeEncodeError."""
    with ExitStack() as afterwards:
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, TextIOWrapper):
                afterwards.callback(stream.reconfigure, errors=stream.errors)
                stream.reconfigure(errors=SPELLING)
        yield


def _spell(error: UnicodeError) -> tuple[str | bytes, int]:
    """The error handler of the encoding: signs by their spelling, or else by their number."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    signs = error.object[error.start : error.end].translate(SPELT)
    return signs.encode("ascii", "backslashreplace").decode("ascii"), error.end


codecs.register_error(SPELLING, _spell)
