"""How a trained policy answers: the same in one environment and in many, in training and in use."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3.common.policies import BasePolicy

from splitgym.arrays import Bools


def answer(
    policy: BasePolicy,
    observations: NDArray[np.float32],
    memory: Any,
    episode_starts: Bools,
    deterministic: bool,
    masks: Bools | None = None,
    seed: int = 0,
) -> tuple[NDArray[Any], Any]:
    """[N, ...] actions of a policy in N environments, and its memory after them.

    Args:
        policy: The policy.
        observations: [N, observation].
        memory: Of the call of the round before; None: nothing is remembered.
        episode_starts: [N] whether an episode starts: a recurrent policy then forgets.
        deterministic: Take the most likely actions; otherwise draw.
        masks: [N, values] of a policy that is told which clients are unavailable.
        seed: Of what is drawn.
    """
    told = {} if masks is None else {"action_masks": masks}
    with _drawing_from(seed):
        actions, memory = policy.predict(observations, memory, episode_starts, deterministic=deterministic, **told)
    return actions, memory


@contextmanager
def _drawing_from(seed: int) -> Iterator[None]:
    """Draws of torch come from this seed; those afterwards are as if nothing had been."""
    with torch.random.fork_rng(devices=[]):
        # torch.manual_seed would reseed the GPUs too, which the fork does not restore.
        torch.default_generator.manual_seed(seed)
        yield
