"""Cases of a product of choices, without the whole product."""

import random
from collections.abc import Iterable
from typing import Any


def drawn(count: int, *choices: Iterable[Any]) -> list[tuple[Any, ...]]:
    """So many cases, the same ones in every run: each value is in as many of them as every other of its choice, or one
    more; which values meet is drawn. With no fewer cases than a choice has values, every value is there.
    """
    chance, columns = random.Random(0), []
    for values in map(list, choices):
        column = [values[i % len(values)] for i in range(count)]
        chance.shuffle(column)
        columns.append(column)
    return list(dict.fromkeys(zip(*columns, strict=True)))
