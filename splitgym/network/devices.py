"""The clients as computers: how fast they are, how much of that other work takes, and whether they are there at all."""

from dataclasses import dataclass
from functools import lru_cache
from math import erfc, sqrt

import numpy as np

from splitgym.arrays import Bools, Floats
from splitgym.kernels import COMPILED, kernel
from splitgym.network.family import draw_count, draw_scale
from splitgym.network.worlds import gauss_markov
from splitgym.random import Generators, NormalBlock, standard_normal, uniform
from splitgym.scenario import Clients, Family


@dataclass(frozen=True)
class Devices:
    """State of the clients' devices of N worlds at the start of a round."""

    present: Bools
    """[N, C] clients that belong to the episode at all."""
    nominal_hz: Floats
    """[N, C] speed without other work, cycles/s."""
    latent_load: Floats
    """[N, C] standard normal; its distribution function gives the load."""
    client_hz: Floats
    """[N, C] speed that is left for training, cycles/s."""
    available: Bools
    """[N, C]"""


def numbers_per_round(clients: Clients) -> int:
    """Standard normal numbers that a world's devices need for a round."""
    return clients.count * ((clients.load_max > 0) + (clients.dropout_probability > 0))


def numbers_at_first(clients: Clients, family: Family) -> int:
    """Standard normal numbers that a world's devices need at the start of an episode."""
    drawn = (family.clients is not None) + (family.compute_factor is not None)
    return clients.count * (1 + (clients.load_max > 0)) + drawn


def first_devices(rngs: Generators | NormalBlock, clients: Clients, family: Family) -> Devices:
    """Draws the devices at the start of an episode; all that are present are available."""
    present = np.arange(clients.count) < draw_count(rngs, family.clients, clients.count)[:, None]
    factor = draw_scale(rngs, family.compute_factor, 1.0)
    nominal_hz = draw_speed_hz(rngs, clients) * factor[:, None]
    shape = nominal_hz.shape
    latent_load = standard_normal(rngs, shape[1:]) if clients.load_max > 0 else np.zeros(shape)
    return Devices(present, nominal_hz, latent_load, spare_hz(nominal_hz, latent_load, clients.load_max), present)


def next_devices(rngs: Generators | NormalBlock, clients: Clients, before: Devices) -> Devices:
    """The devices one round later."""
    latent_load, client_hz = before.latent_load, before.client_hz
    if clients.load_max > 0:
        latent_load = gauss_markov(rngs, latent_load, latent_correlation(clients.load_correlation))
        client_hz = spare_hz(before.nominal_hz, latent_load, clients.load_max)
    available = next_available(rngs, clients, before.available) & before.present
    return Devices(before.present, before.nominal_hz, latent_load, client_hz, available)


def draw_speed_hz(rngs: Generators | NormalBlock, clients: Clients) -> Floats:
    """Draws the nominal speeds, [N, C] cycles/s, uniform or log-uniform between slowest and fastest."""
    share = uniform(rngs, (clients.count,))
    slowest, fastest = clients.compute_min_hz, clients.compute_max_hz
    if clients.compute_spread == "log-uniform":
        return slowest * (fastest / slowest) ** share
    return slowest + share * (fastest - slowest)


@kernel(COMPILED)
def spare_hz(nominal_hz: Floats, latent_load: Floats, load_max: float) -> Floats:
    """Speed that other work leaves, [N, C] cycles/s; it takes a share uniform in [0, load_max] (Gaussian copula)."""
    spare = np.empty(nominal_hz.shape)
    for n in range(nominal_hz.shape[0]):
        for i in range(nominal_hz.shape[1]):
            spare[n, i] = nominal_hz[n, i] * (1 - load_max * 0.5 * erfc(-latent_load[n, i] / sqrt(2.0)))
    return spare


@lru_cache(maxsize=32)
def latent_correlation(load_correlation: float) -> float:
    """Correlation of two Gaussians whose distribution functions correlate by `load_correlation`: 2 sin(pi r / 6)."""
    return float(2 * np.sin(np.pi / 6 * load_correlation))


def next_available(rngs: Generators | NormalBlock, clients: Clients, available: Bools) -> Bools:
    """One step of each client's two-state Markov chain, [N, C]; nothing happens where nobody drops out."""
    if clients.dropout_probability == 0:
        return available
    chance = uniform(rngs, available.shape[1:])
    return np.where(available, chance >= clients.dropout_probability, chance < clients.return_probability)
