"""Equal and unequal channels: what equal channels mean, and ratios from rows by hand."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from experiments.cells import mean_latency_s, random_states
from experiments.channels import DEALS, EXPERIMENT, METHODS, PRESETS, cases, measure, with_relatives
from experiments.latency.sweeps import spread_gains
from splitgym.allocation import descent
from splitgym.frameworks import get
from splitgym.scenario import build
from splitgym.timing.rates import subchannel_rate


def test_equal_channels_give_equal_rates() -> None:
    """Without fading, which is what tells clients apart on single subchannels."""
    scenario = build("epsl", {"radio": {"fading": "none"}})
    for state in spread_gains(random_states(scenario, get("psl"), range(5)), 0):
        rates = [subchannel_rate(1e7, 1e-8, gain, state.system.noise_psd_w_per_hz) for gain in state.channel_gain.flat]
        assert rates == pytest.approx([rates[0]] * len(rates), rel=1e-9)


def test_unequal_channels_have_the_same_mean_gain_and_the_spread_that_is_said() -> None:
    states = random_states(build("epsl"), get("psl"), range(50))
    equal, unequal = (
        10 * np.log10([state.channel_gain.mean(1) for state in spread_gains(states, deviation)])
        for deviation in (0, 15)
    )
    assert equal.std() == pytest.approx(0, abs=1e-9)
    assert unequal.std() == pytest.approx(15)
    assert unequal.mean() == pytest.approx(equal.mean())


def test_the_descent_is_never_slower_than_simple_rules_and_unequal_channels_cost_time() -> None:
    case = {"preset": "bandwidth-limited", "method": "PSL"}
    seconds = {
        (deviation, name): measure({**case, "deviation_db": deviation, "allocation": name}, 0)[0]["latency_s"]
        for deviation in (0, 15)
        for name in DEALS
    }
    for deviation in (0, 15):
        assert all(seconds[deviation, "descent"] <= 1.001 * seconds[deviation, name] for name in DEALS)
    assert seconds[15, "equal-shares"] > 1.5 * seconds[0, "equal-shares"]


def test_latency_is_the_mean_of_what_the_descent_expects() -> None:
    states = random_states(build("epsl"), get("epsl"), range(3))
    expected = [descent(state, state.available, 0.5).latency_s for state in states]
    assert mean_latency_s(states, 0.5) == pytest.approx(np.mean(expected))


def test_ratios_are_those_of_the_same_cells() -> None:
    rows = [
        {"preset": preset, "deviation_db": deviation, "method": method, "allocation": name, "seed": seed}
        for preset in PRESETS
        for deviation in (0, 10)
        for method in METHODS
        for name in DEALS
        for seed in (0, 1)
    ]
    table = pd.DataFrame(rows)
    table["latency_s"] = (
        (1.0 + table["seed"])
        * np.where(table["deviation_db"] == 10, 3, 1)
        * np.where(table["method"] == "PSL", 2, 1)
        * np.where(table["allocation"] == "descent", 1, 5)
    )
    found = with_relatives(table)
    assert set(found.query("deviation_db == 10")["to_equal"]) == {3.0}
    assert set(found.query("allocation == 'equal-shares'")["to_descent"]) == {5.0}
    assert set(found.query("method == 'EPSL(1)'")["to_psl"]) == {0.5}
    assert "takes, relative to equal channels, 3.00 with descent (1.00 of the descent)" in EXPERIMENT.report(table)
    for plot in EXPERIMENT.plots.values():
        plot(table, Figure(layout="constrained"))


def test_the_quick_form_is_a_part_of_the_full_one() -> None:
    full = cases(quick=False)
    assert all(case in full for case in cases(quick=True))
