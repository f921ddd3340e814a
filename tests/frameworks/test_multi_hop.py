"""Servers on a path: what is learnt is what PSL learns, whatever the path, its bounds and the way mini-batches go."""

import copy
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from plain_programs import Optimiser, PlainProgram, cross_entropy_rows
from small_nodes import (
    assert_close,
    assert_same,
    differs,
    everything,
    held,
    network,
    nodes,
    round_batch,
    training,
)
from torch import Tensor, nn

from splitgym.frameworks import get
from splitgym.frameworks.groups import groups_of
from splitgym.frameworks.migration import Parcel, pack, unpack
from splitgym.frameworks.node import Node
from splitgym.frameworks.nodes import Nodes
from splitgym.frameworks.path_pass import PathPass
from splitgym.frameworks.placements import Placement, segments_of
from splitgym.frameworks.round_batch import RoundBatch
from splitgym.models import build
from splitgym.scenario import ScenarioError, Training
from splitgym.scenario import build as scenario

MULTI_HOP = get("splitgym.frameworks.multi_hop:FRAMEWORK")
SHARES = (0.4, 0.1, 0.3, 0.2)
WHO = ((0, 1, 2, 3), (0, 2), (3,), (1, 2, 3))
CUTS = (1, 1, 2, 3, 3, 2, 1, 1)
ONE = Placement(("server",), ())
OPTIMISERS = ({"momentum": 0.0}, {"momentum": 0.9}, {"optimizer": "adam", "momentum": 0.9, "weight_decay": 0.1})


def random_placements(seed: int, units: int = 4) -> Iterator[Placement]:
    """Paths of one to four servers, some without units."""
    rng = np.random.default_rng(seed)
    while True:
        path = rng.permutation(["server", "cloud", "north", "south"])[: rng.integers(1, 5)]
        yield Placement(tuple(path.tolist()), tuple(sorted(rng.integers(0, units, len(path) - 1).tolist())))


def standing(kind: str, settings: Training, placement: Placement = ONE, cut: int = 1, **_: object) -> Nodes:
    """Nodes at a cut with a placement, with which they begin."""
    made = Nodes(network(kind), len(SHARES), settings, MULTI_HOP.segments, placement=placement)
    made.move_cut(cut, range(len(SHARES)), np.array(SHARES))
    return made


def rounds(made: Nodes, framework: str, placements: Iterator[Placement | None], cuts: Sequence[int] = CUTS) -> list:
    """Trains a round under each of the cuts and placements; losses, then all weights and statistics."""
    losses = []
    for seed, (who, cut, placement) in enumerate(zip(WHO * 2, cuts, placements, strict=False)):
        made.move_cut(cut, who, np.array(SHARES), placement=placement)
        task = round_batch(SHARES, 6, 0, seed, who)
        assert get(framework).train(made, task)
        losses.append(task.losses)
    return [*losses, *everything(made)]


def forever(placement: Placement | None) -> Iterator[Placement | None]:
    while True:
        yield placement


@pytest.mark.parametrize("fields", OPTIMISERS, ids=str)
@pytest.mark.parametrize("kind", ["cnn", "norm"])
def test_it_learns_what_psl_learns_to_the_bit_while_units_change_their_servers(
    kind: str, fields: dict[str, object]
) -> None:
    settings = training(6, **fields)
    psl = rounds(nodes(kind, SHARES, settings, 1, "psl"), "psl", forever(None))
    for seed in range(3):
        made = nodes(kind, SHARES, settings, 1, "psl")
        assert_same(rounds(made, "splitgym.frameworks.multi_hop:FRAMEWORK", random_placements(seed)), psl)
        assert len(made.stages) == len(made.placement.nodes)


