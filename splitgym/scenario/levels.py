"""What a client computes with: bits of its numbers, and a fraction of the channels of its layers."""

import re
from math import ceil
from typing import NamedTuple, Self

from splitgym.scenario.quantities import FULL_BITS, MOST_BITS

NARROW = re.compile(r"(\d{1,2})x(0?\.\d{1,6})")
"""Bits and width of a level with fewer channels, as a scenario says them: "8x0.5"."""
ALLOWED = f'2 to {MOST_BITS}, and {FULL_BITS}; with a fraction of the channels "BITSxFRACTION", such as "32x0.5"'


class Level(NamedTuple):
    """Numbers of so many bits, in the first channels of each layer."""

    bits: int = FULL_BITS
    width: float = 1.0
    """Fraction of the channels of each layer."""

    @classmethod
    def read(cls, said: int | str) -> Self:
        """What an entry of `plan.precisions` says.

        Raises:
            ValueError: it says none.
        """
        found = NARROW.fullmatch(said) if isinstance(said, str) else None
        level = cls(int(found[1]), float(found[2])) if found else cls(said if isinstance(said, int) else 0)
        if not (2 <= level.bits <= MOST_BITS or level.bits == FULL_BITS) or level.width == 0.0:
            raise ValueError(f"precisions: {said!r}, allowed: {ALLOWED}")
        return level

    @property
    def full(self) -> bool:
        """Whether it is float32 in all channels."""
        return self == type(self)()

    @property
    def words(self) -> str:
        """For readers."""
        return f"{self.bits} bit" + (f", {100 * self.width:g} % of the channels" if self.width < 1 else "")


def kept(channels: int, width: float) -> int:
    """How many of the channels of a layer are the first ones that such a width keeps.

    The product is rounded to nine decimals first, so that 0.28 of 25 are 7 and not 8.
    """
    return ceil(round(width * channels, 9))
