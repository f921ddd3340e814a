"""Scenes of rounds that are really played, for the tests of what is drawn of them."""

from typing import Any

import numpy as np

from splitgym.allocation import equal_shares
from splitgym.envs.camera import Camera
from splitgym.envs.world import World
from splitgym.frameworks import get
from splitgym.rendering import Scene
from splitgym.rounds import Decision, RoundState
from splitgym.scenario import build


def everybody(state: RoundState) -> Decision:
    """Everybody takes part with as many subchannels as the others, cut layer 1, nothing aggregated."""
    return equal_shares(state, 1, np.ones(len(state.client_hz), bool), state.ratio(0.0))


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
    camera = Camera(world, learner, "ansi")
    for _ in range(rounds):
        camera.follow(world, world.play(decide(world.truth.world(0)).batch()))
    return camera.scene()
