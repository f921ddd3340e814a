"""An encoder in the place of the clients' part, of a curious server that has not got that part.

The server knows how the clients' part is built, its own part, which it holds still, and the smashed data of the clients
with their labels. It trains the encoder so that its own part classifies images of the same kind, whose labels it knows,
by what the encoder makes of them, and so that this looks like the smashed data: the idea of PCAT (Gao and Zhang,
USENIX Security 2023).
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def fit_encoder(
    encoder: nn.Module,
    behind: Callable[[Tensor], Tensor],
    images: Tensor,
    labels: Tensor,
    smashed: Tensor,
    labels_of_smashed: Tensor,
    steps: int,
    generator: torch.Generator,
    batch_size: int = 128,
    rate: float = 3e-3,
) -> None:
    """Trains an encoder in place, with Adam at a rate that falls to nothing along half a cosine.

    Args:
        encoder: As the clients' part, with weights of its own.
        behind: The server's part: logits of activations at the cut.
        images: [n, channels, height, width] that the server has.
        labels: [n] of these.
        smashed: [m, ...] what clients have sent.
        labels_of_smashed: [m].
        steps: Mini-batches.
        generator: Draws them.
        batch_size: Of a step, of images and of smashed data.
        rate: First learning rate.
    """
    optimizer = torch.optim.Adam(encoder.parameters(), rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    encoder.train()
    for _ in range(steps):
        own, seen = (torch.randint(len(x), (batch_size,), generator=generator) for x in (images, smashed))
        made = encoder(images[own])
        loss = F.cross_entropy(behind(made), labels[own])
        loss = loss + distance_by_class(made, labels[own], smashed[seen], labels_of_smashed[seen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    encoder.eval()


def distance_by_class(one: Tensor, labels: Tensor, other: Tensor, other_labels: Tensor) -> Tensor:
    """Energy distance between two samples, class by class, over the mean distance within the second one.

    2 E|x - y| - E|x - x'| - E|y - y'| over pairs of the same class; 0 if both come from the same distribution.

    Args:
        one: [n, ...].
        labels: [n].
        other: [m, ...].
        other_labels: [m].
    """
    x, y = one.flatten(1), other.flatten(1)
    between = _mean_distance(x, labels, y, other_labels)
    within = _mean_distance(y, other_labels, y, other_labels)
    return (2 * between - _mean_distance(x, labels, x, labels) - within) / within


def _mean_distance(x: Tensor, labels: Tensor, y: Tensor, other_labels: Tensor) -> Tensor:
    """Of all pairs of the same class."""
    # The faster way by products has no gradient that is right for a row and itself.
    distances = torch.cdist(x, y, compute_mode="donot_use_mm_for_euclid_dist")
    return distances[labels[:, None] == other_labels].mean()
