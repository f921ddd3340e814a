"""Whether rounds of multi-hop charge what is handed over: on hops, in micro-batches, from server to server."""

from dataclasses import replace

import numpy as np
import pytest
from charged import assert_charged_as_sent, learner

from splitgym.envs import SplitLearningEnv

CANDIDATES = [
    {"nodes": ["server"]},
    {"nodes": ["server", "cloud"], "bounds": [1]},
    {"nodes": ["server", "cloud"], "bounds": [2]},
]


def environment(optimizer: dict[str, object], micro_batches: int, codec: str = "none") -> SplitLearningEnv:
    env = SplitLearningEnv(
        "toy",
        framework="multi-hop",
        action="schedule",
        clients={"count": 3},
        radio={"subchannels": 6},
        placement={"candidates": CANDIDATES},
        plan={"placement": "decided", "codecs": [codec]},
        task={"model": "cnn"},
        training={"micro_batches": micro_batches, **optimizer},
        episode={"round_timeout_s": 1e4, "max_rounds": 99, "time_budget_s": 1e6, "target_accuracy": 1.0},
    )
    env.reset(seed=0)
    env.action_space.seed(1)
    return env


@pytest.mark.parametrize("codec", ["none", "fp16", "uniform-8", "c3:4", "top-k:0.1"])
def test_micro_batches_are_charged_as_they_are_sent(codec: str) -> None:
    """Eight rows in three parts; each is encoded by itself."""
    assert_charged_as_sent(environment({"momentum": 0.9}, 3, codec))


@pytest.mark.parametrize("optimizer", [{"momentum": 0.0}, {"momentum": 0.9}, {"optimizer": "adam"}], ids=str)
def test_what_servers_hand_over_is_charged(optimizer: dict[str, object]) -> None:
    """With a cut that stays, so that no client's units come on top."""
    env, moved = environment(optimizer, 1), []
    for _ in range(10):
        decision = env.decode(env.action_space.sample())
        *_, info = env.play(replace(decision, cut_layer=1))
        assert info["migration_bits"] == pytest.approx(learner(env).moved_bits)
        moved.append(learner(env).moved_bits)
    assert 0 < np.count_nonzero(moved) < len(moved)
