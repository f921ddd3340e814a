"""Codecs of split learning: how smashed data and their gradients are encoded for the link. One file for each family."""

from splitgym.frameworks.codecs.codec import CODECS, Codec, Context, Costs, Decoded, Encoded, codec
from splitgym.frameworks.codecs.fixed_point import codecs_at

__all__ = ["CODECS", "Codec", "Context", "Costs", "Decoded", "Encoded", "codec", "codecs_at"]
