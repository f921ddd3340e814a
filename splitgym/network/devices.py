"""The clients as computers: how fast they are, how much of that other work takes, and whether they are there at all."""

from splitgym.arrays import Bools, Floats, Ints
from splitgym.kernels import INLINED, NO_REFCOUNT, kernel
from splitgym.kernels.functions import EXACT_ENOUGH, normal_distribution
from splitgym.network.family import scale_between, value_between
from splitgym.random import Purpose, Streams, fill_uniforms

MEMORY = int(Purpose.MEMORY)


@kernel(INLINED)
def speed_hz(compute_hz: tuple[float, float], log_uniform: bool, chance: float) -> float:
    """Nominal speed, cycles/s, (log-)uniform between slowest and fastest client, by a uniform number in (0, 1)."""
    return scale_between(compute_hz, chance) if log_uniform else value_between(compute_hz, chance)


@kernel(INLINED, fastmath=EXACT_ENOUGH)
def fill_spare_hz(nominal_hz: Floats, latent_load: Floats, load_max: float, spare_hz: Floats) -> None:
    """Speed that other work leaves, [C] cycles/s; it takes a share uniform in [0, load_max] (Gaussian copula)."""
    for i in range(nominal_hz.shape[0]):
        spare_hz[i] = nominal_hz[i] * (1.0 - load_max * normal_distribution(latent_load[i]))


@kernel(NO_REFCOUNT)
def fill_memory(
    which: Ints, streams: Streams, memory_bytes: tuple[float, float], memory: Floats, numbers: Floats
) -> None:
    """Memories of the clients of some worlds ([W] indices), [N, C] bytes, log-uniform in the range; [C] workspace."""
    for n in which:
        fill_uniforms(streams, n, MEMORY, memory.shape[1], numbers)
        for i in range(memory.shape[1]):
            memory[n, i] = scale_between(memory_bytes, numbers[i])


@kernel(INLINED)
def update_available(available: Bools, present: Bools, dropout: float, comes_back: float, chances: Floats) -> None:
    """One step of each client's two-state Markov chain, [C], by uniform numbers in (0, 1)."""
    for i in range(available.shape[0]):
        stays = chances[i] >= dropout if available[i] else chances[i] < comes_back
        available[i] = stays and present[i]