@pytest.mark.parametrize("bound", [0, 1, 2, 3])
def test_with_a_cloud_behind_the_edge_server_it_is_hierarchical(bound: int) -> None:
    settings = training(6, momentum=0.9)
    tiers, path = nodes("norm", SHARES, settings, 1, "hierarchical", bound), nodes("norm", SHARES, settings, 1, "psl")
    for seed, (who, cut) in enumerate(zip(WHO * 2, CUTS, strict=True)):
        tiers.move_cut(cut, who, np.array(SHARES))
        path.move_cut(cut, who, np.array(SHARES), placement=Placement(("server", "cloud"), (bound,)))
        ours, theirs = (round_batch(SHARES, 6, 0, seed, who) for _ in range(2))
        assert MULTI_HOP.train(path, ours)
        assert get("hierarchical").train(tiers, theirs)
        assert ours.traffic.bits == theirs.traffic.bits
        assert_same([ours.losses, *everything(path)], [theirs.losses, *everything(tiers)])
        for one, other in zip(path.stages, tiers.stages, strict=True):
            assert one[2:] == other[2:]


def test_units_behind_the_cut_lie_between_the_bounds() -> None:
    """By hand: six units, bounds 2, 2 and 4."""
    placement = Placement(("a", "b", "c", "d"), (2, 2, 4))
    assert segments_of(placement, 1, 6) == (("a", 1, 2), ("b", 2, 2), ("c", 2, 4), ("d", 4, 6))
    assert segments_of(placement, 3, 6) == (("a", 3, 3), ("b", 3, 3), ("c", 3, 4), ("d", 4, 6))
    assert segments_of(placement, 5, 6) == (("a", 5, 5), ("b", 5, 5), ("c", 5, 5), ("d", 5, 6))


@pytest.mark.parametrize("cut", [1, 2, 3])
def test_every_server_trains_its_own_units_and_who_passes_on_trains_none(cut: int) -> None:
    placement = Placement(("a", "b", "c"), (2, 2))
    made = standing("norm", training(), placement, cut)
    for (_, first, last), server in zip(segments_of(placement, cut, 4), made.servers(), strict=True):
        own = [p for unit in made.server.units[first:last] for p in unit.parameters()]
        assert len(own) == len(server.parameters)
        assert all(p is q for p, q in zip(own, server.parameters, strict=True))


@pytest.mark.parametrize("cut", [1, 2, 3])
def test_gradients_of_the_parts_are_those_of_the_network_in_one_piece(cut: int) -> None:
    """With respect to activations at the cut and all weights behind it."""
    made = standing("norm", training(6), Placement(("a", "b", "c"), (2, 3)), cut)
    whole = nn.Sequential(*copy.deepcopy(list(made.server.units[cut:])))
    task = round_batch(SHARES, 6, 0, 3)
    shape = made.clients[0].forward(task.images[0]).shape[1:]
    smashed = torch.randn(len(SHARES), 6, *shape, dtype=torch.float64).requires_grad_()
    found = PathPass(made, groups_of(made, task), [smashed.clone().detach().requires_grad_()], task).backward()
    losses = cross_entropy_rows(whole(smashed.flatten(0, 1)).view(4, 6, 10), task.labels).mean(1)
    expected = torch.autograd.grad(task.weights @ losses, [smashed, *whole.parameters()])
    assert_close([*found.at_cuts, *found.of_servers], expected)
    assert_close([task.losses], [losses.detach()])


@pytest.mark.parametrize(("cut", "sizes"), [(1, (7, 6, 4)), (2, (6, 6, 4)), (3, (4, 4, 4))])
def test_every_hop_carries_activations_and_their_gradients(cut: int, sizes: tuple[int, int, int]) -> None:
    """Also a hop from or to a server that only passes on; three clients with six rows each, numbers of 32 bits."""
    units = {"one": nn.Sequential(nn.Flatten(), nn.Linear(64, 7)), "two": nn.Linear(7, 6), "three": nn.Linear(6, 4)}
    made = Nodes(
        type(network("mlp"))({**units, "head": nn.Linear(4, 10)}).double(),
        4,
        training(6),
        MULTI_HOP.segments,
        placement=Placement(("a", "server", "cloud", "b"), (1, 2, 3)),
    )
    made.move_cut(cut, range(4), np.array(SHARES))
    task = round_batch(SHARES, 6, 0, 0, (0, 1, 3))
    assert MULTI_HOP.train(made, task)
    bits = [2 * 3 * 6 * size * 32 for size in sizes]
    radio = 3 * 6 * {1: 7, 2: 6, 3: 4}[cut] * 32
    hops = dict(zip(("a-server", "backhaul", "cloud-b"), bits, strict=True))
    assert +task.traffic.bits == {**hops, "uplink": radio, "unicast": radio}


