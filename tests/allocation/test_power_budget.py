"""Powers brought back into the budgets."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_cells import cell, spent_w, with_total

from splitgym.allocation import project_power
from splitgym.scenario import Scenario
from splitgym.types import Decision, RoundState

SCENARIO, STATE = cell(0, 3, 5)
P_MAX, HZ = SCENARIO.radio.client_power_max_w, SCENARIO.radio.subchannel_hz


def random_case(seed: int, highest: float, total_share: float) -> tuple[Scenario, RoundState, Decision]:
    rng = np.random.default_rng(seed)
    scenario, state = cell(seed, 3, 5)
    state = with_total(scenario, state, total_share * P_MAX)
    psd = P_MAX / HZ * highest * rng.random(5) * (rng.random(5) < 0.8)
    return scenario, state, Decision(1, rng.integers(-1, 3, 5), psd, rng.random(3) < 0.8, 0.5)


@given(seed=st.integers(0, 2**32 - 1), highest=st.floats(0, 1e6), total_share=st.floats(0.01, 4))
@settings(max_examples=100, deadline=None)
def test_budgets_hold_afterwards_and_a_second_time_changes_nothing(
    seed: int, highest: float, total_share: float
) -> None:
    scenario, state, decision = random_case(seed, highest, total_share)
    asked = decision.power_w_per_hz.copy()
    projected, broken = project_power(decision, state)
    power = spent_w(scenario, projected, 3)
    assert np.all(power <= P_MAX * (1 + 2e-9))
    assert power.sum() <= total_share * P_MAX * (1 + 2e-9)
    assert np.all(projected.power_w_per_hz >= 0)
    assert np.all(projected.power_w_per_hz <= asked)
    np.testing.assert_array_equal(decision.power_w_per_hz, asked)
    again, broken_again = project_power(projected, state)
    assert not broken_again
    np.testing.assert_array_equal(again.power_w_per_hz, projected.power_w_per_hz)
    counted = np.where(decision.selected, spent_w(scenario, decision, 3), 0.0)
    assert broken == bool(np.any(counted > P_MAX * (1 + 1e-9)) or _total_over(counted, total_share))


def _total_over(counted: np.ndarray, total_share: float) -> bool:
    return np.minimum(counted, P_MAX).sum() > total_share * P_MAX * (1 + 1e-9)


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=50, deadline=None)
def test_powers_within_the_budgets_stay_as_they_are_to_the_bit(seed: int) -> None:
    _, state, decision = random_case(seed, highest=1 / 5, total_share=3)
    decision = replace(decision, selected=np.ones(3, bool))
    used = np.where(decision.assignment >= 0, decision.power_w_per_hz, 0.0)
    projected, broken = project_power(decision, state)
    assert broken is False
    np.testing.assert_array_equal(projected.power_w_per_hz, used)


def test_shares_between_subchannels_are_kept() -> None:
    """Client 0 asks for 4 p_max, client 1 for half of p_max; then both share p_th = p_max."""
    psd = P_MAX / HZ * np.array([1.0, 3.0, 0.5, 9.0, 9.0])
    decision = Decision(1, np.array([0, 0, 1, 2, -1]), psd, np.array([True, True, False]), 0.0)
    projected, broken = project_power(decision, with_total(SCENARIO, STATE, 3 * P_MAX))
    assert broken is True
    np.testing.assert_allclose(projected.power_w_per_hz * HZ / P_MAX, [0.25, 0.75, 0.5, 0, 0], rtol=1e-12)
    projected, broken = project_power(decision, with_total(SCENARIO, STATE, P_MAX))
    assert broken is True
    np.testing.assert_allclose(projected.power_w_per_hz * HZ / P_MAX, [1 / 6, 0.5, 1 / 3, 0, 0], rtol=1e-12)


def test_the_outsiders_power_breaks_no_budget() -> None:
    psd = np.full(5, 100 * P_MAX / HZ)
    decision = Decision(1, np.array([0, 1, 2, -1, 0]), psd, np.zeros(3, bool), 0.0)
    projected, broken = project_power(decision, STATE)
    assert broken is False
    assert not projected.power_w_per_hz.any()


@pytest.mark.parametrize("share", [1.0, 1 + 1e-12])
def test_a_budget_spent_to_the_last_bit_is_not_broken(share: float) -> None:
    psd = np.full(5, share * P_MAX / HZ)
    decision = Decision(1, np.array([0, 1, 2, -1, -1]), psd, np.ones(3, bool), 0.0)
    assert project_power(decision, with_total(SCENARIO, STATE, 3 * P_MAX))[1] is False


@given(seed=st.integers(0, 2**32 - 1), framework=st.sampled_from(["sl", "cpsl"]))
@settings(max_examples=60, deadline=None)
def test_slots_keep_the_budgets_each_by_itself(seed: int, framework: str) -> None:
    """A slot's row comes out as the row alone does when the slot's members are all who is selected."""
    rng = np.random.default_rng(seed)
    scenario, state = cell(seed, 3, 5, framework=framework)
    state = with_total(scenario, state, rng.uniform(0.3, 2) * P_MAX)
    psd = P_MAX / HZ * rng.random((3, 5))
    cluster = np.arange(3) if framework == "sl" else rng.integers(0, 3, 3)
    decision = Decision(1, rng.integers(-1, 3, (3, 5)), psd, rng.random(3) < 0.8, 0.0, cluster)
    projected, broken = project_power(decision, state)
    assert projected.power_w_per_hz.shape == (3, 5)
    alone = []
    for t in range(3):
        members = decision.selected & (cluster == t)
        row = replace(decision, assignment=decision.assignment[t], power_w_per_hz=psd[t], selected=members)
        alone.append(project_power(row, state))
        np.testing.assert_array_equal(projected.power_w_per_hz[t], alone[t][0].power_w_per_hz)
    assert broken == any(each for _, each in alone)


@pytest.mark.parametrize("framework", ["epsl", "sl", "cpsl"])
def test_worlds_of_a_batch_are_those_by_themselves_to_the_bit(framework: str) -> None:
    """With bandwidths of their own; some break the budgets."""
    rng = np.random.default_rng(3)
    _, state = cell(0, 3, 5, framework=framework)
    state = replace(with_total(SCENARIO, state, 2 * P_MAX).repeat(20), subchannel_hz=HZ * rng.uniform(0.5, 2, (20, 5)))
    shape = (20, 5) if framework == "epsl" else (20, 3, 5)
    psd = P_MAX / HZ * rng.random(shape) * rng.choice([0.2, 2.0], 20).reshape(20, *[1] * (len(shape) - 1))
    cluster = rng.integers(0, 3, (20, 3))
    decision = Decision(np.ones(20, int), rng.integers(-1, 3, shape), psd, rng.random((20, 3)) < 0.8, 0.0, cluster)
    decision = replace(decision, aggregation_ratio=np.zeros(20))
    together, broken = project_power(decision, state)
    assert 0 < broken.sum() < 20
    for n in range(20):
        alone, broken_alone = project_power(decision.world(n), state.world(n))
        np.testing.assert_array_equal(together.power_w_per_hz[n], alone.power_w_per_hz)
        assert broken[n] == broken_alone
