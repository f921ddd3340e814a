"""What a kernel computes does not depend on which of its callers was compiled first."""

from splitgym.kernels import COMPILED, NO_REFCOUNT, kernel

LARGE = 1e17
"""To it a 1 can be added without a change."""


@kernel(NO_REFCOUNT)
def what_is_left(x: float) -> float:
    return (x + 1.0) - x


@kernel(COMPILED, fastmath=True)
def regrouping(x: float) -> float:
    return what_is_left(x)


@kernel(COMPILED)
def in_order(x: float) -> float:
    return what_is_left(x)


def test_a_caller_that_may_regroup_sums_lends_that_to_nobody():
    assert regrouping(LARGE) == 0.0
    assert in_order(LARGE) == 0.0
