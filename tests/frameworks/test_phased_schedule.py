"""EPSL-PT: when it prescribes aggregation and when no more."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from splitgym.frameworks.epsl_pt import prescribe
from splitgym.scenario import Training

LOSSES = st.lists(st.floats(0.01, 3.0), max_size=40)


def until_still(rounds: int) -> Training:
    return Training(plateau_rounds=rounds)


@pytest.mark.parametrize("switch", [0, 1, 3])
def test_given_a_round_it_switches_there_whatever_the_losses(switch: int) -> None:
    training = Training(switch_round=switch, plateau_rounds=1)
    for losses in ([1.0] * 6, [2.0**-k for k in range(6)]):
        assert [prescribe(losses[:k], training) for k in range(6)] == [1.0] * switch + [0.0] * (6 - switch)


@pytest.mark.parametrize("rounds", [1, 2, 5])
def test_a_loss_that_stands_still_is_noticed_as_soon_as_it_can_be(rounds: int) -> None:
    prescribed = [prescribe([1.3] * k, until_still(rounds)) for k in range(2 * rounds + 4)]
    assert prescribed == [1.0] * 2 * rounds + [0.0] * 4


@pytest.mark.parametrize(("factor", "phi"), [(0.97, 1.0), (0.9999, 0.0), (1.02, 0.0)])
def test_what_counts_is_the_relative_decrease(factor: float, phi: float) -> None:
    for scale in (1e-3, 1.0, 1e3):
        assert prescribe([scale * factor**k for k in range(30)], until_still(1)) == phi


def test_the_decrease_is_that_over_the_window_not_over_a_round() -> None:
    losses = [0.995**k for k in range(60)]
    assert prescribe(losses, until_still(1)) == 0
    assert prescribe(losses, until_still(5)) == 1


@given(losses=LOSSES, rounds=st.integers(1, 6))
def test_it_is_the_comparison_of_neighbouring_means_so_far(losses: list[float], rounds: int) -> None:
    still = False
    for end in range(2 * rounds, len(losses) + 1):
        late, early = np.mean(losses[end - rounds : end]), np.mean(losses[end - 2 * rounds : end - rounds])
        assume(abs(late - 0.99 * early) > 1e-9)
        still |= bool(late > 0.99 * early)
    assert prescribe(losses, until_still(rounds)) == float(not still)


@given(losses=LOSSES, more=LOSSES, rounds=st.integers(1, 6), switch=st.none() | st.integers(0, 20))
def test_once_switched_it_stays_switched(
    losses: list[float], more: list[float], rounds: int, switch: int | None
) -> None:
    training = Training(plateau_rounds=rounds, switch_round=switch)
    before, after = prescribe(losses, training), prescribe(losses + more, training)
    assert {before, after} <= {0.0, 1.0}
    assert after <= before
