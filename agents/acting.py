"""How a trained policy answers: the same in one environment and in many, while it learns and when it acts."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3.common.policies import BasePolicy


class Actor:
    """A policy at work in N environments; keeps the memory of a recurrent one from the beginning of an episode on.

    Args:
        policy: The policy.
    """

    def __init__(self, policy: BasePolicy) -> None:
        self._policy = policy
        self._memory: Any = None

    def act(
        self,
        observations: NDArray[np.float32],
        begins: NDArray[np.bool_],
        deterministic: bool,
        masks: NDArray[np.bool_] | None = None,
        seed: int = 0,
    ) -> NDArray[Any]:
        """[N, ...] actions.

        Args:
            observations: [N, observation].
            begins: [N] whether an episode begins.
            deterministic: Take the most likely actions; otherwise draw.
            masks: [N, values] of a policy that is told who is away.
            seed: Of what is drawn.
        """
        told = {} if masks is None else {"action_masks": masks}
        with _drawing_from(seed):
            actions, self._memory = self._policy.predict(
                observations, self._memory, begins, deterministic=deterministic, **told
            )
        return actions


@contextmanager
def _drawing_from(seed: int) -> Iterator[None]:
    """Draws of torch come from this seed; those afterwards are as if nothing had been."""
    with torch.random.fork_rng(devices=[]):
        # torch.manual_seed would reseed the GPUs too, which the fork does not restore.
        torch.default_generator.manual_seed(seed)
        yield
