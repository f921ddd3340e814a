"""What asynchronous split learning trains: PSL of those who delivered, with weights that may look at absence."""

import copy
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from small_learners import decision, scenario
from torch import nn

from splitgym.envs.world import World
from splitgym.frameworks import get
from splitgym.frameworks.round_batch import RoundBatch
from splitgym.learning import Learner
from splitgym.learning.weights import ClientWeights
from splitgym.scenario import build
from splitgym.types import Decision

SHARE = np.array([0.4, 0.1, 0.3, 0.2])
UPDATES = ((0, 1, 2, 3), (0, 1), (0,), (0, 2), (0, 1, 2, 3))


def weights_of(kind: str, exponent: float = 0.5) -> list[np.ndarray]:
    training = build("toy", {"training": {"client_weights": kind, "weight_exponent": exponent}}).training
    weights, found = ClientWeights(SHARE, training), []
    for who in UPDATES:
        found.append(weights.of(who))
        weights.count(who)
    return found


@pytest.mark.parametrize(
    ("kind", "factor"),
    [
        ("none", [1, 1, 1, 1]),
        # Before the last update the clients were 0, 2, 0 and 3 updates away.
        ("fed-async", [1, 3**-0.5, 1, 4**-0.5]),
        ("stale-up", [1, 3**0.5, 1, 4**0.5]),
        # Of four updates they were in 4, 2, 2 and 1.
        ("inverse-participation", [5 / 5, 5 / 3, 5 / 3, 5 / 2]),
    ],
)
def test_weights_by_hand(kind: str, factor: list[float]) -> None:
    found = weights_of(kind)
    expected = SHARE * factor
    np.testing.assert_allclose(found[-1], expected / expected.sum(), rtol=1e-12)
    # Nobody was away before the first update.
    np.testing.assert_allclose(found[0], SHARE, rtol=1e-12)
    np.testing.assert_allclose([each.sum() for each in found], 1.0, rtol=1e-12)


def test_exponent_zero_weighs_nobody() -> None:
    for found, plain in zip(weights_of("stale-up", 0.0), weights_of("none"), strict=True):
        np.testing.assert_array_equal(found, plain)


def test_learner_trains_with_these_weights_and_keeps_them() -> None:
    seen: list[RoundBatch] = []
    framework = get("async-psl")

    def spy(nodes, batch: RoundBatch) -> bool:
        seen.append(batch)
        return framework.train(nodes, batch)

    settings = scenario(training={"client_weights": "stale-up", "weight_exponent": 1.0})
    learner = Learner(settings, replace(framework, train=spy))
    learner.round(decision((0, 1, 2, 3, 4)))
    learner.round(decision((0,)))
    saved = learner.state_dict()
    learner.round(decision((0, 1)))
    share = learner.data_share[:2] * [1, 2]
    torch.testing.assert_close(seen[-1].weights, torch.tensor(share / share.sum(), dtype=torch.float32))
    other = Learner(settings, framework)
    other.load_state_dict(saved)
    other.round(decision((0, 1)))
    assert other.outcome.loss == learner.outcome.loss
    for a, b in zip(other.nodes.server.units, learner.nodes.server.units, strict=True):
        for one, two in zip(a.state_dict().values(), b.state_dict().values(), strict=True):
            assert torch.equal(one, two)


def toy(framework: str, **training: object) -> World:
    overrides = {"clients": {"count": 3}, "radio": {"subchannels": 3}, "training": training}
    world = World(build("toy", overrides), get(framework), "train")
    world.reset([np.random.default_rng(5)], [0])
    return world


def everybody(world: World) -> Decision:
    return Decision(1, np.arange(3), np.full(3, 6e-7), np.ones(3, bool), 0.0).batch()


def parts(world: World) -> list[nn.Sequential]:
    """The three clients' parts, and the server's."""
    nodes = world._learner.learners[0].nodes
    return [nn.Sequential(*node.units) for node in nodes.clients] + [nn.Sequential(*nodes.server.units[1:])]


def test_with_a_quorum_of_all_weights_are_those_of_psl_to_the_bit() -> None:
    ours, theirs = toy("async-psl"), toy("psl")
    for _ in range(5):
        for world in (ours, theirs):
            assert world.play(everybody(world)).cost.participants.all()
        assert ours.outcome.accuracy == theirs.outcome.accuracy
        for a, b in zip(parts(ours), parts(theirs), strict=True):
            for one, two in zip(a.state_dict().values(), b.state_dict().values(), strict=True):
                assert torch.equal(one, two)


def test_quorum_of_one_is_one_client_after_the_other_against_one_server() -> None:
    """As SFL-V2 takes them, without its averaging: plain SGD on a client's mini-batch and then on the next one's."""
    world = toy("async-psl", quorum=1)
    plain, batches, rate = None, [], 0.3
    learner = world._learner.learners[0]
    train = learner.framework.train

    def spy(nodes, batch: RoundBatch) -> bool:
        batches.append((batch.participants, batch.images[0].clone(), batch.labels[0].clone()))
        return train(nodes, batch)

    learner.framework = replace(learner.framework, train=spy)
    order = []
    for _ in range(7):
        if plain is None:
            # The first cut has not been made: clients begin with the first unit of the network.
            server = learner.nodes.server.units
            plain = [nn.Sequential(copy.deepcopy(server[0])) for _ in range(3)] + [
                nn.Sequential(*copy.deepcopy(server[1:]))
            ]
        world.play(everybody(world))
        (who,), images, labels = batches[-1]
        order.append(who)
        client, server_part = plain[who], plain[3]
        loss = nn.functional.cross_entropy(server_part(client(images)), labels)
        client.zero_grad()
        server_part.zero_grad()
        loss.backward()
        with torch.no_grad():
            for weight in (*client.parameters(), *server_part.parameters()):
                weight.sub_(rate * weight.grad)
        assert learner.outcome.loss == pytest.approx(loss.item(), rel=1e-5)
    assert order == [0, 1, 2, 0, 1, 2, 0]
    for ours, theirs in zip(parts(world), plain, strict=True):
        for one, two in zip(ours.parameters(), theirs.parameters(), strict=True):
            torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-6)


def test_slow_clients_are_heard_less() -> None:
    overrides = {
        "clients": {"count": 4, "compute_min_hz": 2e4, "compute_max_hz": 2e6, "compute_spread": "log-uniform"},
        "radio": {"subchannels": 4},
        "training": {"quorum": 1},
    }
    world = World(build("toy", overrides), get("async-psl"), "train")
    world.reset([np.random.default_rng(2)], [0])
    heard: Counter[int] = Counter()
    decision = Decision(1, np.arange(4), np.full(4, 5e-7), np.ones(4, bool), 0.0).batch()
    for _ in range(40):
        heard.update(np.flatnonzero(world.play(decision).cost.participants[0]).tolist())
    speed = world.truth.client_hz[0]
    assert [heard[i] for i in np.argsort(speed)] == sorted(heard[i] for i in range(4))
    assert heard[int(np.argmax(speed))] > 5 * heard[int(np.argmin(speed))]
