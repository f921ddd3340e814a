"""What an episode draws for itself: one value for each world from a range of the scenario."""

from math import log

from splitgym.arrays import Floats, Ints
from splitgym.kernels import INLINED, NO_REFCOUNT, kernel
from splitgym.kernels.functions import exp
from splitgym.random import Streams, fill_uniforms


@kernel(INLINED)
def value_between(between: tuple[float, float], chance: float) -> float:
    """Uniform in the range, by a uniform number in (0, 1)."""
    lowest, highest = between
    return lowest + (highest - lowest) * chance


@kernel(INLINED)
def scale_between(between: tuple[float, float], chance: float) -> float:
    """Log-uniform in the range, by a uniform number in (0, 1)."""
    lowest, highest = between
    return min(max(lowest * exp(log(highest / lowest) * chance), lowest), highest)


@kernel(INLINED)
def count_between(between: tuple[int, int], log_uniform: bool, chance: float) -> int:
    """A whole number, uniform or log-uniform in the range, both ends included, by a uniform number in (0, 1)."""
    fewest, most = between
    if log_uniform:
        return min(int(scale_between((float(fewest), most + 1.0), chance)), most)
    return min(fewest + int(chance * (most - fewest + 1)), most)


@kernel(NO_REFCOUNT)
def fill_scales(
    which: Ints, streams: Streams, purpose: int, between: tuple[float, float], scales: Floats, numbers: Floats
) -> None:
    """[W] values of the worlds `which`, log-uniform in the range; [4] workspace."""
    for w, n in enumerate(which):
        fill_uniforms(streams, n, purpose, 1, numbers)
        scales[w] = scale_between(between, numbers[0])
