"""Pillow, or a word on how to get it."""

from splitgym.inputs import MissingExtraError

try:
    from PIL import GifImagePlugin, Image, ImageColor, ImageDraw, ImageFont
except ImportError as error:
    raise MissingExtraError("drawing frames needs Pillow, pip install 'splitgym[render]'") from error

__all__ = ["GifImagePlugin", "Image", "ImageColor", "ImageDraw", "ImageFont"]
