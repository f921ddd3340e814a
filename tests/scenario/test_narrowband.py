"""The preset in which the link decides."""

from typing import Any

import gymnasium as gym

import splitgym  # noqa: F401 - registers the environment
from splitgym import schedulers


def target_s(codec: str, seed: int) -> float:
    """Simulated time of PSL to the preset's target at the second cut layer, where it is reached soonest without one."""
    env: Any = gym.make("SplitLearning-v0", scenario="narrowband", framework="psl").unwrapped
    env.reset(seed=seed)
    agent, done = schedulers.make("greedy", env, codec=codec, cut_layer=2), False
    while not done:
        *_, done, truncated, info = env.play(agent.decide(env.state))
        assert not truncated
    return float(info["elapsed_s"])


def test_the_target_is_reached_much_sooner_with_a_codec() -> None:
    assert target_s("uniform-4", seed=0) < 0.7 * target_s("none", seed=0)


def test_nearly_all_of_a_round_is_spent_on_the_link() -> None:
    env: Any = gym.make("SplitLearning-v0", scenario="narrowband").unwrapped
    for seed in range(3):
        env.reset(seed=seed)
        for cut_layer, share in ((1, 0.99), (2, 0.9)):
            *_, info = env.play(schedulers.make("greedy", env, cut_layer=cut_layer).decide(env.state))
            assert info["participants"].all()
            assert info["stages"]["uplink"] + info["stages"]["unicast"] > share * info["round_latency_s"]
            env.reset()
