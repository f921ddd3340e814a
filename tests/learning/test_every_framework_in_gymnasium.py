"""Every framework name plays a few rounds behind the Gymnasium interface."""

import gymnasium as gym
import numpy as np
import pytest

import splitgym  # noqa: F401 - registers the environment
from splitgym.frameworks import names

# With the timeout of "iot", fl has trained nobody when it is over.
SMALL = {
    "clients": {"count": 3},
    "task": {"train_samples": 120, "evaluation_samples": 40},
    "training": {"batch_size": 4},
    "episode": {"round_timeout_s": 1e4, "time_budget_s": 1e6},
}


@pytest.mark.parametrize("action", ["schedule", "discrete"])
@pytest.mark.parametrize("scenario", ["toy", "iot"])
@pytest.mark.parametrize("framework", names())
def test_an_episode_of_random_actions(framework: str, scenario: str, action: str) -> None:
    env = gym.make("SplitLearning-v0", scenario=scenario, framework=framework, action=action, device="cpu", **SMALL)
    observation, info = env.reset(seed=1)
    env.action_space.seed(1)
    assert env.observation_space.contains(observation)
    trained = 0
    for _ in range(3):
        observation, reward, terminated, truncated, info = env.step(env.action_space.sample())
        assert env.observation_space.contains(observation)
        assert np.isfinite(reward)
        trained += bool(info["trained"])
        if terminated or truncated:
            break
    env.close()
    assert trained > 0
