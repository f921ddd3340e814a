"""What is lent at a moment."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from splitgym.timing.cell import Spectrum
from splitgym.timing.dynamic_sharing import Loans, band_as_decided, lend

SEEDS = st.integers(0, 2**32 - 1)


def lent(
    gain: object,
    owner: object,
    psd: object,
    sends: object,
    receives: object,
    left: object,
    client_max_w: float = 1.0,
    total_max_w: float = 2.0,
) -> Loans:
    """Subchannels of 1 Hz, N0 = 1 W/Hz, and 1 W/Hz from the base station."""
    gain, sends = np.asarray(gain, float), np.asarray(sends, bool)
    clients, subchannels = gain.shape
    spectrum = Spectrum(np.ones(subchannels), 1.0, 1.0, client_max_w, total_max_w)
    band = band_as_decided(gain, np.asarray(owner), np.asarray(psd, float), np.ones(clients, bool), spectrum)
    loans = Loans(np.full(subchannels, -7), np.full(subchannels, np.nan), np.full(clients, np.nan))
    lend(band, sends, np.asarray(receives, bool), np.asarray(left, float), spectrum, loans)
    return loans


def test_an_idle_subchannel_goes_to_who_would_end_last() -> None:
    """Both receive 1 bit/s on their own. Client 1 has more left: it gets the idle one, and would then end first."""
    gain = np.ones((3, 4))
    loans = lent(gain, [0, 1, 2, -1], np.ones(4), [0, 0, 0], [1, 1, 0], [3, 4, 0])
    assert loans.holder[:2].tolist() == [0, 1]
    assert loans.rate.tolist() == [2, 2, 0]  # the second idle one goes to client 0, whose 3 s are then the longest
    assert sorted(loans.holder[2:].tolist()) == [0, 1]


def test_the_best_idle_subchannel_is_lent() -> None:
    loans = lent([[1, 1, 3], [1, 1, 1]], [0, 1, -1], np.ones(3), [0, 0], [1, 0], [1, 0])
    assert loans.holder.tolist() == [0, 0, 0]
    loans = lent([[1, 0, 3, 7], [1, 1, 1, 1]], [0, 1, -1, -1], np.ones(4), [0, 0], [1, 1], [9, 9.5])
    assert loans.holder.tolist() == [0, 1, 1, 0]  # client 1 is first and takes the lower index of equals
    assert loans.rate.tolist() == [4, 2]


def test_nothing_is_lent_where_everybody_is_busy_and_all_is_as_decided() -> None:
    loans = lent([[3, 1], [1, 7]], [0, 1], [1, 0.5], [1, 1], [0, 0], [1, 1], total_max_w=100)
    assert loans.holder.tolist() == [0, 1]
    assert loans.psd.tolist() == [1, 0.5]
    np.testing.assert_allclose(loans.rate, [2, np.log2(4.5)])


def test_who_borrows_spends_what_is_left_too() -> None:
    """0.25 W decided, 1.5 of 2 W left for the two who send: 0.75 W more each, over 2 and 1 subchannels."""
    loans = lent(np.ones((2, 3)), [0, 1, -1], [0.25, 0.25, 0], [1, 1], [0, 0], [9, 1], client_max_w=5)
    assert loans.holder.tolist() == [0, 1, 0]
    assert loans.psd.tolist() == [0.5, 0.25, 0.5]
    capped = lent(np.ones((2, 3)), [0, 1, -1], [0.25, 0.25, 0], [1, 1], [0, 0], [9, 1], client_max_w=0.5)
    assert capped.psd.tolist() == [0.25, 0.25, 0.25]


def test_a_subchannel_that_would_stay_dry_is_not_borrowed() -> None:
    """1 W on a floor of 1 raises the water to 2; the idle subchannel's floor is 10. Then the power is as decided."""
    loans = lent([[1, 0.1]], [0, -1], [0.5, 0], [1], [0], [1])
    assert loans.holder.tolist() == [0, -1]
    assert loans.psd[0] == 0.5
    assert loans.rate[0] == pytest.approx(np.log2(1.5))


def test_who_cannot_use_its_own_leaves_it_to_be_lent() -> None:
    """No power was decided for client 0: its subchannel is idle, and comes back to it with what is left of p_th."""
    loans = lent(np.ones((2, 2)), [0, 1], [0, 1], [1, 1], [0, 0], [1, 1])
    assert loans.holder.tolist() == [0, 1]
    assert loans.psd.tolist() == [0.5, 1]


@given(seed=SEEDS)
@settings(max_examples=300, deadline=None)
def test_loans_keep_to_the_rules(seed: int) -> None:
    rng = np.random.default_rng(seed)
    clients, subchannels = rng.integers(1, 6), rng.integers(1, 9)
    gain = 10 ** rng.uniform(-2, 2, (clients, subchannels))
    owner = rng.integers(-1, clients, subchannels)
    psd = rng.random(subchannels) * (rng.random(subchannels) < 0.8) * (owner >= 0)
    sends = rng.random(clients) < 0.5
    receives = ~sends & (rng.random(clients) < 0.5)
    maxima = rng.uniform(0.1, 3, 2)
    loans = lent(gain, owner, psd, sends, receives, rng.uniform(0.1, 9, clients), *maxima)
    decided_w = np.bincount(owner[owner >= 0], psd[owner >= 0], minlength=clients)
    spent_w = np.zeros(clients)
    for i in range(clients):
        own, has = owner == i, loans.holder == i
        if sends[i]:
            spent_w[i] = loans.psd[has].sum()
            as_decided, now = (float(np.log2(1 + p[k] * gain[i, k]).sum()) for p, k in ((psd, own), (loans.psd, has)))
        elif receives[i]:
            as_decided, now = (float(np.log2(1 + gain[i, k]).sum()) for k in (own, has))
        else:
            assert loans.rate[i] == 0
            assert not has.any()
            continue
        assert loans.rate[i] == pytest.approx(now, rel=1e-9)
        assert loans.rate[i] >= as_decided * (1 - 1e-12)
        assert np.all(has[own]) or as_decided == 0
        if np.array_equal(has, own) and as_decided > 0:
            assert loans.rate[i] == pytest.approx(as_decided, rel=1e-12)
    assert np.all(spent_w <= np.maximum(maxima[0], decided_w) * (1 + 1e-9))
    assert spent_w.sum() <= max(maxima[1], decided_w[sends].sum()) * (1 + 1e-9)
    if receives.any():
        assert np.all(loans.holder >= 0)  # whoever receives is glad of every subchannel
