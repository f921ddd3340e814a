"""Handles: many arrays as one argument of a kernel. To take them out of a tuple costs more than a short kernel.

A kernel that gets a handle finds the tuple as `held`. Handles stay in the process that made them: what is copied or
pickled makes its own.
"""

from ctypes import addressof, c_char
from struct import Struct
from types import SimpleNamespace
from typing import Any

import numpy as np
from numba import typeof
from numba.core import config, types
from numba.core.typing.templates import AttributeTemplate
from numba.extending import NativeValue, infer_getattr, lower_getattr, models, register_model, unbox
from numpy.typing import NDArray

_NOTHING = c_char * 0


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
        structure: list[Any] = []
        numbers: list[Any] = []
        _take_apart(held, structure, numbers)
        layout, self._numba_type_ = _kind_of(held, tuple(structure))
        self._held, self._room = held, np.frombuffer(layout.pack(*numbers), np.uint8)
        self.address = self._room.ctypes.data


def _take_apart(value: Any, structure: list[Any], numbers: list[Any]) -> None:
    """Adds what a value's type and its layout depend on, and the numbers that a kernel keeps of it in memory."""
    structure.append(type(value))
    if isinstance(value, np.ndarray):
        structure += value.dtype, value.ndim, value.flags.num
        # What numba calls an `arystruct_t`.
        numbers += 0, 0, value.size, value.itemsize, _address(value), *value.shape, *value.strides
    elif isinstance(value, tuple):
        structure.append(len(value))
        for part in value:
            _take_apart(part, structure, numbers)
    else:
        numbers.append(value)


def _address(array: NDArray[Any]) -> int:
    """Where the numbers of an array begin."""
    try:
        # As `ctypes.data`, in a quarter of the time.
        return addressof(_NOTHING.from_buffer(array))  # type: ignore[arg-type]
    except (TypeError, ValueError, BufferError):  # It is for reading only, or has gaps.
        return array.ctypes.data


_KINDS: dict[tuple[Any, ...], tuple[Struct, _HandleType]] = {}
"""By structure. To work out numba's type of many arrays costs many times as much as to take them apart."""


def _kind_of(held: Any, structure: tuple[Any, ...]) -> tuple[Struct, _HandleType]:
    """How a kernel keeps a tuple of that structure in memory, and the type of its handle.

    Raises:
        TypeError: a handle cannot hold it.
    """
    kind = _KINDS.get(structure)
    if kind is None:
        kind = _KINDS[structure] = Struct(_layout_of(held)), _HandleType(typeof(held))
    return kind


def _layout_of(value: Any) -> str:
    """How a kernel keeps a value in memory, in the letters of `struct`.

    Raises:
        TypeError: a handle cannot hold it.
    """
    if isinstance(value, np.ndarray):
        return f"2P{2 + 1 + 2 * value.ndim}q"
    if isinstance(value, tuple):
        layout = "".join(map(_layout_of, value))
        # Starts and ends where its widest number may lie.
        return layout if set(layout) <= {"?"} else f"0q{layout}0q"
    for kinds, letter in (((bool, np.bool_), "?"), ((int, np.int64), "q"), ((float, np.float64), "d")):
        if isinstance(value, kinds):
            return letter
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
