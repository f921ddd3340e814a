"""Rounds of two cells at growing distance: each subchannel once in both, all of them in both, or as the descent does.

Clients are on circles around their stations, without shadowing and fading; their computers are fast, so that a round is
as long as its radio makes it.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from experiments.cells import random_states
from experiments.running import Case, Row
from splitgym.allocation import descent, in_index_order
from splitgym.arrays import Floats
from splitgym.envs.reused_band import NO_GAIN
from splitgym.frameworks import get
from splitgym.network.path_loss import path_loss_db
from splitgym.scenario import Scenario, build
from splitgym.types import RoundState

DISTANCES_M = (200.0, 250.0, 300.0, 350.0, 400.0, 500.0, 700.0, 1000.0, 1500.0)
"""Between the stations."""
CIRCLE_M = 100.0
"""Radius of the circles."""
FAST_HZ = 10e9
"""Of all clients, cycles/s."""
CELLS = 10
"""Drawn for each seed, and the same at all distances."""
COORDINATED, EVERYWHERE, CHOSEN = "coordinated", "everywhere", "universal"
"""Each subchannel at one station; each at both, as many for each client; what the descent finds with reuse."""


def cases(quick: bool) -> list[Case]:
    """The distances."""
    return [{"place": "two cells", "distance_m": each} for each in (DISTANCES_M[::4] if quick else DISTANCES_M)]


def measure(distance_m: float, seed: int) -> list[Row]:
    """A row for each cell and way to use the band."""
    rows: list[Row] = []
    for number in range(CELLS * seed, CELLS * (seed + 1)):
        state = two_cells(distance_m, number)
        everybody = state.available
        of_way = {
            COORDINATED: descent(state.coordinated(), everybody, 0.0),
            EVERYWHERE: descent(state, everybody, 0.0, assignment=in_index_order(state, everybody)),
            CHOSEN: descent(state, everybody, 0.0),
        }
        rows += [{"episode": number, "reuse": way, "round_s": float(of.latency_s)} for way, of in of_way.items()]
    return rows


def scenario() -> Scenario:
    """`iot` with fast clients and two stations, half of the clients at each."""
    stations = [
        {"name": "west", "position_m": (-100.0, 0.0), "node": "server"},
        {"name": "east", "position_m": (100.0, 0.0)},
    ]
    links = [{"name": "wire", "ends": ("west", "east"), "bits_per_s": 1e9}]
    fast = {"compute_min_hz": FAST_HZ, "compute_max_hz": FAST_HZ}
    radio = {"frequency_reuse": "universal"}
    return build("iot", {"stations": stations, "links": links, "radio": radio, "clients": fast})


def two_cells(distance_m: float, seed: int) -> RoundState:
    """A state in which both stations use the whole band, and nobody has sent yet."""
    at = scenario()
    (drawn,) = random_states(at, get("psl"), [seed])
    clients, band = at.clients.count, drawn.system.subchannels
    station = np.repeat([0, 1], [clients // 2, clients - clients // 2])
    stations = np.array([0.0, distance_m])
    angle = np.random.default_rng([seed, 1]).uniform(0.0, 2 * np.pi, clients)
    x, y = stations[station] + CIRCLE_M * np.cos(angle), CIRCLE_M * np.sin(angle)
    gain = gains(at, np.hypot(x[:, None] - stations, y[:, None]))
    own = np.arange(band) // (band // 2) == station[:, None]
    return replace(
        drawn,
        station=station,
        channel_gain=np.where(own, gain[np.arange(clients), station][:, None], NO_GAIN),
        station_gain=gain,
        uplink_interference=np.zeros(band),
        downlink_interference=np.zeros((clients, band)),
    )


def gains(at: Scenario, distance_m: Floats) -> Floats:
    """[...] linear gains at some distances, all of them out of sight."""
    loss_db = path_loss_db(at.cell, at.radio.carrier_hz, distance_m, np.zeros(np.shape(distance_m), bool))
    return np.asarray(at.radio.antenna_gain * 10 ** (-loss_db / 10))


def uplink_gains_by_reuse(snr: Floats, inr: Floats) -> Floats:
    """Whether the whole band with interference carries more than half of it with the same power and none.

    log2(1 + s / (1 + i)) > log2(1 + 2 s) / 2, which is i < (sqrt(1 + 2 s) - 1) / 2.

    Args:
        snr: s, power of the signal over that of the noise, on the whole band.
        inr: i, power of the interference over that of the noise.
    """
    return np.asarray(inr < (np.sqrt(1 + 2 * snr) - 1) / 2)


def downlink_gains_by_reuse(snr: Floats, inr: Floats) -> Floats:
    """Likewise of a downlink with the same power density in both: i < sqrt(1 + s)."""
    return np.asarray(inr < np.sqrt(1 + snr))


def break_even_m() -> tuple[float, float]:
    """Distances between stations from which on reuse carries more, up and down, by the closed form.

    Of clients as far from the other station as the stations are from each other.
    """
    at = scenario()
    radio, clients = at.radio, at.clients.count
    power_w = min(radio.client_power_max_w, radio.total_power_max_w / clients) * clients / 2
    noise, metres = radio.noise_psd_w_per_hz, np.arange(CIRCLE_M, 20 * CIRCLE_M)
    up, down = power_w / (radio.subchannels * radio.subchannel_hz), radio.downlink_psd_w_per_hz
    own, other = gains(at, np.array(CIRCLE_M)), gains(at, metres)
    won: Sequence[Floats] = (
        uplink_gains_by_reuse(up * own / noise, up * other / noise),
        downlink_gains_by_reuse(down * own / noise, down * other / noise),
    )
    first, second = (float(metres[int(each.argmax())]) for each in won)
    return first, second