def in_parts(settings: Training, parts: int) -> Training:
    return settings.model_copy(update={"micro_batches": parts})


class Pipeline:
    """The round in micro-batches as a plain program: networks in one piece, gradients that `backward` adds up."""

    def __init__(self, made: Nodes, settings: Training, cut: int) -> None:
        self.cut, self.server = cut, nn.Sequential(*copy.deepcopy(list(made.server.units[cut:])))
        self.clients = [nn.Sequential(*copy.deepcopy(list(client.units))) for client in made.clients]
        self.of_server = Optimiser(settings.server_learning_rate, settings)
        self.of_clients = [Optimiser(settings.client_learning_rate, settings) for _ in made.clients]

    def round(self, batch: RoundBatch, parts: Sequence[slice]) -> None:
        """Clients' weights get the gradients of their own mean losses, which the loss of all weighs."""
        for model in (self.server, *self.clients):
            model.zero_grad()
        rows = batch.labels.shape[1]
        total = torch.zeros((), dtype=torch.float64)
        for part in parts:
            smashed = [self.clients[i](x[part]) for i, x in zip(batch.participants, batch.images, strict=True)]
            logits = self.server(torch.cat(smashed)).chunk(len(smashed))
            for weight, own, labels in zip(batch.weights, logits, batch.labels, strict=True):
                total = total + weight * cross_entropy_rows(own, labels[part]).sum() / rows
        total.backward()
        for i, weight in zip(batch.participants, batch.weights, strict=True):
            for parameter in self.clients[i].parameters():
                parameter.grad /= weight
            self.of_clients[i].step(self.clients[i], 0)
        self.of_server.step(self.server, self.cut)

    def everything(self) -> list[Tensor]:
        return [value for part in (*self.clients, self.server) for value in part.state_dict().values()]


@pytest.mark.parametrize(
    ("kind", "fields", "bounds"),
    [
        ("cnn", OPTIMISERS[2], (0, 2, 4, 5, 6)),
        ("norm", OPTIMISERS[1], (0, 3, 6)),
        ("norm", OPTIMISERS[0], (0, 2, 4, 6)),
    ],
)
def test_micro_batches_are_the_plain_program_that_adds_up_gradients(
    kind: str, fields: dict[str, object], bounds: Sequence[int]
) -> None:
    """Batch norm normalises the rows of a micro-batch, and its statistics move with each."""
    settings = training(6, **fields)
    made = standing(kind, in_parts(settings, len(bounds) - 1), Placement(("a", "b", "c"), (2, 2)), 2)
    plain = Pipeline(made, settings, 2)
    for seed in range(4):
        task = round_batch(SHARES, 6, 0, seed, WHO[seed])
        assert MULTI_HOP.train(made, task)
        plain.round(task, [slice(*pair) for pair in pairwise(bounds)])
    assert_close(everything(made), plain.everything(), 1e-8)


@pytest.mark.parametrize("parts", [1, 2, 4, 6])
def test_without_batch_norm_the_weights_do_not_depend_on_the_number_of_micro_batches(parts: int) -> None:
    """In double precision to 1e-9: sums of at most 6 x 4 rows in another order err by some 1e-15 of the gradient in a
    round, and eight rounds at a rate of 0.1 do not carry that up by more than a few orders of magnitude."""
    made = standing("cnn", in_parts(training(6, momentum=0.9), parts))
    found = rounds(made, "splitgym.frameworks.multi_hop:FRAMEWORK", random_placements(5))
    plain = PlainProgram(network("cnn").units, training(6, momentum=0.9), 4, 1, [network("cnn").units[:1]] * 4)
    whole = rounds(standing("cnn", training(6, momentum=0.9)), "psl", forever(None))
    assert_close(found, whole)
    # And of one round by the program that its definition reads like.
    one = standing("cnn", in_parts(training(6, momentum=0.9), parts))
    task = round_batch(SHARES, 6, 0, 0)
    assert MULTI_HOP.train(one, task)
    assert_close([task.losses], [plain.round("psl", task)])
    assert_close(everything(one), plain.everything())


