"""Pictures: from standardised images, how alike they are, and as text that stands in a table."""

import base64
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from splitgym.inputs import MissingExtraError

Images = NDArray[np.float32]
"""[n, height, width, channels] with values 0..1."""


class Scale:
    """From standardised images to pictures, whose values in each channel lie between 0 and 1 over some of them.

    Args:
        images: [n, channels, height, width] of which each channel's least value becomes 0, its greatest 1.
    """

    def __init__(self, images: Tensor) -> None:
        self._least, self._greatest = images.amin((0, 2, 3), keepdim=True), images.amax((0, 2, 3), keepdim=True)

    def pictures(self, images: Tensor) -> Images:
        """Pictures of images, [n, channels, height, width]; values beyond the scale are cut off."""
        scaled = (images - self._least) / (self._greatest - self._least)
        return scaled.clamp(0, 1).movedim(1, 3).numpy()


def quality(originals: Images, found: Images) -> dict[str, float]:
    """Mean over the images of the peak signal-to-noise ratio, dB, and of the structural similarity (windows of 7).

    Raises:
        MissingExtraError: the extra `privacy` is not installed.
    """
    try:
        from skimage.metrics import peak_signal_noise_ratio, structural_similarity  # noqa: PLC0415 - an extra
    except ModuleNotFoundError as error:
        raise MissingExtraError("privacy needs: pip install 'splitgym[privacy]'") from error
    pairs = list(zip(originals, found, strict=True))
    ssim = [structural_similarity(a, b, win_size=7, data_range=1.0, channel_axis=-1) for a, b in pairs]
    psnr = [peak_signal_noise_ratio(a, b, data_range=1.0) for a, b in pairs]
    return {"psnr_db": float(np.mean(psnr)), "ssim": float(np.mean(ssim))}


def strip(pictures: Images) -> str:
    """The pictures side by side, as a PNG in base64; empty without any."""
    if len(pictures) == 0:
        return ""
    file, bytes_ = BytesIO(), np.rint(255 * np.concatenate(list(pictures), 1)).astype(np.uint8)
    Image.fromarray(bytes_.squeeze()).save(file, "PNG", optimize=True)
    return base64.b64encode(file.getvalue()).decode()


def opened(text: str) -> NDArray[np.uint8]:
    """What `strip` has made into text."""
    return np.asarray(Image.open(BytesIO(base64.b64decode(text))))
