"""Encoding decisions in which every slot has its own band."""

import numpy as np
import pytest

import splitgym  # noqa: F401 - registers the environment
from splitgym.envs import SplitLearningEnv
from splitgym.types import Decision

P_MAX = 1.0  # W, of a client in `toy`; a subchannel has 1 MHz


def cpsl_env(action: str) -> SplitLearningEnv:
    env = SplitLearningEnv("toy", framework="cpsl", action=action, clients={"count": 3}, radio={"subchannels": 4})
    env.reset(seed=0)
    return env


def bands(powers: list[list[float]]) -> Decision:
    """Clients 0 and 1 in slot 0, client 2 in slot 1, to which what 0 has there does not belong."""
    return Decision(
        cut_layer=1,
        assignment=np.array([[0, -1, 1, 2], [2, 2, 0, -1]]),
        power_w_per_hz=np.array(powers) / 1e6,
        selected=np.ones(3, bool),
        aggregation_ratio=0.0,
        cluster=np.array([0, 0, 1]),
    )


def test_discrete_encoding_keeps_the_first_band_that_uses_a_subchannel() -> None:
    env = cpsl_env("discrete")
    again = env.decode(env.encode(bands([[0.25, 1, 0.5, 1], [1, 0.125, 1, 1]])))
    assert again.assignment.tolist() == [0, 2, 1, -1]
    np.testing.assert_allclose(again.power_w_per_hz[:3] * 1e6, [0.25, 0.125, 0.5])


def test_continuous_encoding_keeps_what_each_client_has_in_its_slot() -> None:
    env = cpsl_env("continuous")
    action = env.encode(bands([[0.25, 1, 0.5, 1], [0.25, 0.125, 1, 1]]))
    share = (action + 1) / 2
    np.testing.assert_allclose(share[4:7], [0.5, 0.5, 1.0])  # one, one and two subchannels
    np.testing.assert_allclose(share[7:10], [0.25, 0.5, 0.375], rtol=1e-6)


@pytest.mark.parametrize("action", ["discrete", "continuous", "schedule", "priority"])
def test_the_encoded_action_is_in_the_space_and_can_be_played(action: str) -> None:
    env = cpsl_env(action)
    encoded = env.encode(bands(np.ones((2, 4)).tolist()))
    assert env.action_space.contains(encoded)
    assert env.step(encoded)[4]["participants"].all()


def test_a_round_is_played_with_the_bands_of_its_slots() -> None:
    env = cpsl_env("discrete")
    info = env.play(bands((0.1 * np.ones((2, 4))).tolist()))[4]
    assert info["participants"].tolist() == [True, True, True]
    assert not info["projected"]
    info = env.play(bands([[0.1] * 4, [0.9, 0.9, 0, 0]]))[4]  # client 2 has 1.8 W in its slot
    assert info["projected"]
