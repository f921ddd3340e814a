"""Cells with three stations, one beside the server and two behind a chain of links, and clients drawn among them."""

from dataclasses import replace

import numpy as np
from small_cells import cell

from splitgym.envs.system import system_of
from splitgym.frameworks import get
from splitgym.scenario import Scenario
from splitgym.types import RoundState

NAMES = ("here", "near", "far")
RATES = {"inner": 2e6, "outer": 1e6}
"""Bits/s of the links here - near and near - far."""
WAYS = {"here": (), "near": ("inner",), "far": ("outer", "inner")}


def stations(rates=None, delay_s=0.0):
    """The sections of a scenario with these stations and links."""
    rows = [{"name": name, "position_m": (300.0 * k, 0.0)} for k, name in enumerate(NAMES)]
    rows[0]["node"] = "server"
    links = [
        {"name": name, "ends": ends, "bits_per_s": (rates or RATES)[name], "delay_s": delay_s}
        for name, ends in (("inner", ("here", "near")), ("outer", ("near", "far")))
    ]
    return {"stations": rows, "links": links}


def shared_s_per_bit(station, rates=None):
    """[C] seconds that a bit of each client needs on its way, with even shares of each link."""
    ways = [WAYS[NAMES[s]] for s in station]
    sharing = {name: sum(name in way for way in ways) for name in RATES}
    return np.array([sum(sharing[name] / (rates or RATES)[name] for name in way) for way in ways])


def attached_cell(
    seed: int, framework: str = "epsl", clients: int = 4, subchannels: int = 6, rates=None, delay_s=0.0, **options
) -> tuple[Scenario, RoundState]:
    """A small cell whose clients belong to random stations, some of them just handed over."""
    rng = np.random.default_rng(seed)
    scenario, state = cell(seed, clients, subchannels, framework=framework, **{"timeout_s": 1e9, **options})
    scenario = type(scenario).model_validate(scenario.model_dump() | stations(rates, delay_s))
    system = replace(system_of(scenario, get(framework)), round_timeout_s=state.system.round_timeout_s)
    station = rng.integers(0, 3, clients)
    return scenario, replace(
        state,
        system=system,
        station=station,
        interruption_s=rng.choice([0.0, 0.3], clients),
        wired_s_per_bit=shared_s_per_bit(station, rates)[:, None],
    )
