"""VGG-19 (Simonyan and Zisserman, Very Deep Convolutional Networks, ICLR 2015, configuration E) for small images."""

from torch import nn

from splitgym.models.network import CuttableNetwork, HeConvolution

_BLOCKS = ((2, 64), (2, 128), (4, 256), (4, 512), (4, 512))
"""Convolutions of each block, and their channels."""


def vgg19(input_shape: tuple[int, int, int], classes: int) -> CuttableNetwork:
    """VGG-19 with a unit for each layer (L = 25): 16 convolutions, five poolings, resizing, three linear layers.

    Poolings pad by one row, as in the networks whose seconds on devices have been published; nothing is dropped out.
    Its weights take half a gigabyte.

    Args:
        input_shape: (channels, height, width) of one image; only the channels matter.
        classes: Number of logits.
    """
    units: dict[str, nn.Module] = {}
    before = input_shape[0]
    for block, (convolutions, channels) in enumerate(_BLOCKS, start=1):
        for number in range(1, convolutions + 1):
            layer = HeConvolution(before, channels, kernel_size=3, padding=1)
            units[f"conv{block}_{number}"] = nn.Sequential(layer, nn.ReLU(inplace=True))
            before = channels
        units[f"pool{block}"] = nn.MaxPool2d(kernel_size=2, stride=2, padding=1)
    units["resize"] = nn.Sequential(nn.AdaptiveAvgPool2d(7), nn.Flatten())
    units["fc1"] = nn.Sequential(nn.Linear(before * 7 * 7, 4096), nn.ReLU(inplace=True))
    units["fc2"] = nn.Sequential(nn.Linear(4096, 4096), nn.ReLU(inplace=True))
    units["head"] = nn.Linear(4096, classes)
    return CuttableNetwork(units)
