"""The clients as computers: how fast they are, how much of that other work takes, and whether they are there at all."""

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

from splitgym.network.worlds import Bools, Floats, Generators, gauss_markov, standard_normal, uniform
from splitgym.scenario import Clients


@dataclass(frozen=True)
class Devices:
    """State of the clients' devices of N worlds at the start of a round."""

    nominal_hz: Floats
    """[N, C] speed without other work, cycles/s."""
    latent_load: Floats
    """[N, C] standard normal; its distribution function gives the load."""
    client_hz: Floats
    """[N, C] speed that is left for training, cycles/s."""
    available: Bools
    """[N, C]"""


def first_devices(rngs: Generators, clients: Clients) -> Devices:
    """Draws the devices at the start of an episode; all of them are available."""
    nominal_hz = draw_speed_hz(rngs, clients)
    shape = nominal_hz.shape
    latent_load = standard_normal(rngs, shape[1:]) if clients.load_max > 0 else np.zeros(shape)
    available = np.ones(shape, dtype=bool)
    return Devices(nominal_hz, latent_load, nominal_hz * (1 - load_share(clients, latent_load)), available)


def next_devices(rngs: Generators, clients: Clients, before: Devices) -> Devices:
    """The devices one round later."""
    latent_load, client_hz = before.latent_load, before.client_hz
    if clients.load_max > 0:
        latent_load = gauss_markov(rngs, latent_load, latent_correlation(clients.load_correlation))
        client_hz = before.nominal_hz * (1 - load_share(clients, latent_load))
    return Devices(before.nominal_hz, latent_load, client_hz, next_available(rngs, clients, before.available))


def draw_speed_hz(rngs: Generators, clients: Clients) -> Floats:
    """Draws the nominal speeds, [N, C] cycles/s, uniform or log-uniform between slowest and fastest."""
    share = uniform(rngs, (clients.count,))
    slowest, fastest = clients.compute_min_hz, clients.compute_max_hz
    if clients.compute_spread == "log-uniform":
        return slowest * (fastest / slowest) ** share
    return slowest + share * (fastest - slowest)


def load_share(clients: Clients, latent_load: Floats) -> Floats:
    """Share of the processor that other work takes, [N, C]: uniform in [0, load_max] (Gaussian copula)."""
    return clients.load_max * ndtr(latent_load)


def latent_correlation(load_correlation: float) -> float:
    """Correlation of two Gaussians whose distribution functions correlate by `load_correlation`: 2 sin(pi r / 6)."""
    return float(2 * np.sin(np.pi / 6 * load_correlation))


def next_available(rngs: Generators, clients: Clients, available: Bools) -> Bools:
    """One step of each client's two-state Markov chain, [N, C]; nothing happens where nobody drops out."""
    if clients.dropout_probability == 0:
        return available
    chance = uniform(rngs, available.shape[1:])
    return np.where(available, chance >= clients.dropout_probability, chance < clients.return_probability)
