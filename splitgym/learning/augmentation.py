"""Random changes of training images that leave their class as it is."""

import torch
from torch import Tensor


def random_symmetries(images: Tensor, generator: torch.Generator) -> Tensor:
    """Mirrors each image left to right and top to bottom at random, and transposes it if it is square.

    For images without an up and down, such as those of skin lesions: all eight symmetries of the square.

    Args:
        images: [n, b, channels, height, width].
        generator: CPU generator.

    Returns:
        As many images, in the memory format of images.
    """
    n, b = images.shape[:2]
    chosen = (torch.rand(3, n, b, 1, 1, 1, generator=generator) < 0.5).to(images.device)
    images = torch.where(chosen[0], images.flip(-1), images)
    images = torch.where(chosen[1], images.flip(-2), images)
    if images.shape[-1] == images.shape[-2]:
        images = torch.where(chosen[2], images.transpose(-1, -2), images)
    rows = images.flatten(0, 1).contiguous(memory_format=torch.channels_last)
    return rows.unflatten(0, (n, b))
