"""What all parts of a scenario have in common: frozen, no field that is not known, no value of another kind."""

from collections.abc import Iterator
from numbers import Real
from typing import Any, get_args

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationInfo, field_validator, model_validator

from splitgym.parts import suggest


class Section(BaseModel):
    """A frozen part of a scenario that refuses unknown fields and names the nearest known one."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _refuse_unknown_fields(cls, values: Any) -> Any:
        if isinstance(values, dict):
            for name in values:
                if name not in cls.model_fields:
                    raise ValueError(f"unknown field {name!r}, {suggest(str(name), cls.model_fields)}")
        return values

    @field_validator("*", mode="before")
    @classmethod
    def _keep_kinds(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuses what pydantic would turn into another kind: true or "3" for a number, "yes" for true."""
        assert info.field_name is not None
        kind = cls.model_fields[info.field_name].annotation
        if kind is bool and not isinstance(value, bool | np.bool_):
            raise ValueError("allowed: a boolean")
        for each in _entries(value) if _is_of_numbers(kind) else ():
            if each is not None and (isinstance(each, bool) or not isinstance(each, Real)):
                raise ValueError(f"allowed: {'an integer' if kind is int else 'numbers'}")
        return value


def _entries(value: Any) -> Iterator[Any]:
    """What stands in a sequence, also of sequences; a value that is none by itself."""
    if isinstance(value, np.ndarray):
        yield from value.flat
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _entries(each)
    else:
        yield value


def _is_of_numbers(kind: Any) -> bool:
    """Whether a type is a number, or several, or perhaps none; no text."""
    parts = get_args(kind)
    return kind in (int, float) or (str not in parts and any(map(_is_of_numbers, parts)))
