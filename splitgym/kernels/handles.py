"""Handles: many arrays as one argument of a kernel. To take them out of a tuple costs more than a short kernel.

A kernel that gets a handle finds the tuple as `held`. Handles stay in the process that made them: what is copied or
pickled makes its own.
"""

from struct import pack
from types import SimpleNamespace
from typing import Any

import numpy as np
from numba import typeof
from numba.core import config, types
from numba.core.typing.templates import AttributeTemplate
from numba.extending import NativeValue, infer_getattr, lower_getattr, models, register_model, unbox


class _HandleType(types.Opaque):
    """Of handles that hold the same types: for kernels the address of a tuple as they keep it in memory."""

    def __init__(self, held: types.Type) -> None:
        self.held = held
        super().__init__(f"Handle({held})")


register_model(_HandleType)(models.OpaqueModel)


@infer_getattr
class _Held(AttributeTemplate):
    key = _HandleType

    def resolve_held(self, handle: _HandleType) -> types.Type:
        return handle.held


@lower_getattr(_HandleType, "held")
def _load(context: Any, builder: Any, handle: _HandleType, address: Any) -> Any:
    model = context.data_model_manager[handle.held]
    return model.load_from_data_pointer(builder, builder.bitcast(address, model.get_data_type().as_pointer()))


@unbox(_HandleType)
def _address_of(handle: _HandleType, boxed: Any, c: Any) -> NativeValue:
    number = c.pyapi.object_getattr_string(boxed, "address")
    address = c.pyapi.long_as_voidptr(number)
    c.pyapi.decref(number)
    return NativeValue(address)


class _Boxed:
    """A handle as Python has it; it keeps alive what lies at the address."""

    __slots__ = ("_held", "_numba_type_", "_room", "address")

    def __init__(self, held: Any) -> None:
        layout, values = _in_memory(held)
        self._held, self._numba_type_ = held, _HandleType(typeof(held))
        self._room = np.frombuffer(pack(layout, *values), np.uint8)
        self.address = self._room.ctypes.data


def _in_memory(value: Any) -> tuple[str, list[Any]]:
    """How a kernel keeps a value in memory: as `struct` packs it. An array is what numba calls an `arystruct_t`.

    Raises:
        TypeError: a handle cannot hold it.
    """
    if isinstance(value, np.ndarray):
        sizes = [value.size, value.itemsize, value.ctypes.data, *value.shape, *value.strides]
        return f"2P{2 + 1 + 2 * value.ndim}q", [0, 0, *sizes]
    if isinstance(value, tuple):
        parts = [_in_memory(part) for part in value]
        layout = "".join(layout for layout, _ in parts)
        # Starts and ends where its widest number may lie.
        aligned = layout if set(layout) <= {"?"} else f"0q{layout}0q"
        return aligned, [one for _, values in parts for one in values]
    for kinds, letter in (((bool, np.bool_), "?"), ((int, np.int64), "q"), ((float, np.float64), "d")):
        if isinstance(value, kinds):
            return letter, [value]
    raise TypeError(f"handle of {type(value).__name__}, allowed: arrays, bool, int, float and tuples of these")


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
            self._handle = SimpleNamespace(held=held) if config.DISABLE_JIT else _Boxed(held)  # type: ignore[attr-defined]
            self._held = held
        return self._handle

    def __reduce__(self) -> tuple[type["Handle"], tuple[()]]:
        return Handle, ()
