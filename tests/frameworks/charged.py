"""Whether the bits that rounds charge are those that clients and servers hand over."""

from typing import Any

import pytest

from splitgym.envs import SplitLearningEnv


def learner(env: SplitLearningEnv) -> Any:
    """Who trains, as after the last round; to be looked at."""
    return env.fork()._learner.learners[0]


def assert_charged_as_sent(env: SplitLearningEnv, rounds: int = 6) -> None:
    """Plays random actions: bits that are charged are bits that are handed over, and stages sum to the latency."""
    for _ in range(rounds):
        *_, terminated, truncated, info = env.step(env.action_space.sample())
        sent = sum(learner(env).traffic_bits.values()) + info["migration_bits"]
        assert info["traffic_bits"] == pytest.approx(sent, rel=1e-12)
        assert sum(info["stages"].values()) == pytest.approx(info["round_latency_s"])
        if terminated or truncated:
            env.reset()
