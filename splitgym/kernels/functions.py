"""Elementary functions of float64 that the compiler works out for several numbers at once.

Those of the C library are called number by number, which takes several times as long. Errors are below 1e-14: relative,
of the distribution function absolute. Arguments are finite.
"""

import numpy as np

from splitgym.kernels.compilation import INLINED, kernel

EXACT_ENOUGH = {"nsz", "contract"}
"""What the compiler may do to arithmetic: not regroup it, for that would lose the small parts of constants."""

LN2 = 0.6931471805599453
LN2_HIGH, LN2_LOW = 6.93145751953125e-1, 1.42860682030941723212e-6
"""Their sum is ln 2; a product of the first with a small whole number is exact."""
NEPERS_PER_DB = 0.23025850929940458
"""10^(x / 10) is exp of this times x."""
LARGEST = 700.0
"""exp of this is finite; arguments further from 0 are taken as this."""

_ROOT_HALF = np.int64(0x3FE6A09E667F3BCD)
"""Bits of sqrt(1/2)."""
_MANTISSA, _BIAS = np.int64(52), np.int64(1023)


@kernel(INLINED, fastmath=EXACT_ENOUGH)
def ln(x: float) -> float:
    """Natural logarithm of a normal number above 0: 2 artanh(s) with x = 2^e m, s = (m - 1) / (m + 1)."""
    bits = np.float64(x).view(np.int64)
    exponent = (bits - _ROOT_HALF) >> _MANTISSA
    m = np.int64(bits - (exponent << _MANTISSA)).view(np.float64)
    return np.float64(exponent) * LN2 + _twice_artanh((m - 1.0) / (m + 1.0))


@kernel(INLINED, fastmath=EXACT_ENOUGH)
def ln1p(x: float) -> float:
    """ln(1 + x) of x >= 0, exact for the smallest, too."""
    bits = np.float64(1.0 + x).view(np.int64)
    exponent = (bits - _ROOT_HALF) >> _MANTISSA
    m = np.int64(bits - (exponent << _MANTISSA)).view(np.float64)
    above_one = x if exponent == 0 else m - 1.0
    return np.float64(exponent) * LN2 + _twice_artanh(above_one / (m + 1.0))


@kernel(INLINED, fastmath=EXACT_ENOUGH)
def _twice_artanh(s: float) -> float:
    """2 artanh(s), |s| < 0.172, by its series."""
    z = s * s
    p = 1 / 15 + z * (1 / 17 + z * (1 / 19 + z * (1 / 21)))
    p = 1 / 7 + z * (1 / 9 + z * (1 / 11 + z * (1 / 13 + z * p)))
    return 2.0 * s * (1.0 + z * (1 / 3 + z * (1 / 5 + z * p)))


@kernel(INLINED, fastmath=EXACT_ENOUGH)
def exp(x: float) -> float:
    """The exponential function: 2^k times that of r, |r| <= ln(2) / 2, by its series."""
    x = min(max(x, -LARGEST), LARGEST)
    k = np.rint(x / LN2)
    r = (x - k * LN2_HIGH) - k * LN2_LOW
    p = 1 / 39916800 + r * (1 / 479001600 + r * (1 / 6227020800))
    p = 1 / 40320 + r * (1 / 362880 + r * (1 / 3628800 + r * p))
    p = 1 / 120 + r * (1 / 720 + r * (1 / 5040 + r * p))
    p = 1.0 + r * (1.0 + r * (1 / 2 + r * (1 / 6 + r * (1 / 24 + r * p))))
    return p * np.int64((np.int64(k) + _BIAS) << _MANTISSA).view(np.float64)


@kernel(INLINED, fastmath=EXACT_ENOUGH)
def power(x: float, exponent: float) -> float:
    """x^exponent, x >= 0; its relative error grows with |exponent ln x|."""
    return exp(exponent * ln(max(x, 1e-300)))


@kernel(INLINED, fastmath=EXACT_ENOUGH)
def exp2(x: float) -> float:
    """2^x, -1022 <= x < 1023: 2^k exp((x - k) ln 2), |x - k| <= 1/2."""
    k = np.rint(x)
    return exp((x - k) * LN2) * np.int64((np.int64(k) + _BIAS) << _MANTISSA).view(np.float64)


@kernel(INLINED, fastmath=EXACT_ENOUGH)
def turn(v: float) -> tuple[float, float]:
    """Cosine and sine of 2 pi v, -1/2 <= v <= 1/2, by their series around the nearest quarter of the circle."""
    quarter = np.rint(4.0 * v)
    x = 2.0 * np.pi * (v - 0.25 * quarter)
    z = x * x
    c = 1 / 479001600 - z * (1 / 87178291200 - z * (1 / 20922789888000))
    c = 1.0 - z * (1 / 2 - z * (1 / 24 - z * (1 / 720 - z * (1 / 40320 - z * (1 / 3628800 - z * c)))))
    s = 1 / 6227020800 - z * (1 / 1307674368000 - z * (1 / 355687428096000))
    s = x * (1.0 - z * (1 / 6 - z * (1 / 120 - z * (1 / 5040 - z * (1 / 362880 - z * (1 / 39916800 - z * s))))))
    along = abs(quarter) == 1.0
    cosine, sine = (s if along else c), (c if along else s)
    # At quarters -2, -1, 0, 1, 2: (-c, -s), (s, -c), (c, s), (-s, c), (-c, -s).
    return (
        -cosine if quarter == 1.0 or abs(quarter) == 2.0 else cosine,
        -sine if quarter == -1.0 or abs(quarter) == 2.0 else sine,
    )


_SCALED_TAIL = (
    0.17556734701445256,
    0.21335553668715504,
    0.09259766691063451,
    0.020245824902691723,
    -0.0007167150394381817,
    -0.0011799623681588971,
    6.183077298511148e-05,
    8.787313897679198e-05,
    -1.6388093587681455e-05,
    -5.557209526353765e-06,
    2.8407337488610376e-06,
    -9.564803967948262e-08,
    -2.9837862804583994e-07,
    1.0389396764180817e-07,
    3.5855391044596265e-09,
    -1.5897627523409347e-08,
    4.666749825383489e-09,
    9.503406451834917e-10,
    -6.222359301869428e-10,
)
"""Chebyshev series of exp(z^2) erfc(z) / 2 in y, 2 / (2 + z) = 0.6 + 0.4 y, 0 <= z <= 8, by powers of y."""


@kernel(INLINED, fastmath=EXACT_ENOUGH)
def normal_distribution(x: float) -> float:
    """Probability that a standard normal number is at most x."""
    z = min(abs(x) / 1.4142135623730951, 8.0)
    y = (2.0 / (2.0 + z) - 0.6) / 0.4
    c = _SCALED_TAIL
    p = c[15] + y * (c[16] + y * (c[17] + y * c[18]))
    p = c[10] + y * (c[11] + y * (c[12] + y * (c[13] + y * (c[14] + y * p))))
    p = c[5] + y * (c[6] + y * (c[7] + y * (c[8] + y * (c[9] + y * p))))
    p = c[0] + y * (c[1] + y * (c[2] + y * (c[3] + y * (c[4] + y * p))))
    tail = p * exp(-z * z)
    return tail if x < 0.0 else 1.0 - tail
