"""Handles: many arrays as one argument of a kernel. To take them out of a tuple costs more than a short kernel.

A kernel that gets a handle finds the tuple as `held`. Handles stay in the process that made them: what is copied or
pickled makes its own.
"""

from types import SimpleNamespace
from typing import Any

from numba.core import config, types
from numba.experimental import structref

from splitgym.kernels.compilation import COMPILED, kernel


@structref.register
class _HandleType(types.StructRef):
    """Of handles that hold the same types."""


class _Handle(structref.StructRefProxy):
    """A handle."""


structref.define_proxy(_Handle, _HandleType, ["held"])


@kernel(COMPILED)
def _hold(held: Any) -> Any:
    return _Handle(held)


class Handle:
    """A handle of a tuple of arrays, numbers and tuples of these; arrays are shared, not copied.

    It is made when it is first needed, and made again in copies.
    """

    def __init__(self) -> None:
        self._held: Any = None
        self._handle: Any = None

    def of(self, held: Any) -> Any:
        """The handle of a tuple, for kernels."""
        if self._held is not held:
            # Without compilation a kernel is a function that takes any object.
            self._handle = SimpleNamespace(held=held) if config.DISABLE_JIT else _hold(held)  # type: ignore[attr-defined]
            self._held = held
        return self._handle

    def __reduce__(self) -> tuple[type["Handle"], tuple[()]]:
        return Handle, ()
