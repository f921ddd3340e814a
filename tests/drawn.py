"""Cases of a product of choices, without the whole product."""

import random
from collections.abc import Iterable
from typing import Any


def drawn(count: int, *choices: Iterable[Any]) -> list[tuple[Any, ...]]:
    """So many cases, the same ones in every run: each value is in as many of them as every other of its choice, or one
    more; which values meet is drawn, and what is drawn twice is there once.
    """
    chance, lists, columns = random.Random(0), [list(values) for values in choices], []
    for values in lists:
        column = [i % len(values) for i in range(count)]
        chance.shuffle(column)
        columns.append(column)
    cases = dict.fromkeys(zip(*columns, strict=True))
    return [tuple(values[i] for values, i in zip(lists, case, strict=True)) for case in cases]
