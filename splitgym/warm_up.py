"""Compiles kernels before they are needed."""

from collections.abc import Sequence
from typing import Literal

import gymnasium as gym

Encoding = Literal["discrete", "continuous", "schedule", "priority"]
Sharing = Literal["static", "on-demand"]
ENCODINGS: tuple[Encoding, ...] = ("discrete", "continuous", "schedule", "priority")
SHARING: tuple[Sharing, ...] = ("static", "on-demand")


def warm_up(encodings: Sequence[Encoding] = ENCODINGS, sharing: Sequence[Sharing] = SHARING) -> None:
    """Plays a round on the surrogate with each of these, so that later processes find their kernels compiled.

    The kernels are the same for every scenario, framework and learner, and for any number of environments.

    Args:
        encodings: Of actions.
        sharing: Values of the scenario's `radio.sharing`.
    """
    for action in encodings:
        for kind in sharing:
            env = gym.make("SplitLearning-v0", learner="surrogate", action=action, radio={"sharing": kind})
            env.reset(seed=0)
            env.action_space.seed(0)
            env.step(env.action_space.sample())
            env.close()
