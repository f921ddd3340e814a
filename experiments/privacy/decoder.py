"""A decoder that learns to reconstruct images from smashed data, as a curious server would."""

from itertools import pairwise
from math import log2

import torch
import torch.nn.functional as F
from torch import Tensor, nn

WIDTHS = (16, 32, 64)
"""Channels of maps as large as the image, half as large, and of all smaller ones."""


def fit_decoder(
    smashed: Tensor, images: Tensor, steps: int, generator: torch.Generator, batch_size: int = 64, rate: float = 3e-3
) -> nn.Module:
    """Trains a decoder by least squares, with Adam at a rate that falls to nothing along half a cosine.

    Args:
        smashed: [n, ...] activations at the cut: maps with height and width, or vectors.
        images: [n, channels, height, width] what they were made of.
        steps: Mini-batches.
        generator: Draws initial weights and mini-batches.
        batch_size: Of a step.
        rate: First learning rate.
    """
    decoder = make_decoder(tuple(smashed.shape[1:]), tuple(images.shape[1:]), generator)
    optimizer = torch.optim.Adam(decoder.parameters(), rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        rows = torch.randint(len(images), (batch_size,), generator=generator)
        optimizer.zero_grad()
        F.mse_loss(decoder(smashed[rows]), images[rows]).backward()
        optimizer.step()
        schedule.step()
    return decoder.eval()


def make_decoder(smashed: tuple[int, ...], image: tuple[int, ...], generator: torch.Generator) -> nn.Module:
    """Maps are doubled by transposed convolutions until they have the size of the image; vectors begin as 1 x 1 maps.

    Args:
        smashed: Shape of the activations of one sample, (channels, height, width) or (features,).
        image: (channels, height, width); height and width are the maps' times a power of two.
        generator: Draws the initial weights.

    Raises:
        ValueError: doubling the maps does not lead to the size of the image.
    """
    features, size = smashed[0], smashed[1] if len(smashed) == 3 else 1
    doublings = round(log2(image[1] / size))
    if size * 2**doublings != image[1]:
        raise ValueError(f"smashed data of shape {smashed} cannot be doubled to images of {image[1]} x {image[2]}")
    widths = [WIDTHS[min(left, len(WIDTHS) - 1)] for left in range(doublings, -1, -1)]
    layers: list[nn.Module] = [nn.Unflatten(1, (features, 1, 1))] if len(smashed) == 1 else []
    layers += [nn.Conv2d(features, widths[0], 3, padding=1), nn.ReLU()]
    for before, after in pairwise(widths):
        layers += [nn.ConvTranspose2d(before, after, 4, stride=2, padding=1), nn.ReLU()]
    layers += [
        nn.Conv2d(widths[-1], widths[-1], 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(widths[-1], image[0], 3, padding=1),
    ]
    decoder = nn.Sequential(*layers)
    for layer in decoder:
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu", generator=generator)
            nn.init.zeros_(layer.bias)
    return decoder
