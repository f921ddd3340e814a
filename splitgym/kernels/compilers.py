"""What compiles kernels: numba, without what kernels do not need.

Most of the time goes into many small functions, so each step that a function passes through counts. numba compares its
settings option by option, each time that it looks up the type of a call; it runs passes for closures, literals and
expressions of arrays, which kernels do not have; and it makes LLVM's passes again for each function.
"""

from types import SimpleNamespace
from typing import Any

from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import CompilerBase, DefaultPassBuilder, Flags
from numba.core.compiler_machinery import LoweringPass, PassManager, register_pass
from numba.core.typed_passes import (
    AnnotateTypes,
    DumpParforDiagnostics,
    InlineOverloads,
    NopythonRewrites,
    NoPythonSupportedFeatureValidation,
)
from numba.core.untyped_passes import (
    FindLiterallyCalls,
    InlineClosureLikes,
    InlineInlinables,
    LiteralPropagationSubPipelinePass,
    LiteralUnroll,
    MakeFunctionToJitFunction,
    RewriteDynamicRaises,
    WithLifting,
)

from splitgym.kernels.calls import remembering

UNNEEDED = {
    WithLifting,
    InlineClosureLikes,
    RewriteDynamicRaises,
    MakeFunctionToJitFunction,
    InlineInlinables,
    FindLiterallyCalls,
    LiteralUnroll,
    LiteralPropagationSubPipelinePass,
    InlineOverloads,
    NopythonRewrites,
    NoPythonSupportedFeatureValidation,
    DumpParforDiagnostics,
}
"""Passes for what kernels do not have."""


class _Settings(Flags):
    """Those of a kernel; equal are those in which the same was set."""

    def __hash__(self) -> int:
        return len(self._values)

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, _Settings) and self._values == other._values)


class _Library(JITCodeLibrary):
    """Code of a kernel, with all that it calls."""

    def _optimize_functions(self, ll_module: Any) -> None:
        ll_module.data_layout = self._codegen._data_layout
        passes, builder = self._codegen._function_pass_manager()
        for function in ll_module.functions:
            if not function.is_declaration:
                passes.run(function, builder)


class _InnerLibrary(_Library):
    """Code that is not optimised as a whole and never becomes machine code by itself."""

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
class _IntoLibrary(LoweringPass):
    """Lets the code go into a library that can be kept."""

    _name = "splitgym_library"

    def __init__(self) -> None:
        LoweringPass.__init__(self)

    def run_pass(self, state: Any) -> bool:
        state.library = _Library(state.targetctx.codegen(), state.func_id.func_qualname)
        state.library.enable_object_caching()
        return True


@register_pass(mutates_CFG=False, analysis_only=True)
class _IntoInnerLibrary(LoweringPass):
    """Lets the code go into an inner library."""

    _name = "splitgym_inner_library"

    def __init__(self) -> None:
        LoweringPass.__init__(self)

    def run_pass(self, state: Any) -> bool:
        state.library = _InnerLibrary(state.targetctx.codegen(), state.func_id.func_qualname)
        return True


class EntryCompiler(CompilerBase):
    """Of what Python calls."""

    into_library: type[LoweringPass] = _IntoLibrary

    def __init__(
        self, typingctx: Any, targetctx: Any, library: Any, args: Any, return_type: Any, flags: Flags, locals: Any
    ) -> None:
        super().__init__(remembering(typingctx), targetctx, library, args, return_type, _Settings(flags), locals)

    def define_pipelines(self) -> list[PassManager]:
        """The passes of numba, but for those that kernels do not need."""
        pipeline = DefaultPassBuilder.define_nopython_pipeline(self.state)
        pipeline.passes = [(one, text) for one, text in pipeline.passes if one not in UNNEEDED]
        pipeline.add_pass_after(self.into_library, AnnotateTypes)
        pipeline.finalize()
        return [pipeline]


class InnerCompiler(EntryCompiler):
    """Of what kernels call."""

    into_library = _IntoInnerLibrary


class ApartCompiler(InnerCompiler):
    """For kernels whose arrays lie apart, which it tells LLVM: their loops become vectors without a check."""

    def define_pipelines(self) -> list[PassManager]:
        """The same passes."""
        self.state.flags.noalias = True
        return super().define_pipelines()
