"""A round in one kernel is the same as its parts one after the other."""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from splitgym.allocation.legalise import legal_but_for_powers


@pytest.mark.parametrize("scenario", ["iot-family", "bandwidth-limited", "toy"])
def test_one_kernel_does_what_the_parts_do(scenario: str) -> None:
    env: Any = gym.make("SplitLearning-v0", scenario=scenario, learner="surrogate", action="continuous").unwrapped
    env.reset(seed=3)
    env.action_space.seed(3)
    for _ in range(8):
        decision = env.decode(env.action_space.sample()).batch()
        # Beyond the budgets of power, too.
        decision = decision.with_power(decision.power_w_per_hz * 3.0)
        other = env.fork()
        played = env._simulation.world.play_unchecked(decision)
        legal, projected, cost = other.play_in_parts(legal_but_for_powers(decision, other.truth))
        np.testing.assert_array_equal(played.decision.power_w_per_hz, legal.power_w_per_hz)
        np.testing.assert_array_equal(played.projected, projected)
        for name in ("latency_s", "participants", "client_energy_j", "server_energy_j", "stage_s", "traffic_bits"):
            np.testing.assert_array_equal(getattr(played.cost, name), getattr(cost, name), name)
        for name in ("accuracy", "balanced_accuracy", "client_loss", "client_cut_layer"):
            np.testing.assert_allclose(
                getattr(played.outcome, name), getattr(other.outcome, name), rtol=1e-13, err_msg=name
            )
        for name in ("absence", "experience", "elapsed_s", "energy_j", "round"):
            np.testing.assert_array_equal(getattr(played.truth, name), getattr(other.truth, name), name)
        env._simulation.world.advance()
