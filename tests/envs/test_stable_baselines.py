"""The Stable-Baselines3 environment, against Stable-Baselines3's own around single environments."""

import numpy as np
import pytest
from rollouts import differences, make
from stable_baselines3 import PPO
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.vec_env import DummyVecEnv, VecMonitor

from splitgym.envs import SB3VecEnv

SETTINGS = {
    "scenario": "iot",
    "learner": "surrogate",
    "episode": {"max_rounds": 6, "target_accuracy": 0.12},
    "clients": {"dropout_probability": 0.2},
}


@pytest.mark.parametrize("action", ["schedule", "continuous", "discrete"])
def test_it_steps_like_stable_baselines_around_single_environments(action):
    ours = SB3VecEnv(5, action=action, **SETTINGS)
    theirs = VecMonitor(DummyVecEnv([lambda: make(action=action, **SETTINGS)] * 5))
    assert (ours.observation_space, ours.action_space) == (theirs.observation_space, theirs.action_space)
    ours.seed(3), theirs.seed(3)
    np.testing.assert_array_equal(ours.reset(), theirs.reset())
    assert not differences(ours.reset_infos, theirs.venv.reset_infos)
    ours.action_space.seed(0)
    truncated = terminated = 0
    for _ in range(40):
        actions = np.array([ours.action_space.sample() for _ in range(5)])
        *mine, infos = ours.step(actions)
        *expected, expected_infos = theirs.step(actions)
        assert not differences(mine, expected)
        for info, other, done in zip(infos, expected_infos, mine[2], strict=True):
            if not done:
                assert info == {}
                continue
            truncated += info["TimeLimit.truncated"]
            terminated += not info["TimeLimit.truncated"]
            episode, its = info.pop("episode"), other.pop("episode")
            assert (episode["l"], episode["t"] >= 0) == (its["l"], True)
            assert episode["r"] == pytest.approx(its["r"], abs=1e-5)
            assert not differences(info, other)
    assert truncated > 0
    assert terminated > 0


def test_ppo_runs_on_it_and_plays_the_single_environment():
    """The algorithm runs on it, and what it learns is a policy for the single environment."""
    envs = SB3VecEnv(16, action="schedule", reward="time-to-target", **SETTINGS)
    model = PPO("MlpPolicy", envs, n_steps=16, batch_size=64, n_epochs=2, seed=0, device="cpu")
    model.learn(1024)
    assert model.num_timesteps == 1024
    assert len(model.ep_info_buffer) > 10
    mean, _ = evaluate_policy(model, make(action="schedule", **SETTINGS), 2, warn=False)
    assert np.isfinite(mean)
