"""Small random cells, and what the equations say about the uplink in them."""

from dataclasses import replace

import numpy as np

from splitgym.envs.system import system_of
from splitgym.frameworks import get
from splitgym.frameworks.phases import Access
from splitgym.models import build, profile
from splitgym.scenario import Scenario
from splitgym.scenario import build as build_scenario
from splitgym.timing import round_cost
from splitgym.types import Decision, RoundState

COSTS = profile(build("cnn", (1, 8, 8), 10), (1, 8, 8))
"""The network of the presets `iot` and `bandwidth-limited`, which the cells here are made from."""


def cell(
    seed: int,
    clients: int = 3,
    subchannels: int = 4,
    preset: str = "iot",
    decades: float = 2.0,
    total_dbm: float = 40.0,
    framework: str = "epsl",
    timeout_s: float = 1e5,
    **arrays: object,
) -> tuple[Scenario, RoundState]:
    """A cell whose gains lie within some decades around one at which the uplink matters as much as computing."""
    rng = np.random.default_rng(seed)
    scenario = build_scenario(
        preset,
        {
            "clients": {"count": clients},
            "radio": {"subchannels": subchannels, "total_power_max_dbm": total_dbm},
            "episode": {"round_timeout_s": timeout_s},
        },
    )
    values = {
        "channel_gain": 10 ** (-12 + rng.uniform(-decades / 2, decades / 2, (clients, subchannels))),
        "client_hz": scenario.clients.compute_max_hz * 10 ** rng.uniform(-0.7, 0, clients),
        "server_hz": scenario.server.compute_hz,
        "present": np.ones(clients, bool),
        "data_share": np.full(clients, 1 / clients),
        "class_share": np.full((clients, 10), 0.1),
        "client_loss": np.full(clients, 2.3),
        "accuracy": 0.1,
        "round": 0,
        "elapsed_s": 0.0,
        "cut_layer": 0,
        "client_cut_layer": np.zeros(clients, np.int64),
        "available": np.ones(clients, bool),
        "participated": np.zeros(clients, bool),
        "absence": np.zeros(clients),
        "experience": np.zeros(clients),
        "last_aggregation_ratio": 0.0,
        "last_latency_s": 0.0,
        "subchannel_hz": np.full(subchannels, scenario.radio.subchannel_hz),
        "system": system_of(scenario, get(framework)),
    }
    return scenario, RoundState(**{**values, **arrays})


def random_assignment(rng: np.random.Generator, clients: int, subchannels: int) -> np.ndarray:
    """Every client has at least one subchannel, every subchannel an owner."""
    rest = rng.integers(0, clients, subchannels - clients)
    return rng.permutation(np.concatenate([np.arange(clients), rest]))


def random_bands(rng: np.random.Generator, state: RoundState, cut: int, selected: np.ndarray, phi: float) -> Decision:
    """Any cut, powers and clusters; in its slot every client that is there has at least one subchannel."""
    access, (clients, subchannels) = state.system.program.access, state.channel_gain.shape
    cluster = rng.integers(0, 2, clients)
    slot = access.slot_of_clients(cluster)
    bands = np.full((int(slot.max()) + 1, subchannels), -1)
    for t, band in enumerate(bands):
        members = np.flatnonzero(selected & state.available & (slot == t))
        if len(members) > 0:
            band[:] = members[random_assignment(rng, len(members), subchannels)]
    psd = state.system.client_power_max_w / state.subchannel_hz.sum() * rng.uniform(0.1, 1, bands.shape)
    if access is Access.PARALLEL:
        bands, psd = bands[0], psd[0]
    return Decision(cut, bands, psd, selected, phi, cluster)


def until_uplink_s(scenario: Scenario, state: RoundState, decision: Decision) -> np.ndarray:
    """[C] seconds until each client's uplink has ended, parts that move included; of owners of subchannels only."""
    radio, b, j = scenario.radio, scenario.training.batch_size, int(decision.cut_layer)
    noise, seconds = radio.noise_psd_w_per_hz, np.full(len(state.client_hz), np.nan)
    for i in range(len(seconds)):
        own = np.flatnonzero(decision.assignment == i)
        if len(own) == 0:
            continue
        gain, held = state.channel_gain[i, own], int(state.client_cut_layer[i])
        up = radio.subchannel_hz * np.log2(1 + decision.power_w_per_hz[own] * gain / noise).sum()
        down = radio.subchannel_hz * np.log2(1 + radio.downlink_psd_w_per_hz * gain / noise).sum()
        fetch = COSTS.model_bits[held:j].sum() if 0 < held < j else 0.0
        give = COSTS.model_bits[j:held].sum() if held > j else 0.0
        compute = b * scenario.clients.cycles_per_flop * COSTS.forward_flops[:j].sum() / state.client_hz[i]
        seconds[i] = fetch / down + compute + (b * COSTS.activation_bits[j - 1] + give) / up
    return seconds


def spent_w(scenario: Scenario, decision: Decision, clients: int) -> np.ndarray:
    """[C] transmit power of each client."""
    return np.array(
        [decision.power_w_per_hz[decision.assignment == i].sum() * scenario.radio.subchannel_hz for i in range(clients)]
    )


def check_budgets(state: RoundState, decision: Decision) -> None:
    """Every slot by itself holds the budgets, up to rounding."""
    system = state.system
    for band, psd in zip(np.atleast_2d(decision.assignment), np.atleast_2d(decision.power_w_per_hz), strict=True):
        assert np.all(psd >= 0)
        assert not psd[band < 0].any()
        spent = [(psd * state.subchannel_hz)[band == i].sum() for i in range(len(state.client_hz))]
        assert max(spent) <= system.client_power_max_w * (1 + 1e-9)
        assert sum(spent) <= system.total_power_max_w * (1 + 1e-9)


def latency(state: RoundState, decision: Decision) -> float:
    return float(round_cost(state, decision).latency_s)


def with_timeout(state: RoundState, timeout_s: float) -> RoundState:
    return replace(state, system=replace(state.system, round_timeout_s=timeout_s))


def with_total(scenario: Scenario, state: RoundState, total_w: float) -> RoundState:
    return replace(state, system=replace(state.system, total_power_max_w=total_w))
