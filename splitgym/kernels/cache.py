"""Compiled code that is kept for later processes, in a folder of the user."""

import atexit
import os
import pickle
import shutil
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import Any, ClassVar
from uuid import uuid4

import llvmlite
import numba
from numba.core.caching import NullCache
from numba.core.compiler import CompileResult
from numba.core.serialize import dumps
from platformdirs import user_cache_path

from splitgym.kernels.sources import ROOT, sources_digest

FOLDER_VARIABLE = "SPLITGYM_CACHE"
"""Environment variable with the folder in which compiled code is kept; absent: in the user's cache folder."""

NOTICE = "splitgym: compiling kernels for this machine, once; `python -m splitgym warm-up` does it beforehand"
"""What somebody who waits wants to know."""

VERSIONS = f"{sys.implementation.cache_tag}-numba-{numba.__version__}-llvmlite-{llvmlite.__version__}"


def cache_folder() -> Path:
    """The folder in which compiled code is kept; it may not exist yet."""
    chosen = os.environ.get(FOLDER_VARIABLE)
    return Path(chosen).absolute() if chosen else user_cache_path("splitgym", appauthor=False) / "kernels"


class KernelCache(NullCache):
    """The compiled code of one kernel: a file for each combination of argument types and processor.

    A file that is missing, damaged or of other types is as good as none: the kernel is compiled, and the file written
    again. Files are replaced as a whole, so processes do not disturb each other.

    Args:
        function: Of the package.
        options: With which it is compiled.
    """

    noticed: ClassVar[bool] = False
    """Whether this process has said that it compiles."""

    def __init__(self, function: Callable[..., Any], options: dict[str, Any]) -> None:
        path = Path(function.__code__.co_filename)
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        self._place = Path(VERSIONS, f"{module}-{sources_digest(path)}")
        self._name = function.__qualname__
        self._compiled_as = f"{function.__code__.co_firstlineno} {sorted(options.items())}"

    @property
    def cache_path(self) -> str:
        """The folder of the files."""
        return str(cache_folder() / self._place)

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """What numba compiled for these argument types; None: it is not kept, and numba compiles it now."""
        target_context.refresh()
        with suppress(Exception):  # A damaged pickle may raise anything.
            kept_for, result = pickle.loads(self._file(sig, target_context.codegen()).read_bytes())
            if kept_for == sig:
                return CompileResult._rebuild(target_context, *result)
        if not KernelCache.noticed:
            KernelCache.noticed = True
            print(NOTICE, file=sys.stderr, flush=True)
        return None

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keeps what numba compiled; where nothing can be written, for this process and those that it starts."""
        if data.library.has_dynamic_globals:
            return
        content = dumps((sig, data._reduce()))
        try:
            _write(self._file(sig, data.codegen), content)
        except OSError as error:
            with suppress(OSError):
                _move_to_temporary_folder(error)
                _write(self._file(sig, data.codegen), content)

    def _file(self, sig: Any, codegen: Any) -> Path:
        key = sha256(f"{self._compiled_as} {sig} {codegen.magic_tuple()}".encode()).hexdigest()[:16]
        return Path(self.cache_path, f"{self._name}-{key}.bin")


@contextmanager
def without_notice() -> Iterator[None]:
    """Says nothing of what is compiled meanwhile."""
    before, KernelCache.noticed = KernelCache.noticed, True
    try:
        yield
    finally:
        KernelCache.noticed = before


def _write(path: Path, content: bytes) -> None:
    """Writes a file as a whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{uuid4().hex}.unfinished")
    try:
        unfinished.write_bytes(content)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def _move_to_temporary_folder(error: OSError) -> None:
    """From now on keeps compiled code only until this process ends, and says so."""
    warnings.warn(
        f"compiled kernels cannot be kept in {cache_folder()} ({error.strerror}), so they are compiled again next time;"
        f" name a folder that can be written to in {FOLDER_VARIABLE}",
        RuntimeWarning,
        stacklevel=2,
    )
    folder, owner = tempfile.mkdtemp(prefix="splitgym-kernels-"), os.getpid()
    atexit.register(lambda: shutil.rmtree(folder, ignore_errors=True) if os.getpid() == owner else None)
    # Processes that are started read it, too.
    os.environ[FOLDER_VARIABLE] = folder