def test_with_batch_norm_they_do() -> None:
    found = [
        rounds(standing("norm", in_parts(training(6), parts)), "splitgym.frameworks.multi_hop:FRAMEWORK", forever(None))
        for parts in (1, 2)
    ]
    assert differs(*found)


def test_clients_have_micro_batches_of_their_own_sizes() -> None:
    """Four and seven rows in three parts are 2, 1, 1 and 3, 2, 2: what is learnt is as if they went at once."""
    settings = training(7, momentum=0.9)
    ways = [standing("cnn", in_parts(settings, parts), Placement(("a", "b"), (2,))) for parts in (1, 3)]
    for made in ways:
        task = replace(round_batch(SHARES, 7, 0, 1), sizes=(7, 4, 7, 4))
        assert MULTI_HOP.train(made, task)
    assert_close(everything(ways[0]), everything(ways[1]))
    assert [groups_of(made, task)[0].micro_batch(k, 3).rows for k in range(3)] == [
        slice(0, 2),
        slice(2, 3),
        slice(3, 4),
    ]


def test_one_micro_batch_that_is_not_finite_changes_nothing() -> None:
    made = standing("norm", in_parts(training(6), 3), Placement(("a", "b"), (2,)))
    before = everything(made)
    task = round_batch(SHARES, 6, 0, 1)
    task.images[2, 5] = torch.nan
    assert not MULTI_HOP.train(made, task)
    assert_same(everything(made), before)


def bytes_of(units: Sequence[nn.Module], copies: int) -> int:
    """Weights and running statistics, and copies of weights."""
    state = [value for unit in units for value in unit.state_dict().values() if value.is_floating_point()]
    weights = [p for unit in units for p in unit.parameters()]
    return sum(value.nbytes for value in state) + copies * sum(p.nbytes for p in weights)


@pytest.mark.parametrize(("fields", "copies"), [*zip(OPTIMISERS, (0, 1, 2), strict=True)], ids=str)
def test_what_servers_hand_over_has_the_bytes_of_its_state(fields: dict[str, object], copies: int) -> None:
    """Only units that servers trained and train change their server: others go over the radio."""
    made = standing("norm", training(6, **fields), Placement(("a", "b"), (2,)))
    units, everybody, share = made.server.units, range(4), np.array(SHARES)
    assert MULTI_HOP.train(made, round_batch(SHARES, 6, 0, 0))

    def moved(cut: int, *placement: tuple) -> int:
        return made.move_cut(cut, everybody, share, placement=Placement(*placement))

    assert moved(1, ("a", "b"), (2,)) == 0
    assert moved(1, ("a", "b"), (3,)) == bytes_of(units[2:3], copies)
    assert moved(1, ("c", "a"), (2,)) == bytes_of([units[1], units[3]], copies)
    assert moved(3, ("b",), ()) == bytes_of(units[3:], copies)
    assert moved(1, ("a",), ()) == bytes_of(units[3:], copies)
    assert moved(1, ("x", "y", "a"), (1, 2)) == bytes_of(units[1:2], copies)
    assert moved(1, ("y", "x", "a"), (1, 1)) == bytes_of(units[1:2], copies)


@pytest.mark.parametrize("steps", [0, 3])
@pytest.mark.parametrize("fields", OPTIMISERS, ids=str)
def test_a_parcel_is_all_that_another_server_needs_to_go_on(fields: dict[str, object], steps: int) -> None:
    """Also one that has only a network of the same shape, and a server that has not stepped yet."""
    settings = training(6, **fields)
    giver, taker = (Node(network("norm", seed).units, 0.1, settings) for seed in (1, 2))
    generator = torch.Generator().manual_seed(0)

    def step(node: Node, seed: int) -> None:
        generator.manual_seed(seed)
        node.units[1](torch.randn(5, 3, 3, 3, generator=generator, dtype=torch.float64))
        node.step([torch.randn(p.shape, generator=generator, dtype=p.dtype) for p in node.parameters])

    for node in (giver, taker):
        node.train_units(1, 2)
    for seed in range(steps):
        step(giver, seed)
    parcel = pack(giver.units[1], giver)
    payload = torch.frombuffer(bytearray(parcel.payload.numpy().tobytes()), dtype=torch.uint8)
    unpack(Parcel(payload, parcel.counters), taker.units[1], taker)
    for seed in (7, 8):
        assert_same(held([giver.units[1]]), held([taker.units[1]]))
        step(giver, seed)
        step(taker, seed)
    assert_same(held([giver.units[1]]), held([taker.units[1]]))


