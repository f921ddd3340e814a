"""What the clock charges for units that change their server is what servers really hand over."""

from dataclasses import replace

import gymnasium as gym
import numpy as np
import pytest

import splitgym  # noqa: F401 - registers the environment

NODES = [
    {"name": name, "compute_hz": 1e10, "cycles_per_flop": 1 / 32, "switched_capacitance": 1e-29} for name in ("b", "c")
]
LINKS = [
    {"name": "near", "ends": ("server", "b"), "bits_per_s": 1e8},
    {"name": "far", "ends": ("b", "c"), "bits_per_s": 5e7},
]


@pytest.mark.parametrize("training", [{"momentum": 0.0}, {"momentum": 0.9}, {"optimizer": "adam"}])
def test_bits_that_are_charged_are_bits_of_the_state(training):
    env = gym.make(
        "SplitLearning-v0",
        scenario="toy",
        framework="multi-hop",
        action="continuous",
        nodes=NODES,
        links=LINKS,
        placement={"nodes": ("server", "b", "c"), "hops": 3, "count": 4},
        plan={"placement": "decided"},
        task={"model": "cnn"},
        training=training,
        episode={"round_timeout_s": 1e6, "time_budget_s": 1e8, "stop_at_target": False},
    ).unwrapped
    env.reset(seed=0)
    env.action_space.seed(0)
    rng, charged = np.random.default_rng(0), []
    for _ in range(16):
        decision = replace(env.decode(env.action_space.sample()), cut_layer=1, placement=int(rng.integers(3)))
        *_, info = env.play(decision)
        (learner,) = env._simulation.world._learner.learners
        assert info["migration_bits"] == learner.moved_bits
        charged.append(info["migration_bits"])
    assert len(set(charged)) > 2
