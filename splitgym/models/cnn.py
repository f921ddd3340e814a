"""A small convolutional network for small images."""

from torch import nn

from splitgym.inputs import InputError
from splitgym.models.network import CuttableNetwork


def cnn(input_shape: tuple[int, int, int], classes: int) -> CuttableNetwork:
    """Two convolutions and two linear layers, no batch norm: units conv1, conv2, fc, head (L = 4).

    Args:
        input_shape: (channels, height, width) of one image, at least 2 x 2 because the pooling after conv2 halves it.
        classes: Number of logits.

    Raises:
        InputError: the image is smaller than 2 x 2.
    """
    channels, height, width = input_shape
    if min(height, width) < 2:
        raise InputError(f"input_shape = {input_shape}: 'cnn' needs images of at least 2 x 2")
    return CuttableNetwork(
        {
            "conv1": _convolution(channels, 16),
            # Pooled before the ReLU, which comes to the same and has a quarter of the work.
            "conv2": _convolution(16, 32, nn.MaxPool2d(2)),
            "fc": nn.Sequential(nn.Flatten(), nn.Linear(32 * (height // 2) * (width // 2), 64), nn.ReLU()),
            "head": nn.Linear(64, classes),
        }
    )


def _convolution(channels_in: int, channels_out: int, *pooling: nn.Module) -> nn.Sequential:
    convolution = nn.Conv2d(channels_in, channels_out, kernel_size=3, padding=1)
    return nn.Sequential(convolution, *pooling, nn.ReLU(inplace=True))
