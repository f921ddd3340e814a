"""What asynchronous split federated learning trains: copies of common units, given back when the clients are back."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from small_learners import assert_same
from torch import Tensor, nn

from splitgym.envs.world import World
from splitgym.frameworks import Framework, async_sfl, get
from splitgym.frameworks.round_batch import RoundBatch
from splitgym.frameworks.snapshots import state_of
from splitgym.learning import Learner
from splitgym.scenario import build
from splitgym.timing import RoundCost
from splitgym.types import Decision

RATE = 0.3
"""Of the preset `toy`, for clients and server."""


def toy(framework: str | Framework, **training: object) -> World:
    """Equal clients with unequal data, a subchannel for each."""
    overrides = {
        "clients": {"count": 3},
        "radio": {"subchannels": 3},
        "task": {"partition": "dirichlet", "dirichlet_alpha": 1.0},
        "training": training,
    }
    chosen = get(framework) if isinstance(framework, str) else framework
    world = World(build("toy", overrides), chosen, "train")
    world.reset([np.random.default_rng(5)], [0])
    return world


def everybody() -> Decision:
    return Decision(1, np.arange(3), np.full(3, 6e-7), np.ones(3, bool), 0.0).batch()


def learner_of(world: World) -> Learner:
    return world._learner.learners[0]


def spied(world: World) -> list[RoundBatch]:
    """What its learner trains on, update by update."""
    seen: list[RoundBatch] = []
    learner, train = learner_of(world), learner_of(world).framework.train

    def spy(nodes, batch: RoundBatch) -> bool:
        seen.append(replace(batch, images=batch.images.clone(), labels=batch.labels.clone()))
        return train(nodes, batch)

    learner.framework = replace(learner.framework, train=spy)
    return seen


def first_units(world: World) -> list[list[Tensor]]:
    """Of each client."""
    return [state_of(client.units) for client in learner_of(world).nodes.clients]


def mean_of(states: list[list[Tensor]], shares: np.ndarray) -> list[Tensor]:
    tensors = zip(*states, strict=True)
    return [sum(share * own for share, own in zip(shares.tolist(), each, strict=True)) for each in tensors]


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_with_a_quorum_of_all_it_is_psl_with_averaged_clients_to_the_bit(momentum: float) -> None:
    """One server model that takes all rows in one batch, as in PSL; after each round clients begin with their mean."""
    ours, theirs = toy("async-sfl", momentum=momentum), toy("psl", momentum=momentum)
    shares = learner_of(ours).data_share
    assert len(set(shares)) > 1
    for _ in range(5):
        for world in (ours, theirs):
            assert world.play(everybody()).cost.participants.all()
        server, plain = (learner_of(world).nodes.server.units[1:] for world in (ours, theirs))
        assert_same(state_of(server), state_of(plain))
        for own, other in zip(first_units(ours), first_units(theirs), strict=True):
            assert_same(own, other)
        mean = mean_of(first_units(theirs), shares)
        for own in first_units(theirs):
            for target, value in zip(own, mean, strict=True):
                target.copy_(value)
        assert ours.outcome.loss == theirs.outcome.loss


def test_with_a_quorum_of_all_it_takes_the_seconds_of_its_rounds() -> None:
    rounds = Framework("rounds", async_sfl.phases, get("psl").train, joint_batch=True)
    ours, theirs = toy("async-sfl"), toy(rounds)
    seconds = [[float(world.play(everybody()).cost.latency_s[0]) for _ in range(4)] for world in (ours, theirs)]
    # At the end of a step gradients are on their way back.
    return_s = theirs.play(everybody()).cost.seconds_by_stage()
    behind = sum(float(return_s[stage][0]) for stage in ("unicast", "client_bp", "model_up"))
    assert behind > 0.1
    assert sum(seconds[0]) + behind == pytest.approx(sum(seconds[1]), rel=1e-12)
    assert seconds[0][1:] == pytest.approx(seconds[1][1:], rel=1e-12)


class Plain:
    """A server that updates with one client at a time, as plain PyTorch: each client begins as soon as it is back."""

    def __init__(self, units: list[nn.Module], mixing_rate: float) -> None:
        self.common, self.server = copy.deepcopy(units[0]), nn.Sequential(*copy.deepcopy(units[1:]))
        self.rate, self.version = mixing_rate, 0
        self.copies: dict[int, tuple[nn.Module, int]] = {}
        self.ages: list[int] = []

    def fetch(self, client: int) -> None:
        self.copies[client] = (copy.deepcopy(self.common), self.version)

    def update(self, client: int, images: Tensor, labels: Tensor) -> float:
        own = self.copies[client][0]
        loss = nn.functional.cross_entropy(self.server(own(images)), labels)
        weights = [*own.parameters(), *self.server.parameters()]
        with torch.no_grad():
            for weight, gradient in zip(weights, torch.autograd.grad(loss, weights), strict=True):
                weight.sub_(RATE * gradient)
        return loss.item()

    @torch.no_grad()
    def give_back(self, client: int) -> None:
        own, version = self.copies[client]
        for common, trained in zip(self.common.parameters(), own.parameters(), strict=True):
            common.mul_(1 - self.rate).add_(self.rate * trained)
        self.ages.append(self.version - version)
        self.version += 1


def test_quorum_of_one_is_a_plain_program_with_stale_copies() -> None:
    """Clients are equal, and the server takes them in turn: by when one is back, both others have been, too."""
    world = toy("async-sfl", quorum=1, mixing_rate=0.25)
    batches, plain = spied(world), Plain(learner_of(world).nodes.server.units, 0.25)
    for step in range(12):
        client, learner = step % 3, learner_of(world)
        if client == 0:
            # All come back before the first of them has delivered again; each then begins at once.
            for each in range(3):
                if step:
                    plain.give_back(each)
                plain.fetch(each)
        world.play(everybody())
        assert batches[-1].participants == (client,)
        loss = plain.update(client, batches[-1].images[0], batches[-1].labels[0])
        assert learner.outcome.loss == pytest.approx(loss, rel=1e-5)
        units = learner.nodes.server.units
        for ours, theirs in ((units[:1], plain.common), (units[1:], plain.server)):
            for one, two in zip(nn.Sequential(*ours).parameters(), theirs.parameters(), strict=True):
                torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-6)
    # Begun at once, copies were of now; from then on two others are mixed in before each comes back.
    assert plain.ages == [0, 1, 2] + [2] * 6


@pytest.mark.parametrize(("kind", "factor"), [("none", 1.0), ("fed-async", 2**-0.5), ("stale-up", 2**0.5)])
def test_age_counts_from_when_a_client_fetched(kind: str, factor: float) -> None:
    """K = 2 of three: the client that came last has waited for one update, the other one has just fetched."""
    world = toy("async-sfl", quorum=2, client_weights=kind)
    batches, shares = spied(world), learner_of(world).data_share
    for update in range(5):
        world.play(everybody())
        first, second = batches[-1].participants
        assert {first, second} == ({0, 1} if update % 2 == 0 else {0, 2})
        late = {0: None, 1: 2, 2: 1 if update == 2 else None, 3: 2, 4: 1}[update]
        expected = np.array([shares[i] * (factor if i == late else 1.0) for i in (first, second)])
        torch.testing.assert_close(
            batches[-1].weights, torch.tensor(expected / expected.sum(), dtype=torch.float32), rtol=1e-6, atol=0
        )


def test_bits_are_those_of_what_clients_fetched_and_gave_back() -> None:
    overrides = {
        "clients": {"count": 4, "compute_min_hz": 2e4, "compute_max_hz": 2e6, "compute_spread": "log-uniform"},
        "radio": {"subchannels": 4},
        "training": {"quorum": 2},
    }
    world = World(build("toy", overrides), get("async-sfl"), "train")
    world.reset([np.random.default_rng(2)], [0])
    learner, program = learner_of(world), world.system.program
    work = dict(zip(program.stages, program.work[program.plans.index(2, 0)].tolist(), strict=True))
    decision = Decision(2, np.arange(4), np.full(4, 5e-7), np.ones(4, bool), 0.0).batch()
    seen = set()
    for _ in range(20):
        cost: RoundCost = world.play(decision).cost
        began, returned = (int(np.isfinite(each).sum()) for each in (cost.flights.began_s, cost.flights.returned_s))
        assert learner.traffic_bits.get("unicast", 0) == began * work["model_down"] + 2 * work["unicast"]
        assert learner.traffic_bits.get("uplink", 0) == returned * work["model_up"] + 2 * work["uplink"]
        seen.add((began, returned))
    assert len(seen) > 2


def test_a_learner_goes_on_with_copies_that_are_under_way() -> None:
    """What it is given back by clients that began before it was saved is mixed in as if it had not been."""
    world = toy("async-sfl", quorum=1, client_weights="stale-up")
    for _ in range(4):
        world.play(everybody())
    learner = learner_of(world)
    other, saved = copy.deepcopy(learner), learner.state_dict()
    assert any(rate > 0 for rate in saved["mixing"]["rate"])
    for client in other.nodes.clients:
        other.round(replace(everybody().world(0), selected=np.arange(3) == other.nodes.clients.index(client)))
    other.load_state_dict(saved)
    for _ in range(5):
        played = world.play(everybody())
        own = replace(everybody().world(0), selected=played.cost.participants[0])
        assert other.round(own, played.cost.flights.world(0, 3)).loss == learner.outcome.loss
        assert_same(state_of(other.nodes.server.units), state_of(learner.nodes.server.units))
        for one, two in zip(other.nodes.clients, learner.nodes.clients, strict=True):
            assert_same(state_of(one.units), state_of(two.units))


def test_all_clients_are_measured_with_the_common_units() -> None:
    """Not with their copies, of which those that are under way differ."""
    world = toy("async-sfl", quorum=1)
    differed = 0
    for _ in range(5):
        outcome = world.play(everybody()).outcome
        nodes = learner_of(world).nodes
        differed += not torch.equal(nodes.clients[0].units[0][1].weight, nodes.server.units[0][1].weight)
        network = nn.Sequential(*nodes.server.units).eval()
        learner = learner_of(world)
        with torch.no_grad():
            right = network(learner.evaluator._images).argmax(1) == learner.evaluator._labels
        np.testing.assert_allclose(outcome.client_accuracy[0], right.double().mean().item(), rtol=1e-12)
    assert differed > 3
