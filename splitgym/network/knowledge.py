"""What the scheduler believes: old truth, and an estimate of the channel with errors."""

from dataclasses import dataclass

import numpy as np

from splitgym.arrays import Bools, Floats
from splitgym.network.channel import Channel
from splitgym.network.devices import Devices
from splitgym.random import Generators, NormalBlock, standard_normal
from splitgym.scenario import Knowledge, Scenario


@dataclass(frozen=True)
class Belief:
    """What is believed in N worlds at the start of a round, and the truths that are still on their way."""

    channel_gain: Floats
    """[N, C, M] linear."""
    client_hz: Floats
    """[N, C] cycles/s."""
    available: Bools
    """[N, C] as announced before the round: a client may have vanished since."""
    coming_gain: Floats
    """[N, channel_delay_rounds, C, M] gains not yet reported, oldest first."""
    coming_hz: Floats
    """[N, compute_delay_rounds, C] speeds not yet reported, oldest first."""


def numbers_per_round(scenario: Scenario) -> int:
    """Standard normal numbers that the errors of a world's channel estimates need for a round."""
    return scenario.clients.count * scenario.radio.subchannels * (scenario.knowledge.channel_error_db > 0)


def first_belief(rngs: Generators | NormalBlock, knowledge: Knowledge, channel: Channel, devices: Devices) -> Belief:
    """The belief at the start of an episode: everybody is there, and the first truth stands in for older ones."""
    coming_gain = np.repeat(channel.gain[:, None], knowledge.channel_delay_rounds, axis=1)
    coming_hz = np.repeat(devices.client_hz[:, None], knowledge.compute_delay_rounds, axis=1)
    return _belief(rngs, knowledge, channel, devices, devices.available, coming_gain, coming_hz)


def next_belief(
    rngs: Generators | NormalBlock,
    knowledge: Knowledge,
    before: Belief,
    announced: Bools,
    channel: Channel,
    devices: Devices,
) -> Belief:
    """The belief one round later; `announced` [N, C] says which clients were there in the round before."""
    return _belief(rngs, knowledge, channel, devices, announced, before.coming_gain, before.coming_hz)


def _belief(
    rngs: Generators | NormalBlock,
    knowledge: Knowledge,
    channel: Channel,
    devices: Devices,
    announced: Bools,
    coming_gain: Floats,
    coming_hz: Floats,
) -> Belief:
    """What the scheduler believes: what was reported with a delay, with the error of the estimate."""
    reported_gain, coming_gain = _report(coming_gain, channel.gain)
    reported_hz, coming_hz = _report(coming_hz, devices.client_hz)
    if knowledge.channel_error_db > 0:
        error_db = knowledge.channel_error_db * standard_normal(rngs, reported_gain.shape[1:])
        reported_gain = reported_gain * 10 ** (error_db / 10)
    return Belief(reported_gain, reported_hz, announced, coming_gain, coming_hz)


def _report(coming: Floats, newest: Floats) -> tuple[Floats, Floats]:
    """Puts the newest truth [N, ...] at the end of the delay line [N, D, ...]; returns the oldest and the rest."""
    if coming.shape[1] == 0:
        return newest, coming
    line = np.concatenate([coming, newest[:, None]], axis=1)
    return np.ascontiguousarray(line[:, 0]), line[:, 1:]
