"""Compiles kernels before they are needed."""

from collections.abc import Sequence
from typing import Any, Literal

import gymnasium as gym

Action = Literal["discrete", "continuous", "schedule", "priority", "rule"]
Sharing = Literal["static", "on-demand"]
ACTIONS: tuple[Action, ...] = ("discrete", "continuous", "schedule", "priority", "rule")
SHARING: tuple[Sharing, ...] = ("static", "on-demand")


def warm_up(actions: Sequence[Action] = ACTIONS, sharing: Sequence[Sharing] = SHARING) -> None:
    """Plays a round on the surrogate with each of these, so that later processes find their kernels compiled.

    The kernels are the same for every scenario, framework and learner, and for any number of environments; the clock of
    asynchronous frameworks is compiled when it is first needed.

    Args:
        actions: Encodings of decisions, as `action` of `gym.make`.
        sharing: Values of the scenario's `radio.sharing`.
    """
    from splitgym.allocation.workload import own_seconds  # noqa: PLC0415 - help need not import numba
    from splitgym.kernels import without_notice  # noqa: PLC0415
    from splitgym.types import Plan  # noqa: PLC0415

    with without_notice():
        for action in actions:
            for kind in sharing:
                env = gym.make("SplitLearning-v0", learner="surrogate", action=action, radio={"sharing": kind})
                env.reset(seed=0)
                env.action_space.seed(0)
                env.step(env.action_space.sample())
                # Real training plays so.
                unwrapped: Any = env.unwrapped
                unwrapped.fork().play_in_parts(unwrapped.played.batch())
                # Frameworks with clusters ask for it.
                own_seconds(unwrapped.state, Plan(1), 1)
                env.close()
