"""What the scheduler believes: old truth, and an estimate of the channel with errors."""

from splitgym.arrays import Floats
from splitgym.kernels import INLINED, kernel
from splitgym.kernels.functions import EXACT_ENOUGH, NEPERS_PER_DB, exp


@kernel(INLINED)
def fill_line(newest: Floats, coming: Floats) -> None:
    """Puts a truth, [n], at all places of truths not yet reported, [D, n]."""
    for d in range(coming.shape[0]):
        for k in range(newest.shape[0]):
            coming[d, k] = newest[k]


@kernel(INLINED)
def report(newest: Floats, coming: Floats, believed: Floats) -> None:
    """The oldest truth on its way becomes what is believed, and the newest goes the same way.

    Args:
        newest: [n] truth of the round.
        coming: [D, n] truths not yet reported, oldest first; D = 0: the newest is reported at once.
        believed: [n] filled.
    """
    delay = coming.shape[0]
    for k in range(newest.shape[0]):
        believed[k] = coming[0, k] if delay > 0 else newest[k]
        for d in range(1, delay):
            coming[d - 1, k] = coming[d, k]
        if delay > 0:
            coming[delay - 1, k] = newest[k]


@kernel(INLINED, fastmath=EXACT_ENOUGH)
def disturb(gain: Floats, error_db: float, numbers: Floats) -> None:
    """Errors of estimates, log-normal: [n] gains, changed, by [n] standard normal numbers."""
    for k in range(gain.shape[0]):
        gain[k] *= exp(NEPERS_PER_DB * error_db * numbers[k])
