import pytest
from hypothesis import given
from hypothesis import strategies as st

from splitgym.execution.pacing import LARGEST_PIECE, SMALLEST_PIECE, TokenBucket, bucket, pieces

RATES = st.floats(1.0, 1e9)


@given(RATES, st.lists(st.integers(1, 10_000), min_size=1, max_size=30))
def test_who_waits_as_told_is_done_after_all_bytes_over_the_rate(rate, sizes):
    tokens, now_s = TokenBucket(rate, 1e5, 3.0), 3.0
    for size in sizes:
        now_s += tokens.take(size, now_s)
    assert now_s - 3.0 == pytest.approx(sum(sizes) / rate, rel=1e-6)


@given(RATES, st.lists(st.tuples(st.integers(1, 1000), st.floats(0.0, 10.0)), min_size=1, max_size=30))
def test_never_more_than_the_rate_has_gone_by_any_time(rate, sent):
    tokens, now_s, gone = TokenBucket(rate, 5000.0, 0.0), 0.0, 0
    for size, late_s in sent:
        now_s += tokens.take(size, now_s) + late_s
        gone += size
        assert gone <= rate * now_s * (1 + 1e-9) + 1e-3


@given(st.floats(1e4, 1e8), st.lists(st.floats(0.0, 0.02), min_size=20, max_size=60))
def test_who_is_woken_late_catches_up_within_the_depth(rate, late):
    tokens, now_s, size = bucket(rate, 0.0), 0.0, int(rate * 0.03)
    for late_s in late:
        now_s += tokens.take(size, now_s) + late_s
    assert now_s == pytest.approx(len(late) * size / rate + late[-1], rel=1e-9, abs=max(late))


def test_no_more_is_caught_up_than_the_depth():
    tokens = TokenBucket(100.0, 50.0, 0.0)
    assert tokens.take(50, 1000.0) == 0.0
    assert tokens.take(50, 1000.0) == pytest.approx(0.5)


@given(st.lists(st.tuples(RATES, st.floats(0.0, 3.0)), min_size=1, max_size=20), RATES)
def test_a_rate_that_changes_lets_through_what_all_of_them_add_up_to(changes, last):
    tokens, now_s, allowed = TokenBucket(0.0, 0.0, 0.0), 0.0, 0.0
    size = 1 + int(sum(rate * seconds for rate, seconds in changes))  # More than there are tokens for until the end.
    tokens.take(size, now_s)
    for rate, seconds in changes:
        tokens.set_rate(rate, 1e12, now_s)
        now_s, allowed = now_s + seconds, allowed + rate * seconds
    tokens.set_rate(last, 1e12, now_s)
    assert tokens.short_s(now_s) == pytest.approx((size - allowed) / last, rel=1e-6, abs=1e-6 * size / last)


def test_at_a_rate_of_nothing_the_wait_has_no_end():
    assert TokenBucket(0.0, 10.0, 0.0).take(1, 5.0) == float("inf")


@given(st.binary(max_size=300_000), st.floats(0.0, 1e9))
def test_pieces_are_the_bytes_in_their_order(data, rate):
    found = list(pieces(memoryview(data), bucket(rate, 0.0)))
    assert b"".join(found) == data
    assert all(SMALLEST_PIECE <= len(piece) <= LARGEST_PIECE for piece in found[:-1])
