"""Decisions that say the band of every slot: a row of subchannels and powers for each."""

from dataclasses import replace

import numpy as np
import pytest
from equations_of_a_round import state_of
from equations_of_frameworks import deal
from hypothesis import given, settings
from hypothesis import strategies as st
from test_framework_rounds import FIELDS, SCENARIOS, random_round

from splitgym.scenario import build
from splitgym.timing import round_cost
from splitgym.types import Decision, RoundState

FULL = 1e-6  # W/Hz: 1 W over 1 MHz, 1 Mbit/s


def toy(framework: str) -> RoundState:
    return state_of(build("toy"), framework)


def rows(assignment: list[list[int]], psd: float = FULL, cluster: tuple[int, int] = (0, 1)) -> Decision:
    band = np.array(assignment)
    return Decision(1, band, np.full(band.shape, psd), np.ones(2, bool), 0.0, np.array(cluster))


@given(
    seed=st.integers(0, 2**32 - 1), name=st.sampled_from(sorted(SCENARIOS)), framework=st.sampled_from(["sl", "cpsl"])
)
@settings(max_examples=60, deadline=None)
def test_rows_that_say_what_is_dealt_anew_cost_the_same(seed: int, name: str, framework: str) -> None:
    scenario, state, decision = random_round(name, framework, np.random.default_rng(seed))
    clients = len(state.client_hz)
    decision = replace(decision, cluster=np.random.default_rng(seed).integers(0, 3, clients))
    slot = np.arange(clients) if framework == "sl" else decision.cluster
    members = [
        np.flatnonzero(decision.selected & state.available & (slot == t)).tolist() for t in range(slot.max() + 1)
    ]
    if framework == "cpsl" and sum(map(bool, members)) < 2:
        return  # a single cluster does not have the band assigned again
    bands = [deal(scenario, state, decision, group) if group else decision for group in members]
    exact = replace(
        decision,
        assignment=np.stack([band.assignment for band in bands]),
        power_w_per_hz=np.stack([band.power_w_per_hz for band in bands]),
    )
    replace(exact, aggregation_ratio=0.0).check(state)
    again, cost = round_cost(state, decision), round_cost(state, exact)
    np.testing.assert_array_equal(cost.participants, again.participants)
    for field in FIELDS:
        np.testing.assert_allclose(getattr(cost, field), getattr(again, field), rtol=1e-12, err_msg=field)


@pytest.mark.parametrize("framework", ["sl", "cpsl"])
def test_each_turn_has_its_own_row_by_hand(framework: str) -> None:
    """Slot 0 sends on one subchannel at 1 Mbit/s, slot 1 on both at a third of the SNR, 0.415 Mbit/s each."""
    decision = rows([[0, -1], [1, 1]])
    decision = replace(decision, power_w_per_hz=np.array([[FULL, FULL], [FULL / 3, FULL / 3]]))
    cost = round_cost(toy(framework), decision)
    second = 2e6 * np.log2(4 / 3)
    np.testing.assert_allclose(cost.stop_s[4] - cost.start_s[4], [8192 / 1e6, 8192 / second], rtol=1e-9)  # uplink
    np.testing.assert_allclose(cost.stop_s[7] - cost.start_s[7], [8192 / 1e6, 8192 / 2e6], rtol=1e-9)  # unicast
    computing, sent = 2 * 0.032768, 8192 + 66560
    np.testing.assert_allclose(cost.client_energy_j, [computing + sent / 1e6, computing + 2 / 3 * sent / second])


@pytest.mark.parametrize("framework", ["sl", "cpsl"])
def test_owners_of_another_turn_leave_a_subchannel_unused(framework: str) -> None:
    cost, alone = (round_cost(toy(framework), rows(band)) for band in ([[0, 1], [0, 1]], [[0, -1], [-1, 1]]))
    assert cost.latency_s == alone.latency_s
    np.testing.assert_array_equal(cost.client_energy_j, alone.client_energy_j)
    nothing = round_cost(toy(framework), rows([[0, 0], [0, 0]]))
    assert nothing.participants.tolist() == [True, False]
    assert nothing.without_subchannel.tolist() == [False, True]


def test_a_single_cluster_has_its_row_as_it_is() -> None:
    one = rows([[-1, -1], [0, 1]], cluster=(1, 1))
    flat = replace(one, assignment=np.array([0, 1]), power_w_per_hz=np.full(2, FULL))
    assert round_cost(toy("cpsl"), one).latency_s == round_cost(toy("cpsl"), flat).latency_s


def test_bands_of_turns_go_through_batches() -> None:
    state, decision = toy("cpsl"), rows([[0, -1], [1, 1]])
    other = replace(decision, assignment=np.array([[0, 0], [1, 1]]))
    batch = Decision.stack([decision, other])
    assert batch.assignment.shape == (2, 2, 2)
    assert batch.by_slot
    np.testing.assert_array_equal(batch.world(1).assignment, other.assignment)
    costs = round_cost(state.repeat(2), batch)
    assert costs.latency_s.tolist() == [round_cost(state, each).latency_s for each in (decision, other)]
    assert costs.latency_s[0] != costs.latency_s[1]


@pytest.mark.parametrize(
    ("framework", "assignment", "cluster", "message"),
    [
        ("epsl", [[0, 1], [0, 1]], (0, 0), "Decision.assignment has shape (2, 2), allowed: (2,)"),
        ("cpsl", [[0], [1]], (0, 1), "Decision.assignment has shape (2, 1), allowed: (2,) or (slots, 2)"),
        ("sl", [[0, 1]], (0, 0), "Decision.assignment has shape (1, 2), allowed: (2,) or (2, 2)"),
        ("cpsl", [[0, 1]], (0, 1), "Decision.cluster = [0 1], allowed for selected clients: 0..0"),
        ("cpsl", [[0, 1], [0, 1]], (0, -1), "Decision.cluster = [ 0 -1], allowed for selected clients: 0..1"),
        ("cpsl", [[0, 1], [0, 2]], (0, 1), "allowed: -1 (unused) or 0..1"),
    ],
)
def test_bands_that_do_not_fit_are_named(
    framework: str, assignment: list[list[int]], cluster: tuple[int, int], message: str
) -> None:
    with pytest.raises(ValueError) as error:  # noqa: PT011 - the text is compared as it stands
        rows(assignment, cluster=cluster).check(toy(framework))
    assert message in str(error.value)


def test_powers_have_the_shape_of_the_assignment() -> None:
    decision = replace(rows([[0, 1], [0, 1]]), power_w_per_hz=np.full(2, FULL))
    with pytest.raises(ValueError, match=r"Decision.power_w_per_hz has shape \(2,\), allowed: \(2, 2\)"):
        decision.check(toy("cpsl"))


def test_what_fits_passes_the_check() -> None:
    rows([[0, 1], [0, 1]]).check(toy("sl"))
    rows([[0, 1], [0, 1]], cluster=(5, -7)).check(toy("sl"))
    rows([[0, 1], [0, 1], [-1, -1]]).check(toy("cpsl"))
    replace(rows([[0, 1]], cluster=(0, 9)), selected=np.array([True, False])).check(toy("cpsl"))
