"""Whether worlds that are stepped together do what each of them does alone."""

from typing import Any

import gymnasium as gym
import numpy as np


def assert_vector_agrees(
    worlds: int, steps: int, names: tuple[str, ...] = (), **arguments: Any
) -> gym.vector.VectorEnv:
    """Plays random actions in a vector environment and in as many single ones, with the same seeds.

    Observations and rewards have to be the same to the bit, and so has what `names` says of the information. No episode
    may end. Returns the vector environment.
    """
    vector: Any = gym.make_vec(
        "SplitLearning-v0", num_envs=worlds, vectorization_mode="vector_entry_point", **arguments
    )
    singles = [gym.make("SplitLearning-v0", disable_env_checker=True, **arguments) for _ in range(worlds)]
    seen, _ = vector.reset(seed=5)
    for i, single in enumerate(singles):
        np.testing.assert_array_equal(single.reset(seed=5 + i)[0], seen[i])
    vector.action_space.seed(0)
    for _ in range(steps):
        actions = vector.action_space.sample()
        seen, reward, terminated, truncated, info = vector.step(actions)
        assert not (terminated | truncated).any()
        for i, single in enumerate(singles):
            own_seen, own_reward, *_, own_info = single.step(actions[i])
            np.testing.assert_array_equal(own_seen, seen[i])
            assert own_reward == reward[i]
            for name in names:
                np.testing.assert_array_equal(own_info[name], info[name][i])
    return vector
