"""A network small enough to be counted by hand."""

from torch import nn

from splitgym.models.network import CuttableNetwork


def mlp(input_shape: tuple[int, int, int], classes: int) -> CuttableNetwork:
    """Two hidden layers of 32 and 16 neurons: units fc1, fc2, head (L = 3).

    Args:
        input_shape: (channels, height, width) of one image.
        classes: Number of logits.
    """
    channels, height, width = input_shape
    return CuttableNetwork(
        {
            "fc1": nn.Sequential(nn.Flatten(), nn.Linear(channels * height * width, 32), nn.ReLU()),
            "fc2": nn.Sequential(nn.Linear(32, 16), nn.ReLU()),
            "head": nn.Linear(16, classes),
        }
    )
