"""A kernel inside another one: it is compiled with each kernel that calls it, not by itself.

numba optimises every function by itself and once more inside of each caller, so that the innermost of ten is optimised
ten times. Here only what Python calls is optimised and made machine code, with all that it calls, as a whole.
"""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import CompilerBase, DefaultPassBuilder
from numba.core.compiler_machinery import LoweringPass, PassManager, register_pass
from numba.core.registry import CPUDispatcher
from numba.core.typed_passes import AnnotateTypes
from numba.core.types import unliteral

ONLY_INSIDE = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
APART = "arrays_apart"
"""Option of a kernel: none of its arrays shares memory with one that it writes to."""


class Kernel(CPUDispatcher):
    """A compiled function: as a whole for Python, as an `Inner` for other kernels."""

    def __init__(self, py_func: Callable[..., Any], locals: Any = None, targetoptions: Any = None) -> None:
        numba_options = {name: value for name, value in targetoptions.items() if name != APART}
        super().__init__(py_func, {}, numba_options)
        compiler = _ApartCompiler if targetoptions.get(APART) else _InnerCompiler
        self._inner = Inner(py_func, {}, {**numba_options, **ONLY_INSIDE}, pipeline_class=compiler)

    def get_call_template(self, args: Any, kws: Any) -> Any:
        """How another kernel calls it; not again for each number that stands in a call."""
        return self._inner.get_call_template(tuple(map(unliteral, args)), kws)

    def get_overload(self, sig: Any) -> Any:
        """What another kernel calls."""
        return self._inner.get_overload(sig)


class Inner(CPUDispatcher):
    """A function that only kernels call."""


class _InnerLibrary(JITCodeLibrary):
    """Code that is not optimised and never becomes machine code by itself."""

    def _optimize_final_module(self) -> None:
        pass

    def _finalize_final_module(self) -> None:
        self._finalize_dynamic_globals()
        self._finalized = True

    def get_pointer_to_function(self, name: str) -> int:
        """None, as there is no machine code."""
        return 0

    @property
    def codegen(self) -> Any:
        """No machine code, so there is no place for the address of an environment."""
        return SimpleNamespace(set_env=lambda name, environment: None)


@register_pass(mutates_CFG=False, analysis_only=True)
class _IntoInnerLibrary(LoweringPass):
    """Lets the code go into an inner library."""

    _name = "splitgym_inner_library"

    def __init__(self) -> None:
        LoweringPass.__init__(self)

    def run_pass(self, state: Any) -> bool:
        state.library = _InnerLibrary(state.targetctx.codegen(), state.func_id.func_qualname)
        return True


class _InnerCompiler(CompilerBase):
    """numba's own, but for the library."""

    def define_pipelines(self) -> list[PassManager]:
        passes = DefaultPassBuilder.define_nopython_pipeline(self.state)
        passes.add_pass_after(_IntoInnerLibrary, AnnotateTypes)
        passes.finalize()
        return [passes]


class _ApartCompiler(_InnerCompiler):
    """For kernels whose arrays lie apart, which it tells LLVM: their loops become vectors without a check."""

    def define_pipelines(self) -> list[PassManager]:
        self.state.flags.noalias = True
        return super().define_pipelines()
