"""How an environment was made, in values that JSON knows."""

from collections.abc import Mapping
from copy import copy
from enum import Enum
from typing import Any

import numpy as np
from gymnasium.envs.registration import EnvSpec

from splitgym.scenario import Section


class JsonableSpec:
    """An environment whose `spec` can be written by `EnvSpec.to_json`, whatever it was made of."""

    @property
    def spec(self) -> EnvSpec | None:
        """How the environment was made, in values that `EnvSpec.to_json` can write."""
        return self._spec

    @spec.setter
    def spec(self, spec: EnvSpec | None) -> None:
        if spec is not None:
            spec = copy(spec)
            spec.kwargs = {name: jsonable(value) for name, value in spec.kwargs.items()}
        self._spec = spec

    _spec: EnvSpec | None = None


def jsonable(argument: Any) -> Any:
    """The argument in values that JSON knows; what has no other form becomes its name."""
    if isinstance(argument, Section):
        return argument.model_dump(mode="json")
    if isinstance(argument, Mapping):
        return {str(name): jsonable(value) for name, value in argument.items()}
    if isinstance(argument, list | tuple):
        return [jsonable(value) for value in argument]
    if isinstance(argument, Enum):
        return jsonable(argument.value)
    if isinstance(argument, np.ndarray | np.generic):
        return argument.tolist()
    return argument if isinstance(argument, str | int | float | None) else str(argument)
