"""Pillow, or a word on how to get it."""

try:
    from PIL import Image, ImageColor, ImageDraw, ImageFont
except ImportError as error:
    raise ImportError("drawing frames needs Pillow, pip install 'splitgym[render]'") from error

__all__ = ["Image", "ImageColor", "ImageDraw", "ImageFont"]
