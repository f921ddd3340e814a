"""A kernel inside another one: it is compiled with each kernel that calls it, not by itself.

numba optimises every function by itself and once more inside of each caller, so that the innermost of ten is optimised
ten times. Here only what Python calls is optimised and made machine code, with all that it calls, as a whole.
"""

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from numba.core.registry import CPUDispatcher
from numba.core.types import unliteral

from splitgym.kernels.compilers import ApartCompiler, EntryCompiler, InnerCompiler
from splitgym.kernels.handles import Reference

NO_CFUNC = {"no_cfunc_wrapper": True}
ONLY_INSIDE = {"no_cpython_wrapper": True, **NO_CFUNC}
APART = "arrays_apart"
"""Option of a kernel: none of its arrays shares memory with one that it writes to."""


class Kernel(CPUDispatcher):
    """A compiled function: as a whole for Python, as an `Inner` for other kernels."""

    def __init__(self, py_func: Callable[..., Any], locals: Any = None, targetoptions: Any = None) -> None:
        options = {name: value for name, value in targetoptions.items() if name != APART}
        super().__init__(py_func, {}, {**options, **NO_CFUNC}, pipeline_class=EntryCompiler)
        # The compiler knows of arrays that are arguments themselves that they lie apart; and where it may regroup sums,
        # how it does so depends on how it gets at what is summed.
        self._wants_tuples = bool(targetoptions.get(APART)) or targetoptions.get("fastmath") is True
        compiler = ApartCompiler if targetoptions.get(APART) else InnerCompiler
        self._inner = Inner(py_func, {}, {**options, **ONLY_INSIDE}, pipeline_class=compiler)

    def compile(self, sig: Any) -> Any:
        """Compiles it for these types of arguments, or takes the code that is kept."""
        with _without_collection():
            return super().compile(sig)

    def get_call_template(self, args: Any, kws: Any) -> Any:
        """How another kernel calls it; not again for each number that stands in a call."""
        args = tuple(map(unliteral, args))
        if self._wants_tuples:
            args = tuple(arg.held if isinstance(arg, Reference) else arg for arg in args)
        return self._inner.get_call_template(args, kws)

    def get_overload(self, sig: Any) -> Any:
        """What another kernel calls."""
        return self._inner.get_overload(sig)


class Inner(CPUDispatcher):
    """A function that only kernels call."""


@contextmanager
def _without_collection() -> Iterator[None]:
    """Lets the collector of cycles rest: what a compiler makes by the million lives until it is done."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
