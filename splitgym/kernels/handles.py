"""Handles: many arrays as one argument of a kernel. To take them out of a tuple costs more than a short kernel.

A kernel that gets a handle finds the tuple as `held`. Of a tuple of named parts it reads those that it names, where it
names them; all others are no matter of the compiler. Handles stay in the process that made them: what is
copied or pickled makes its own.
"""

from ctypes import addressof, c_char
from struct import Struct
from types import SimpleNamespace
from typing import Any

import numpy as np
from llvmlite.ir import IntType, LoadInstr
from numba import typeof
from numba.core import config, types
from numba.core.typeconv.castgraph import Conversion
from numba.core.typing.templates import AttributeTemplate
from numba.extending import (
    NativeValue,
    infer_getattr,
    lower_cast,
    lower_getattr,
    lower_getattr_generic,
    models,
    register_model,
    unbox,
)
from numpy.typing import NDArray

_NOTHING = c_char * 0


class _HandleType(types.Opaque):
    """Of handles that hold the same types: for kernels the address of a tuple as they keep it in memory."""

    def __init__(self, held: types.Type) -> None:
        self.held = held
        super().__init__(f"Handle({held})")


register_model(_HandleType)(models.OpaqueModel)


class Reference(types.Opaque):
    """Of a tuple of named parts, for kernels: the address at which it is kept in memory, where nobody writes.

    A kernel that wants the tuple itself as an argument gets it.
    """

    def __init__(self, held: types.NamedTuple) -> None:
        self.held = held
        super().__init__(f"Reference({held})")

    def can_convert_to(self, typingctx: Any, other: types.Type) -> Any:
        """To the tuple."""
        return Conversion.safe if other == self.held else None


register_model(Reference)(models.OpaqueModel)


def _inside(held: types.Type) -> types.Type:
    """What kernels find where a handle or a tuple in it holds this: tuples of parts of one type may be gone through."""
    return Reference(held) if isinstance(held, types.NamedTuple) else held


@infer_getattr
class _Held(AttributeTemplate):
    key = _HandleType

    def resolve_held(self, handle: _HandleType) -> types.Type:
        return _inside(handle.held)


@infer_getattr
class _Part(AttributeTemplate):
    key = Reference

    def generic_resolve(self, reference: Reference, name: str) -> types.Type | None:  # type: ignore[override]
        fields = reference.held.fields
        return _inside(reference.held.types[fields.index(name)]) if name in fields else None


@lower_getattr(_HandleType, "held")
def _read_held(context: Any, builder: Any, handle: _HandleType, address: Any) -> Any:
    return _read(context, builder, handle.held, address)


@lower_getattr_generic(Reference)
def _read_part(context: Any, builder: Any, reference: Reference, address: Any, name: str) -> Any:
    held, place = reference.held, reference.held.fields.index(name)
    start = _pointer_to(context, builder, held, address)
    part = builder.gep(start, [IntType(32)(0), IntType(32)(place)], inbounds=True)
    return _read(context, builder, held.types[place], builder.bitcast(part, address.type))


@lower_cast(Reference, types.NamedTuple)
def _whole(context: Any, builder: Any, reference: Reference, held: types.Type, address: Any) -> Any:
    return _load(context, builder, held, address)


def _read(context: Any, builder: Any, held: types.Type, address: Any) -> Any:
    """What kernels find at an address where this is kept, as `_inside` says."""
    return address if isinstance(held, types.NamedTuple) else _load(context, builder, held, address)


def _load(context: Any, builder: Any, held: types.Type, address: Any) -> Any:
    """The value at an address; as nobody writes there, it need not be loaded again after an array has been."""
    pointer, before = _pointer_to(context, builder, held, address), len(builder.block.instructions)
    value = context.data_model_manager[held].load_from_data_pointer(builder, pointer)
    for instruction in builder.block.instructions[before:]:
        if isinstance(instruction, LoadInstr):
            instruction.set_metadata("invariant.load", builder.module.add_metadata([]))
    return value


def _pointer_to(context: Any, builder: Any, held: types.Type, address: Any) -> Any:
    return builder.bitcast(address, context.data_model_manager[held].get_data_type().as_pointer())


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