def test_before_the_first_round_everybody_has_everything() -> None:
    made = Nodes(network("norm"), 4, training(), MULTI_HOP.segments, placement=ONE)
    assert made.move_cut(1, range(4), np.array(SHARES), placement=Placement(("cloud",), ())) == 0
    assert made.placement == Placement(("cloud",), ())


@pytest.mark.parametrize("fields", OPTIMISERS, ids=str)
def test_nodes_that_are_read_again_go_on_with_their_placement(fields: dict[str, object]) -> None:
    settings = training(6, **fields)
    made = standing("norm", settings)
    placements = random_placements(9)
    rounds(made, "splitgym.frameworks.multi_hop:FRAMEWORK", placements, CUTS[:4])
    again = standing("norm", settings, Placement(("a", "b"), (3,)), 2)
    again.load_state_dict(made.state_dict())
    assert again.placement == made.placement
    assert_same(held(again.server.units), held(made.server.units))
    ahead = [next(placements) for _ in range(4)]
    one, other = (
        rounds(each, "splitgym.frameworks.multi_hop:FRAMEWORK", iter(ahead), CUTS[4:]) for each in (made, again)
    )
    assert_same(one, other)


def test_resnet_learns_the_same_on_every_path() -> None:
    """ResNet-18 in single precision with Adam, where units change their servers in every round, to the bit."""
    settings = Training(batch_size=2, optimizer="adam")
    ways = [
        Nodes(build("resnet18", (3, 16, 16), 7, torch.Generator().manual_seed(0), stem="3x3"), 2, settings)
        for _ in range(2)
    ]
    units, sent = ways[0].server.units, 0
    paths = [Placement(("a", "b"), (5,)), Placement(("b", "c"), (5,)), Placement(("a",), ())]
    for seed, placement in enumerate(paths):
        generator = torch.Generator().manual_seed(seed)
        task = RoundBatch(
            participants=(0, 1),
            weights=torch.tensor([0.25, 0.75]),
            images=torch.randn(2, 2, 3, 16, 16, generator=generator),
            labels=torch.randint(7, (2, 2), generator=generator),
            aggregated_rows=0,
            losses=torch.zeros(2),
        )
        for made, path in zip(ways, (placement, None), strict=True):
            sent += made.move_cut(2, (0, 1), np.array([0.25, 0.75]), placement=path)
            assert MULTI_HOP.train(made, replace(task, losses=torch.zeros(2)))
    assert_same(*(everything(made) for made in ways))
    assert sent == 2 * bytes_of(units[2:], 2) - bytes_of([], 2)


@pytest.mark.parametrize(
    ("framework", "batch_size", "norm", "message"),
    [
        ("psl", 8, False, "training.micro_batches = 4 with framework 'psl', allowed: 1, or framework 'multi-hop'"),
        (MULTI_HOP, 3, False, "training.micro_batches = 4, allowed: up to 3, the samples of the smallest mini-batch"),
        (
            MULTI_HOP,
            7,
            True,
            "training.micro_batches = 4 with mini-batches of 7 samples and batch norm, allowed: up",
        ),
    ],
)
def test_micro_batches_that_are_not_possible_are_refused(
    framework: object, batch_size: int, norm: bool, message: str
) -> None:
    asked = scenario("toy", {"training": {"micro_batches": 4, "batch_size": batch_size}})
    with pytest.raises(ScenarioError, match=message.replace(".", r"\.")):
        get(framework).check_micro_batches(asked, norm)
    MULTI_HOP.check_micro_batches(scenario("toy", {"training": {"micro_batches": 4, "batch_size": 8}}), True)
