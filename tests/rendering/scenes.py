"""Scenes of rounds that are really played, for the tests of what is drawn of them."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from splitgym.allocation import equal_shares
from splitgym.envs.recorder import Recorder
from splitgym.envs.world import World
from splitgym.frameworks import get
from splitgym.rendering import Scene
from splitgym.scenario import build
from splitgym.types import Decision, Plan, RoundState


def everybody(state: RoundState) -> Decision:
    """Everybody takes part with as many subchannels as the others, cut layer 1, nothing aggregated."""
    return equal_shares(state, Plan(1, state.ratio(0.0)), np.ones(len(state.client_hz), bool))


def each_its_own(cut_layer: Sequence[int], codec: Sequence[int]) -> Callable[[RoundState], Decision]:
    """As `everybody`, but cut layers and codecs go round the clients."""

    def decide(state: RoundState) -> Decision:
        clients = len(state.client_hz)
        plan = Plan(np.resize(cut_layer, clients), 0.0, 0, np.resize(codec, clients))
        return equal_shares(state, plan, np.ones(clients, bool))

    return decide


def scene_of(
    scenario: str,
    framework: str = "epsl",
    decide: Any = everybody,
    rounds: int = 1,
    seed: int = 0,
    learner: str = "train",
    **overrides: Any,
) -> Scene:
    """The scene after some rounds; `decide` answers the true state with a decision."""
    world = World(build(scenario, overrides), get(framework), learner)
    world.reset([np.random.default_rng(seed)], [0])
    recorder = Recorder(world, learner, "ansi")
    for _ in range(rounds):
        recorder.follow(world, world.play(decide(world.truth.world(0)).batch()))
    return recorder.scene()
