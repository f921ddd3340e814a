"""Interquartile means, intervals and comparisons, against hand-computed numbers, brute force and SciPy."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from splitgym.evaluation.statistics import (
    Bootstrap,
    difference,
    headroom_closed,
    interquartile_mean,
    is_lower_bound,
    probability_of_improvement,
    profile,
    ratio,
    saving,
    share_faster,
)

TIMES = st.lists(st.floats(0.1, 100.0), min_size=1, max_size=12).map(np.array)
PAIRS = st.integers(1, 9).flatmap(
    lambda n: st.tuples(*[st.lists(st.integers(1, 6).map(float), min_size=n, max_size=n).map(np.array)] * 2)
)


def test_interquartile_mean_by_hand():
    # Of eight values the least two and the greatest two go.
    assert interquartile_mean([np.array([100.0, 1, 2, 3, 4, 5, 6, 0])]) == (2 + 3 + 4 + 5) / 4
    # Of five, of two strata together, one goes at either end.
    assert interquartile_mean([np.array([9.0, 1]), np.array([2.0, 3, 7])]) == (2 + 3 + 7) / 3
    # Of three none.
    assert interquartile_mean([np.array([1.0, 2, 6])]) == 3


@given(TIMES, st.floats(0.1, 10.0))
def test_interquartile_mean_lies_between_the_quartiles_and_scales(times, factor):
    mean = float(interquartile_mean([times]))
    trimmed = int(len(times) / 4)
    kept = np.sort(times)[trimmed : len(times) - trimmed]
    assert kept[0] - 1e-9 <= mean <= kept[-1] + 1e-9
    assert interquartile_mean([factor * times]) == pytest.approx(factor * mean)


def test_leading_axes_are_kept():
    times = np.random.default_rng(0).exponential(size=(3, 2, 9))
    means = interquartile_mean([times])
    assert means.shape == (3, 2)
    assert means[2, 1] == interquartile_mean([times[2, 1]])
    for statistic in (saving, probability_of_improvement, difference, ratio, share_faster):
        many = statistic([times], [times[:, ::-1]])
        assert many.shape == (3, 2)
        assert many[2, 1] == pytest.approx(float(statistic([times[2, 1]], [times[2, 0]])))


# Bounds ------------------------------------------------------------------------------------------------------------


def test_missed_episodes_make_a_bound_once_they_are_more_than_the_slowest_quarter():
    two, three = np.array([1.0, 2, 3, 4, 5, 6, 20, 20]), np.array([1.0, 2, 3, 4, 5, 20, 20, 20])
    assert not is_lower_bound([two], [two == 20])
    assert is_lower_bound([three], [three == 20])


@given(TIMES, st.data())
def test_what_is_no_bound_does_not_move_with_the_missed_times(times, data):
    """Checked by letting the missed episodes go on."""
    budget = times.max()
    missed = np.array(data.draw(st.lists(st.booleans(), min_size=len(times), max_size=len(times))))
    counted = np.where(missed, budget, times)
    later = np.where(missed, 10 * budget, times)
    moves = interquartile_mean([later]) != pytest.approx(float(interquartile_mean([counted])))
    assert is_lower_bound([counted], [missed]) == moves


# Savings -----------------------------------------------------------------------------------------------------------


def test_saving_by_hand():
    agent, baseline = np.array([2.0, 4, 6]), np.array([10.0, 20, 0.6 * 50])
    assert saving([agent], [baseline]) == pytest.approx(1 - 4 / 20)
    assert saving([baseline], [baseline]) == 0


def test_saving_over_scenarios_counts_in_units_of_the_baseline():
    """By hand: units 20 and 2; the agent needs 0.5, 0.5, 0.5 and 2, 2 of them; of five one goes at either end."""
    agent = [np.array([10.0, 10, 10]), np.array([4.0, 4])]
    baseline = [np.array([20.0, 20, 20]), np.array([2.0, 2])]
    assert saving(agent, baseline) == pytest.approx(1 - (0.5 + 0.5 + 2) / 3)


@given(PAIRS, st.floats(0.01, 100.0))
def test_saving_does_not_depend_on_the_unit_of_a_scenario(pair, factor):
    agent, baseline = pair
    one = saving([agent, agent], [baseline, baseline])
    other = saving([agent, factor * agent], [baseline, factor * baseline])
    assert other == pytest.approx(float(one))


def test_headroom_closed_by_hand():
    agent, baseline, reference = (np.array([value] * 4) for value in (70.0, 100.0, 40.0))
    assert headroom_closed([agent], [baseline], [reference]) == pytest.approx((100 - 70) / (100 - 40))
    assert headroom_closed([reference], [baseline], [reference]) == 1
    assert headroom_closed([baseline], [baseline], [reference]) == 0


def test_there_is_no_headroom_where_the_reference_is_no_better():
    agent, baseline = [np.array([1.0, 2])], [np.array([3.0, 4])]
    assert np.isnan(headroom_closed(agent, baseline, baseline))


@given(PAIRS)
def test_probability_of_improvement_is_that_of_all_pairs(pair):
    agent, baseline = pair
    wins = [1.0 if a < b else 0.5 if a == b else 0.0 for a, b in product(agent, baseline)]
    assert probability_of_improvement([agent], [baseline]) == pytest.approx(np.mean(wins))
    other = np.array([1.0] * 3), np.array([2.0, 0.5, 1.0])  # one pair in three each
    both = probability_of_improvement([agent, other[0]], [baseline, other[1]])
    assert both == pytest.approx((np.mean(wins) + 0.5) / 2)


def test_comparisons_of_the_same_episodes_by_hand():
    agent, baseline = [np.array([1.0, 4, 6])], [np.array([2.0, 4, 3])]
    assert difference(agent, baseline) == pytest.approx((1 + 0 - 3) / 3)
    assert ratio(agent, baseline) == pytest.approx((0.5 + 1 + 2) / 3)
    assert share_faster(agent, baseline) == (1 + 0.5) / 3


def test_profile_by_hand():
    grid = np.array([0.0, 1, 2.5, 10])
    assert profile([np.array([1.0, 2]), np.array([3.0, np.inf])], grid).tolist() == [0, 0.25, 0.5, 0.75]


# Intervals ---------------------------------------------------------------------------------------------------------


def test_equal_differences_have_an_interval_of_no_width():
    baseline = np.random.default_rng(0).exponential(10, 30)
    bootstrap = Bootstrap([30], 1)
    assert bootstrap.estimate(difference, [baseline - 2], [baseline]) == pytest.approx((2, 2, 2))
    assert bootstrap.estimate(saving, [0.7 * baseline], [baseline]) == pytest.approx((0.3, 0.3, 0.3))
    assert bootstrap.estimate(share_faster, [baseline - 1], [baseline]) == (1, 1, 1)


def test_same_seed_same_interval():
    sample = [np.random.default_rng(0).exponential(10, 30), np.random.default_rng(1).exponential(10, 20)]
    first, again, other = (Bootstrap([30, 20], seed).estimate(interquartile_mean, sample) for seed in (1, 1, 2))
    assert first == again
    assert first != other
    assert first.value == other.value


def test_a_single_episode_has_no_interval():
    estimate = Bootstrap([1], 0).estimate(interquartile_mean, [np.array([3.0])])
    assert estimate.value == 3
    assert np.isnan([estimate.low, estimate.high]).all()


def test_resampling_is_stratified():
    """Strata without spread have an interval of no width, however far they are apart."""
    sample = [np.full(4, 1.0), np.full(4, 100.0)]
    assert Bootstrap([4, 4], 0).estimate(interquartile_mean, sample) == (50.5, 50.5, 50.5)


def test_interval_is_that_of_scipy():
    """Both are drawn at random: ends agree to a few percent of the width."""
    rng = np.random.default_rng(3)
    baseline = rng.exponential(10, 60)
    agent = 0.8 * baseline + rng.exponential(1, 60)

    def statistic(a, b, axis):
        return 1 - stats.trim_mean(a, 0.25, axis=axis) / stats.trim_mean(b, 0.25, axis=axis)

    theirs = stats.bootstrap((agent, baseline), statistic, paired=True, method="percentile", rng=4, vectorized=True)
    ours = Bootstrap([60], 5).estimate(saving, [agent], [baseline])
    low, high = theirs.confidence_interval
    assert ours.low == pytest.approx(low, abs=0.1 * (high - low))
    assert ours.high == pytest.approx(high, abs=0.1 * (high - low))


@pytest.mark.parametrize("episodes", [5, 20])
def test_intervals_hold_the_true_mean_about_as_often_as_they_say(episodes):
    rng = np.random.default_rng(7)
    held = 0
    for seed in range(300):
        low, high = Bootstrap([episodes], seed).interval(interquartile_mean, [rng.normal(3, 1, episodes)])
        held += low <= 3 <= high
    # Of 300 that hold with probability 0.95, and a little less with five episodes.
    assert 0.89 < held / 300 < 0.99
