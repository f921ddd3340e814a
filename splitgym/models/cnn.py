"""A small convolutional network for small images."""

from torch import nn

from splitgym.models.network import CuttableNetwork


def cnn(input_shape: tuple[int, int, int], classes: int) -> CuttableNetwork:
    """Two convolutions and two linear layers, no batch norm: units conv1, conv2, fc, head (L = 4).

    Args:
        input_shape: (channels, height, width) of one image, at least 4 x 4 because two poolings halve it twice.
        classes: Number of logits.

    Raises:
        ValueError: the image is smaller than 4 x 4.
    """
    channels, height, width = input_shape
    if min(height, width) < 4:
        raise ValueError(f"input_shape = {input_shape}: 'cnn' needs images of at least 4 x 4")
    return CuttableNetwork(
        {
            "conv1": _convolution(channels, 16),
            "conv2": _convolution(16, 32),
            "fc": nn.Sequential(nn.Flatten(), nn.Linear(32 * (height // 4) * (width // 4), 64), nn.ReLU()),
            "head": nn.Linear(64, classes),
        }
    )


def _convolution(channels_in: int, channels_out: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(channels_in, channels_out, kernel_size=3, padding=1), nn.ReLU(), nn.MaxPool2d(2))
