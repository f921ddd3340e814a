"""The learner with a path of servers: placements of each round, what they move, and what is kept of them."""

import io

import numpy as np
import torch
from small_learners import CLIENTS, SCHEDULE, decision, scenario, weights

from splitgym.frameworks import get
from splitgym.frameworks.placements import Placement
from splitgym.learning import Learner
from splitgym.learning.real import RealLearners
from splitgym.models import build, profile
from splitgym.random import Streams
from splitgym.types import Decision

MULTI_HOP = get("splitgym.frameworks.multi_hop:FRAMEWORK")
PATHS = (
    Placement(("server", "cloud"), (2,)),
    Placement(("cloud", "server"), (2,)),
    Placement(("server",), ()),
    Placement(("a", "b", "server"), (1, 2)),
)


def play(learner: Learner, steps: range, paths: bool) -> None:
    for step in steps:
        selected, cut, *_ = SCHEDULE[step % len(SCHEDULE)]
        learner.round(decision(selected, cut), placement=PATHS[step % len(PATHS)] if paths else None)


def test_it_learns_what_psl_learns_and_goes_on_from_a_file() -> None:
    settings = scenario()
    psl, path, again = (Learner(settings, framework, 3, "cpu") for framework in ("psl", MULTI_HOP, MULTI_HOP))
    play(psl, range(9), paths=False)
    play(path, range(5), paths=True)
    file = io.BytesIO()
    torch.save(path.state_dict(), file)
    file.seek(0)
    again.load_state_dict(torch.load(file, weights_only=True))
    assert again.nodes.placement == path.nodes.placement
    for learner in (path, again):
        play(learner, range(5, 9), paths=True)
        assert learner.outcome.accuracy == psl.outcome.accuracy
        np.testing.assert_array_equal(learner.outcome.client_loss, psl.outcome.client_loss)
        assert all(torch.equal(a, b) for a, b in zip(weights(learner), weights(psl), strict=True))


def test_what_moves_is_said_of_every_round() -> None:
    """Weights of an MLP and the momentum of each: the last unit when it changes its server, nothing else."""
    *_, last = profile(build("mlp", (1, 8, 8), 10), (1, 8, 8)).model_bits
    learner, moved = Learner(scenario(task={"model": "mlp"}), MULTI_HOP, 0, "cpu"), []
    for path, who in ((0, (0, 1)), (0, (0, 1)), (1, ()), (1, (2,)), (2, (1,)), (2, (1,))):
        learner.round(decision(who, 2), placement=PATHS[path])
        moved.append(learner.moved_bits)
    assert moved == [0, 0, 0, 2 * last, 0, 0]
    assert learner.nodes.placement == PATHS[2]


def test_every_world_has_a_placement_of_its_own() -> None:
    settings, worlds = scenario(), 2
    learners = RealLearners(settings, MULTI_HOP, worlds, "cpu")
    rngs = [np.random.default_rng(world) for world in range(worlds)]
    learners.reset(np.arange(worlds), rngs, Streams.empty(worlds), np.full(worlds, CLIENTS), np.full(worlds, 0.5))
    everybody = np.ones((worlds, CLIENTS), np.bool_)
    both = Decision.stack([decision()] * worlds)
    learners.round(both, everybody, Streams.empty(worlds), placements=PATHS[1:3])
    assert [learner.nodes.placement for learner in learners.learners] == list(PATHS[1:3])
