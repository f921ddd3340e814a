"""ResNet-18 (He et al., Deep Residual Learning for Image Recognition, CVPR 2016, Table 1)."""

from torch import Tensor, nn

from splitgym.models.network import CuttableNetwork

_WIDTHS = (64, 64, 128, 128, 256, 256, 512, 512)


def resnet18(input_shape: tuple[int, int, int], classes: int, stem: str = "7x7") -> CuttableNetwork:
    """ResNet-18: units stem, block1 to block8, head (L = 10).

    Args:
        input_shape: (channels, height, width) of one image; only the channels matter.
        classes: Number of logits.
        stem: "7x7" quarters the image before the first block, as in the paper; "3x3" keeps its size, for small images.

    Raises:
        ValueError: unknown stem.
    """
    stems = {"7x7": _quartering_stem, "3x3": _full_size_stem}
    if stem not in stems:
        raise ValueError(f"stem = {stem!r}: allowed are {', '.join(map(repr, stems))}")
    units: dict[str, nn.Module] = {"stem": stems[stem](input_shape[0])}
    width_before = _WIDTHS[0]
    for number, width in enumerate(_WIDTHS, start=1):
        units[f"block{number}"] = ResidualBlock(width_before, width)
        width_before = width
    units["head"] = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width_before, classes))
    return CuttableNetwork(units)


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions beside a shortcut; where the width grows, both halve the image."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        grows = channels_in != channels_out
        stride = 2 if grows else 1
        self.residual = nn.Sequential(
            nn.Conv2d(channels_in, channels_out, kernel_size=3, stride=stride, padding=1, bias=False),
            nn.BatchNorm2d(channels_out),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels_out, channels_out, kernel_size=3, padding=1, bias=False),
            nn.BatchNorm2d(channels_out),
        )
        self.shortcut = _projection(channels_in, channels_out, stride) if grows else nn.Identity()
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """Maps [samples, channels_in, h, w] to [samples, channels_out, h / stride, w / stride], rounded up."""
        return self.relu(self.residual(x) + self.shortcut(x))


def _projection(channels_in: int, channels_out: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, kernel_size=1, stride=stride, bias=False),
        nn.BatchNorm2d(channels_out),
    )


def _quartering_stem(channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, _WIDTHS[0], kernel_size=7, stride=2, padding=3, bias=False),
        nn.BatchNorm2d(_WIDTHS[0]),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(kernel_size=3, stride=2, padding=1),
    )


def _full_size_stem(channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, _WIDTHS[0], kernel_size=3, padding=1, bias=False),
        nn.BatchNorm2d(_WIDTHS[0]),
        nn.ReLU(inplace=True),
    )
