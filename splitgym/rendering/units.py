"""Quantities as people read them: three digits and a unit."""

import math

_PREFIXES = {-9: "n", -6: "u", -3: "m", 0: "", 3: "k", 6: "M", 9: "G", 12: "T"}


def quantity(value: float, unit: str) -> str:
    """Three significant digits, with an SI prefix: 1.31e6, "bit" is "1.31 Mbit"; hours of seconds stay seconds."""
    if not math.isfinite(value):
        return f"{value} {unit}"
    rounded = abs(float(f"{value:.3g}"))
    power = 3 * math.floor(math.log10(rounded) / 3) if rounded else 0
    power = min(max(power, min(_PREFIXES)), 0 if unit == "s" else max(_PREFIXES))
    scaled = rounded / 10.0**power
    digits = 0 if scaled >= 99.95 or not rounded else 1 if scaled >= 9.995 else 2
    return f"{'-' if value < 0 and rounded else ''}{scaled:.{digits}f} {_PREFIXES[power]}{unit}"


def percent(share: float) -> str:
    """A share of 1 in percent, one digit behind the point."""
    return f"{100 * share:.1f} %"


def ticks(end: float, most: int) -> list[float]:
    """Round values 0, step, 2 step, ... up to `end` > 0: at most so many steps, each 1, 2 or 5 times a power of ten."""
    least = end / most
    power = 10.0 ** math.floor(math.log10(least))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= least * (1 - 1e-9))
    return [number * step for number in range(math.floor(end / step * (1 + 1e-9)) + 1)]
