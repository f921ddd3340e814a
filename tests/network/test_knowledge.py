"""Belief against truth: nothing stale, exactly delayed, wrong by the right number of dB."""

from itertools import pairwise

import numpy as np
import pytest
from played_cells import Cells
from scipy import stats

from splitgym.scenario import Clients, Knowledge, Radio, Scenario

ROUNDS = 7


def history(scenario: Scenario, worlds: int = 2) -> list[dict[str, np.ndarray]]:
    """Truth and belief of each round."""
    cells = Cells(scenario, worlds)
    names = [prefix + name for prefix in ("", "believed_") for name in ("channel_gain", "client_hz", "available")]
    seen = []
    for _ in range(ROUNDS):
        seen.append(dict(zip(names, cells.now(*names), strict=True)))
        cells.advance()
    return seen


def fluctuating(knowledge: Knowledge, **clients: float) -> Scenario:
    return Scenario(knowledge=knowledge, clients=Clients(count=4, load_max=0.5, load_correlation=0.5, **clients))


def test_fresh_knowledge_is_the_truth() -> None:
    for each in history(fluctuating(Knowledge())):
        np.testing.assert_array_equal(each["believed_channel_gain"], each["channel_gain"])
        np.testing.assert_array_equal(each["believed_client_hz"], each["client_hz"])
        np.testing.assert_array_equal(each["believed_available"], each["available"])


@pytest.mark.parametrize(("channel_delay", "compute_delay"), [(1, 0), (0, 2), (3, 1), (2, 20)])
def test_delayed_knowledge_is_an_old_truth(channel_delay: int, compute_delay: int) -> None:
    knowledge = Knowledge(channel_delay_rounds=channel_delay, compute_delay_rounds=compute_delay)
    seen = history(fluctuating(knowledge))
    for now, each in enumerate(seen):
        gain, speed = (seen[max(now - delay, 0)] for delay in (channel_delay, compute_delay))
        np.testing.assert_array_equal(each["believed_channel_gain"], gain["channel_gain"])
        np.testing.assert_array_equal(each["believed_client_hz"], speed["client_hz"])
    assert not np.array_equal(seen[0]["channel_gain"], seen[1]["channel_gain"])
    assert not np.array_equal(seen[0]["client_hz"], seen[1]["client_hz"])


@pytest.mark.parametrize("delay", [0, 1])
def test_estimation_error_has_the_deviation_asked_for(delay: int) -> None:
    scenario = Scenario(
        knowledge=Knowledge(channel_error_db=2.5, channel_delay_rounds=delay),
        radio=Radio(subchannels=100),
        clients=Clients(count=100),
    )
    seen = history(scenario, worlds=1)
    errors_db = [
        10 * np.log10(seen[now]["believed_channel_gain"] / seen[max(now - delay, 0)]["channel_gain"]).ravel()
        for now in range(ROUNDS)
    ]
    for error_db in (errors_db[0], errors_db[-1]):
        assert stats.kstest(error_db / 2.5, "norm").pvalue > 0.01
    assert abs(np.corrcoef(errors_db[-1], errors_db[-2])[0, 1]) < 0.04  # anew each round


def test_availability_is_known_from_the_round_before() -> None:
    seen = history(fluctuating(Knowledge(), dropout_probability=0.5, return_probability=0.5))
    assert seen[0]["believed_available"].all()
    for before, after in pairwise(seen):
        np.testing.assert_array_equal(after["believed_available"], before["available"])
    assert any(not each["available"].all() for each in seen)


def test_a_new_episode_knows_nothing_of_the_one_before() -> None:
    knowledge = Knowledge(channel_delay_rounds=2, compute_delay_rounds=3)
    cells = Cells(fluctuating(knowledge, dropout_probability=0.5), worlds=2)
    for _ in range(4):
        cells.advance()
    cells.reset([1])
    for _ in range(3):
        gain, speed, known_gain, known_speed, known = cells.now(
            "channel_gain", "client_hz", "believed_channel_gain", "believed_client_hz", "believed_available"
        )
        if cells.streams.round[1] == 0:
            first_gain, first_speed = gain[1], speed[1]
            assert known[1].all()
        np.testing.assert_array_equal(known_gain[1], first_gain)
        np.testing.assert_array_equal(known_speed[1], first_speed)
        assert not np.array_equal(known_gain[0], gain[0])
        cells.advance()
