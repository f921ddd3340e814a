"""Records in files: dataclasses whose values have the types that their fields say, without any conversion."""

from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import Any, TypeVar, get_type_hints

from pydantic import ConfigDict, create_model

from splitgym.scenario.errors import in_one_line

Record = TypeVar("Record")


def record(kind: type[Record], values: Mapping[str, Any]) -> Record:
    """A dataclass of values from a file.

    Raises:
        ValueError: one is missing, not expected, not finite or of another type; the message is one line that names it.
    """
    hints, listed = get_type_hints(kind, include_extras=True), fields(kind)  # type: ignore[arg-type]
    needed: dict[str, Any] = {
        field.name: (hints[field.name], ... if field.default is MISSING else field.default) for field in listed
    }
    strict = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)
    with in_one_line():
        create_model(kind.__name__, __config__=strict, **needed).model_validate(dict(values))
    return kind(**values)
