"""How fast bytes go: a token bucket lets them through at the rate of a link."""

from collections.abc import Iterator

PIECE_S, DEPTH_S = 0.01, 0.1
"""Seconds that a piece lasts, and of tokens that a bucket holds at most."""
SMALLEST_PIECE, LARGEST_PIECE = 128, 2**16
"""Bytes."""


class TokenBucket:
    """Lets so many bytes through per second: by any time t after the start at most rate t, if it starts empty.

    Who comes late may catch up by at most `depth`.

    Attributes:
        bytes_per_s: The rate now.

    Args:
        bytes_per_s: The rate.
        depth: Tokens that it holds at most, bytes.
        now_s: The time now; it starts empty.
    """

    def __init__(self, bytes_per_s: float, depth: float, now_s: float) -> None:
        self.bytes_per_s, self._depth = bytes_per_s, depth
        self._level, self._now_s = 0.0, now_s

    def set_rate(self, bytes_per_s: float, depth: float, now_s: float) -> None:
        """From now on lets bytes through at another rate."""
        self._fill(now_s)
        self.bytes_per_s, self._depth = bytes_per_s, depth

    def take(self, size: int, now_s: float) -> float:
        """Takes tokens for so many bytes; seconds until there are enough of them."""
        self._fill(now_s)
        self._level -= size
        return self.short_s(now_s)

    def short_s(self, now_s: float) -> float:
        """Seconds until there are tokens for all that was taken, at the present rate."""
        self._fill(now_s)
        if self._level >= 0.0:
            return 0.0
        return -self._level / self.bytes_per_s if self.bytes_per_s > 0.0 else float("inf")

    def _fill(self, now_s: float) -> None:
        self._level = min(self._depth, self._level + (now_s - self._now_s) * self.bytes_per_s)
        self._now_s = now_s


def bucket(bytes_per_s: float, now_s: float) -> TokenBucket:
    """A bucket that holds enough for a sender that is woken late."""
    return TokenBucket(bytes_per_s, depth_at(bytes_per_s), now_s)


def depth_at(bytes_per_s: float) -> float:
    """Bytes that a sender may catch up who is woken late."""
    return max(DEPTH_S * bytes_per_s, piece_bytes(bytes_per_s))


def piece_bytes(bytes_per_s: float) -> int:
    """Bytes that are sent at a time."""
    return int(min(max(PIECE_S * bytes_per_s, SMALLEST_PIECE), LARGEST_PIECE))


def pieces(data: memoryview, tokens: TokenBucket) -> Iterator[memoryview]:
    """The bytes in the pieces in which they are sent, each by the rate that the bucket has then."""
    while len(data):
        size = piece_bytes(tokens.bytes_per_s)
        yield data[:size]
        data = data[size:]
