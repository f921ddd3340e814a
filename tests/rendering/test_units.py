import pytest

from splitgym.rendering.units import percent, quantity, ticks


@pytest.mark.parametrize(
    ("value", "unit", "said"),
    [
        (1.31e6, "bit", "1.31 Mbit"),
        (999.6, "bit", "1.00 kbit"),
        (99.96, "J", "100 J"),
        (0.0855, "s", "85.5 ms"),
        (12.34, "s", "12.3 s"),
        (7200.0, "s", "7200 s"),
        (54.2e6, "Hz", "54.2 MHz"),
        (5e9, "Hz", "5.00 GHz"),
        (0.0, "bit", "0 bit"),
        (3.2e-7, "J", "320 nJ"),
        (-2.5, "J", "-2.50 J"),
        (float("inf"), "s", "inf s"),
    ],
)
def test_three_digits_and_a_prefix(value, unit, said):
    assert quantity(value, unit) == said


def test_shares_are_in_percent():
    assert percent(0.8125) == "81.2 %"


@pytest.mark.parametrize(
    ("end", "most", "expected"),
    [
        (1.0, 5, [0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        (4.4, 8, [0, 1, 2, 3, 4]),
        (85.504, 8, [0, 20, 40, 60, 80]),
        (300.0, 5, [0, 100, 200, 300]),
        (0.3, 3, [0, 0.1, 0.2, 0.3]),
    ],
)
def test_ticks_are_round_and_few(end, most, expected):
    assert ticks(end, most) == pytest.approx(expected)
