"""Water-filling: the largest rate that a power can buy on some subchannels."""

from splitgym.arrays import Floats, Ints
from splitgym.kernels import COMPILED, kernel
from splitgym.timing.rates import subchannel_rate


@kernel(COMPILED)
def largest_rate(
    power_w: float, gain: Floats, best_first: Ints, mine: Ints, client: int, hz: Floats, noise: float, psd: Floats
) -> float:
    """Spreads a client's power for the largest rate: p_k = max(0, mu - N0 / g_k) with sum_k B_k p_k = power.

    The level mu is found by taking subchannels in as long as their own N0 / g_k lies below the level of those before.

    Args:
        power_w: W, not negative.
        gain: [M] of the client, linear, antenna gains included.
        best_first: [M] indices of the subchannels by falling gain.
        mine: [M] owner of each subchannel; those of `client` count.
        client: The client.
        hz: [M] bandwidths, Hz.
        noise: N0, W/Hz.
        psd: [M] W/Hz; filled where the client has the subchannel, and else left as it is.

    Returns:
        The rate, bits/s.
    """
    wet_hz = 0.0
    power_and_noise_w = power_w
    for k in best_first:
        if mine[k] == client:
            if gain[k] * power_and_noise_w <= noise * wet_hz:
                break
            wet_hz += hz[k]
            power_and_noise_w += hz[k] * noise / gain[k]
    rate = 0.0
    for k in range(mine.shape[0]):
        if mine[k] == client:
            psd[k] = max(power_and_noise_w / wet_hz - noise / gain[k], 0.0) if wet_hz > 0.0 and gain[k] > 0.0 else 0.0
            rate += subchannel_rate(hz[k], psd[k], gain[k], noise)
    return rate
