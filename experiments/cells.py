"""Random cells as schedulers see them before the first round; nothing is trained, and no data are read."""

from collections.abc import Sequence

import numpy as np

from splitgym import data
from splitgym.envs.system import system_of
from splitgym.frameworks import Framework
from splitgym.network import Network
from splitgym.random import Streams
from splitgym.scenario import Scenario
from splitgym.schedulers.allocations import ALLOCATIONS, Allocate
from splitgym.timing import round_cost
from splitgym.types import RoundState

ENDLESS_S = 1e9
"""A round timeout, s, beyond every round: nobody is left out."""


def random_states(scenario: Scenario, framework: Framework, seeds: Sequence[int | tuple[int, ...]]) -> list[RoundState]:
    """The true state of random cells at the start of an episode.

    All clients are there, hold as much data as each other and have learnt nothing. A seed stands for the same cell with
    every framework.

    Args:
        scenario: What world.
        framework: Whose rounds they are.
        seeds: One for each cell, as numpy takes them.
    """
    network, streams = Network(scenario, len(seeds)), Streams.empty(len(seeds))
    streams.begin_episodes(np.arange(len(seeds)), [np.random.default_rng(seed) for seed in seeds])
    network.reset(streams)
    system, clients = system_of(scenario, framework), scenario.clients.count
    _, classes = data.dimensions(scenario.task.dataset)
    return [
        RoundState(
            channel_gain=channel_gain.copy(),
            client_hz=client_hz.copy(),
            server_hz=scenario.server.compute_hz,
            present=np.ones(clients, bool),
            data_share=np.full(clients, 1 / clients),
            class_share=np.full((clients, classes), 1 / classes),
            client_loss=np.full(clients, np.log(classes)),
            accuracy=1 / classes,
            round=0,
            elapsed_s=0.0,
            cut_layer=0,
            client_cut_layer=np.zeros(clients, np.int64),
            available=np.ones(clients, bool),
            participated=np.zeros(clients, bool),
            absence=np.zeros(clients),
            experience=np.zeros(clients),
            last_aggregation_ratio=0.0,
            last_latency_s=0.0,
            subchannel_hz=np.full(system.subchannels, scenario.radio.subchannel_hz),
            system=system,
            prescribed_ratio=framework.prescribe([], scenario.training) if framework.prescribe else np.nan,
        )
        for channel_gain, client_hz in zip(network.channel_gain, network.client_hz, strict=True)
    ]


def mean_latency_s(
    states: Sequence[RoundState], aggregation_ratio: float, allocation: Allocate = ALLOCATIONS["descent"]
) -> float:
    """Mean latency of a round with everybody, s; of allocations that leave nothing to chance."""
    rng = np.random.default_rng(0)
    decisions = [allocation(state, state.available, aggregation_ratio, rng) for state in states]
    costs = [round_cost(state, decision) for state, decision in zip(states, decisions, strict=True)]
    return float(np.mean([cost.latency_s for cost in costs]))
