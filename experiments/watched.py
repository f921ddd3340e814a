"""Looking at rounds before they are trained."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import count

import torch
from torch import Tensor

from splitgym.frameworks import Framework
from splitgym.frameworks.nodes import Nodes
from splitgym.frameworks.round_batch import RoundBatch
from splitgym.frameworks.server_pass import CutGradients


def watched(
    framework: Framework,
    look: Callable[[Nodes, RoundBatch], Mapping[str, float]],
    found: dict[str, float],
    every: int,
) -> Framework:
    """The framework, with what `look` sees put into a dictionary before it trains, in one of so many rounds.

    Args:
        framework: What trains.
        look: Is given what the framework is given, and changes nothing of it.
        found: Is updated.
        every: Rounds from one look to the next.
    """
    number = count(1)

    def train(nodes: Nodes, round_batch: RoundBatch) -> bool:
        if next(number) % every == 0:
            found.update(look(nodes, round_batch))
        return framework.train(nodes, round_batch)

    return replace(framework, train=train)


def of_server(gradients: CutGradients) -> Tensor:
    """Gradients of all the server's weights in one row."""
    return torch.cat([gradient.flatten() for gradient in gradients.of_server])
