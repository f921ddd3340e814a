"""What numba knows of types, and what a call of an operator or a function of its own returns, remembered.

numba tries all ways to carry out such a call, one after the other, at each place where it stands.
"""

from functools import cache
from operator import setitem
from typing import Any

from numba.core.targetconfig import ConfigStack
from numba.core.types import Type
from numba.core.typing.context import Context


class _Remembering(Context):
    """The same as another one, whose knowledge it shares, but for what it remembers."""

    def __init__(self, other: Context) -> None:
        self.__dict__ = other.__dict__
        # A function that gets a further implementation becomes another object, so each is kept with what it returned.
        self._remembered: dict[tuple[Any, ...], tuple[Any, Any, Any]] = {}

    def resolve_function_type(self, func: Any, args: Any, kws: Any) -> Any:
        """The signature of a call; implementations depend on how the caller is compiled."""
        function = func if isinstance(func, Type) else self._lookup_global(func)
        implementations = getattr(function, "_impl_keys", None)
        if implementations is None or isinstance(func, str):
            return super().resolve_function_type(func, args, kws)
        call = id(function), tuple(args), tuple(sorted(dict(kws).items())), ConfigStack.top_or_none()
        if call in self._remembered:
            _, signature, implementations[signature.args] = self._remembered[call]
            return signature
        signature = super().resolve_function_type(func, args, kws)
        if signature is not None and signature.args in implementations:
            self._remembered[call] = function, signature, implementations[signature.args]
        return signature

    def resolve_setitem(self, target: Any, index: Any, value: Any) -> Any:
        """The signature of a number's way into an array."""
        return self.resolve_function_type(setitem, (target, index, value), {})


remembering = cache(_Remembering)
"""For each context one that remembers."""
