"""Elementary functions against numbers of 40 digits, over all arguments that they are for."""

from collections.abc import Callable

import mpmath
import numpy as np
import pytest

from splitgym.kernels import NO_REFCOUNT, kernel
from splitgym.kernels.functions import EXACT_ENOUGH, LARGEST, exp, exp2, ln, ln1p, normal_distribution, turn

mpmath.mp.dps = 40
ALLOWED = 1e-14
SMALLEST, GREATEST = np.finfo(float).tiny, np.finfo(float).max


def some(lowest: float, highest: float, *more: float) -> np.ndarray:
    """Numbers between the two, among them these and both ends with what is next to them."""
    ends = [lowest, np.nextafter(lowest, highest), highest, np.nextafter(highest, lowest), *more]
    beside = [np.nextafter(number, side) for number in more for side in (lowest, highest)]
    return np.concatenate([np.random.default_rng(0).uniform(lowest, highest, 1500), ends, beside])


def scales(lowest: float, highest: float, *more: float) -> np.ndarray:
    """Likewise, of all sizes."""
    sizes = np.exp(np.random.default_rng(1).uniform(np.log(lowest), np.log(highest), 1500))
    return np.concatenate([np.clip(sizes, lowest, highest), some(lowest, min(highest, 4.0), *more), [highest]])


def relative(function: Callable[[float], float], exact: Callable[[float], mpmath.mpf], arguments: np.ndarray) -> float:
    """The largest relative error."""
    return max(
        float(abs((mpmath.mpf(function(x)) - value) / value)) if value else abs(function(x))
        for x in map(float, arguments)
        for value in [exact(mpmath.mpf(x))]
    )


def rises(function: Callable[[float], float], arguments: np.ndarray) -> bool:
    return bool(np.all(np.diff([function(x) for x in np.sort(arguments)]) >= 0))


def test_ln():
    """Around 1, where the logarithm is small, too."""
    little = scales(1e-16, 0.5)
    arguments = np.concatenate([scales(SMALLEST, GREATEST, 1.0, 0.5**0.5, 2.0**0.5, 2.0), 1 + little, 1 - little])
    assert relative(ln, mpmath.log, arguments) < ALLOWED
    assert ln(1.0) == 0.0


def test_ln_of_what_random_numbers_can_be():
    """Uniform ones are odd multiples of 2^-33."""
    words = np.concatenate([np.arange(50), 2**32 - 1 - np.arange(50)])
    assert relative(ln, mpmath.log, (words + 0.5) / 2**32) < ALLOWED
    assert all(ln((word + 0.5) / 2**32) < 0 for word in words)


def test_ln1p():
    assert relative(ln1p, mpmath.log1p, scales(SMALLEST, 1e300, 2.0**0.5 - 1, 1.0, 3.0)) < ALLOWED
    assert [ln1p(0.0), ln1p(1e-300), ln1p(2.0**-60)] == [0.0, 1e-300, 2.0**-60]


def test_exp():
    halves = np.log(2) * (np.arange(-1000, 1001, 50) + 0.5)
    arguments = np.concatenate([some(-LARGEST, LARGEST, 0.0), some(-1.0, 1.0, *halves[np.abs(halves) < 1]), halves])
    assert relative(exp, mpmath.exp, np.concatenate([arguments, scales(1e-300, 1.0)])) < ALLOWED
    assert exp(0.0) == 1.0


@pytest.mark.parametrize("far", [701.0, 1e10, GREATEST])
def test_exp_of_what_is_too_far_is_that_of_the_limit(far):
    assert exp(far) == exp(LARGEST) < np.inf
    assert exp(-far) == exp(-LARGEST) > 0.0


def test_exp2():
    exponents = np.random.default_rng(2).uniform(-1022.0, 1023.0, 3000)
    assert relative(exp2, lambda x: mpmath.power(2, x), exponents) < ALLOWED
    assert [exp2(float(k)) for k in (-1022, -1, 0, 1, 1022)] == [2.0**k for k in (-1022, -1, 0, 1, 1022)]


def test_turn():
    """Absolute errors; also on both sides of eighths of a turn, where another quarter is the nearest."""
    arguments = some(-0.5, 0.5, *np.arange(-3, 4) / 8)
    for x in map(float, arguments):
        cosine, sine = turn(x)
        assert abs(cosine - mpmath.cospi(2 * mpmath.mpf(x))) < 1e-15
        assert abs(sine - mpmath.sinpi(2 * mpmath.mpf(x))) < 1e-15


def test_quarters_of_a_turn_are_exact():
    found = [turn(quarters / 4) for quarters in (-2, -1, 0, 1, 2)]
    assert found == [(-1, 0), (0, -1), (1, 0), (0, 1), (-1, 0)]


def test_normal_distribution():
    """Absolute errors, as its docstring says."""
    arguments = np.concatenate([some(-12.0, 12.0, 0.0, -8 * 2**0.5, 8 * 2**0.5), scales(1e-300, 1.0)])
    errors = [abs(normal_distribution(x) - mpmath.ncdf(mpmath.mpf(x))) for x in map(float, arguments)]
    assert max(errors) < ALLOWED
    assert normal_distribution(0.0) == pytest.approx(0.5, abs=1e-15)


@pytest.mark.parametrize("far", [12.0, 40.0, 1e10, 1e150, GREATEST])
def test_normal_distribution_far_out(far):
    assert 0.0 <= normal_distribution(-far) < 1e-28
    assert normal_distribution(far) == 1.0


def test_both_tails_of_the_normal_distribution_add_up_to_one():
    for x in np.random.default_rng(2).uniform(0.0, 9.0, 300):
        assert normal_distribution(x) + normal_distribution(-x) == pytest.approx(1.0, abs=2e-16)


@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        (ln, scales(SMALLEST, GREATEST)),
        (ln1p, scales(1e-300, GREATEST)),
        (exp, some(-800.0, 800.0)),
        (normal_distribution, some(-14.0, 14.0)),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_larger_arguments_never_give_less(function, arguments):
    """Of numbers that differ by more than rounding."""
    assert rises(function, arguments[::4])


@kernel(NO_REFCOUNT, fastmath=EXACT_ENOUGH)
def _fill(x: np.ndarray, found: np.ndarray) -> None:
    for i in range(x.shape[0]):
        found[0, i], found[1, i], found[2, i] = ln(x[i]), ln1p(x[i]), exp(x[i])
    for i in range(x.shape[0]):
        found[3, i], found[4, i] = turn(x[i] - 0.5)
    for i in range(x.shape[0]):
        found[5, i] = normal_distribution(x[i])


def test_several_numbers_at_once_are_as_good():
    """As loops of kernels work them out, with some left over at the end."""
    x = np.random.default_rng(3).uniform(1e-9, 1.0, 1003)
    found = np.empty((6, len(x)))
    _fill(x, found)
    one_by_one = [[ln(v), ln1p(v), exp(v), *turn(v - 0.5), normal_distribution(v)] for v in map(float, x)]
    np.testing.assert_allclose(found, np.transpose(one_by_one), rtol=1e-14, atol=1e-15)
