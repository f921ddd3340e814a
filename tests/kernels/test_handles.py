"""A kernel finds in a handle what was put into it."""

import copy
import pickle
import struct
from typing import Any, NamedTuple

import numpy as np
import pytest
from numba import typeof
from numba.core import config
from numba.core.errors import NumbaError

from splitgym.kernels import COMPILED, NO_REFCOUNT, Handle, kernel

FEW = np.dtype([("count", np.int64), ("on", np.bool_)])


class Switches(NamedTuple):
    """Narrower than a number."""

    first: bool
    second: bool


class Inside(NamedTuple):
    """Starts with what is narrow, in the middle of others."""

    on: bool
    cube: Any
    switches: Switches
    share: float


class All(NamedTuple):
    """One of each kind."""

    on: bool
    inside: Inside
    count: int
    switches: Switches
    rows: Any
    pair: tuple[Any, Any]
    few: Any
    last: bool


def values(rng: np.random.Generator) -> All:
    rows = rng.normal(size=(4, 6))[::2, 1::2]
    inside = Inside(bool(rng.random() < 0.5), rng.integers(9, size=(2, 3, 4)), Switches(False, True), rng.random())
    few = np.zeros(3, FEW)
    few["count"], few["on"] = rng.integers(9, size=3), rng.random(3) < 0.5
    pair = (rng.random(3) < 0.5, np.float64(rng.random()))
    return All(True, inside, int(rng.integers(99)), Switches(True, False), rows, pair, few, bool(rng.random() < 0.5))


def read(handle: Any, found: Any) -> None:
    """Writes all that is held into an array."""
    held = handle.held
    found[0], found[1], found[2] = held.on, held.inside.on, held.inside.switches.first
    found[3], found[4], found[5] = held.inside.switches.second, held.inside.share, held.count
    found[6], found[7], found[8] = held.switches.first, held.switches.second, held.pair[1]
    found[9], n = held.last, 10
    for i in range(held.rows.shape[0]):
        for j in range(held.rows.shape[1]):
            found[n] = held.rows[i, j]
            n += 1
    for i in range(2):
        for j in range(3):
            for k in range(4):
                found[n] = held.inside.cube[i, j, k]
                n += 1
    for i in range(3):
        found[n], found[n + 1], found[n + 2] = held.pair[0][i], held.few[i]["count"], held.few[i]["on"]
        n += 3
    held.rows[0, 0] = 0.5


def expected(held: All) -> list[float]:
    inside = held.inside
    flat: list[Any] = [held.on, inside.on, *inside.switches, inside.share, held.count, *held.switches, held.pair[1]]
    flat += [held.last, *held.rows.ravel(), *inside.cube.ravel()]
    for i in range(3):
        flat += [held.pair[0][i], held.few["count"][i], held.few["on"][i]]
    return [float(one) for one in flat]


@pytest.mark.parametrize("options", [COMPILED, NO_REFCOUNT])
def test_kernel_finds_what_is_held(options: dict[str, Any]) -> None:
    reader = kernel(options)(read)
    for seed in range(3):
        held = values(np.random.default_rng(seed))
        outcome = expected(held)
        found = np.full(len(outcome), np.nan)
        reader(Handle().of(held), found)
        np.testing.assert_array_equal(found, outcome)
        assert held.rows[0, 0] == 0.5, "an array is copied instead of shared"


def test_handle_keeps_what_it_holds() -> None:
    handle, (first, second) = Handle(), ((np.zeros(3),), (np.ones(3),))
    of_first = handle.of(first)
    assert handle.of(first) is of_first
    assert handle.of(second) is not of_first
    for other in (copy.deepcopy(handle), pickle.loads(pickle.dumps(handle))):
        assert other.of(second) is not handle.of(second)


@pytest.mark.skipif(config.DISABLE_JIT, reason="numbers have no numba types")
def test_handle_has_the_types_of_what_it_holds() -> None:
    square = np.arange(16.0).reshape(4, 4)
    for_reading = square.copy()
    for_reading.setflags(write=False)
    arrays = [square, square.T, square[:, 1:3], square[0], square[:0], square.astype(np.float32), for_reading]
    parts = [*arrays, square.view(np.int64), 1, 1.0, True, np.bool_(False), np.float64(0.5)]
    rng = np.random.default_rng(0)
    for _ in range(200):
        some = tuple(parts[k] for k in rng.integers(len(parts), size=rng.integers(1, 4)))
        held = some if rng.random() < 0.5 else (some, *some)
        boxed = Handle().of(held)
        assert boxed._numba_type_.held == typeof(held)
        assert boxed._numba_type_ is Handle().of(held)._numba_type_


@pytest.mark.skipif(config.DISABLE_JIT, reason="nothing is laid out in memory")
@pytest.mark.parametrize("other", [None, np.float32(1.0), np.zeros(3, ">f8"), np.ma.zeros(3), 2**64])
def test_what_a_handle_refuses_is_refused_also_beside_what_it_knows(other: Any) -> None:
    known = np.zeros(3), 1.0, 1
    Handle().of(known)
    for place in range(3):
        for _ in range(2):
            with pytest.raises((TypeError, ValueError, NumbaError, struct.error)):
                Handle().of((*known[:place], other, *known[place + 1 :]))


@pytest.mark.skipif(config.DISABLE_JIT, reason="nothing is laid out in memory")
def test_handle_of_something_else_is_refused() -> None:
    with pytest.raises(TypeError, match=r"handle of str, allowed: arrays, bool, int, float and tuples of these"):
        Handle().of((np.zeros(3), "text"))
