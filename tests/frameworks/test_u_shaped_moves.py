"""Both cuts of U-shaped split learning move: who holds which units afterwards, with which weights."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_nodes import held, network, round_batch, training
from torch import Tensor, nn

from splitgym.frameworks import get
from splitgym.frameworks.codecs import codec
from splitgym.frameworks.nodes import Nodes
from splitgym.learning.accuracy import Evaluator
from splitgym.timing.amounts import move_bits

SHARES = np.array([0.5, 0.2, 0.3])
KIND, UNITS = "norm", 4
STEPS = st.lists(
    st.tuples(
        st.sampled_from([(1, 2), (1, 3), (2, 3)]),
        st.sets(st.integers(0, 2), min_size=1).map(sorted),
    ),
    min_size=1,
    max_size=7,
)


class Ledger:
    """Who holds what, by unit, as plain lists of tensors."""

    def __init__(self, nodes: Nodes) -> None:
        units = nodes.server.units
        self.server = {k: held([unit]) for k, unit in enumerate(units)}
        self.own: list[dict[int, list[Tensor]]] = [{} for _ in SHARES]
        for i, (head, tail) in enumerate(zip(nodes.clients, nodes.tails, strict=True)):
            begin = UNITS - len(tail.units)
            self.own[i] |= {k: held([unit]) for k, unit in enumerate(head.units)}
            self.own[i] |= {begin + k: held([unit]) for k, unit in enumerate(tail.units)}

    def move(self, cut: int, second: int, who: Sequence[int], gaps: list[tuple[int, int]]) -> list[tuple[int, int]]:
        """Units that the server gets are means; what clients get are copies. Returns numbers got and given by each."""
        got, given = ([0] * len(SHARES) for _ in range(2))
        for unit in range(UNITS):
            # From the first part behind the cut, or from the tail in front of the second cut.
            leaves = [cut <= unit < first or last <= unit < second for first, last in gaps]
            givers = [i for i in who if leaves[i]]
            if givers:
                weights = SHARES[givers] / SHARES[givers].sum()
                self.server[unit] = [
                    sum(w * t for w, t in zip(weights, values, strict=True)) if values[0].is_floating_point() else own
                    for own, *values in zip(self.server[unit], *(self.own[i][unit] for i in givers), strict=True)
                ]
            for i in range(len(SHARES)):
                if leaves[i]:
                    del self.own[i][unit]
                    given[i] += size(self.server[unit])
        for i in who:
            for unit in [*range(cut), *range(second, UNITS)]:
                if unit not in self.own[i]:
                    self.own[i][unit] = self.server[unit]
                    got[i] += size(self.server[unit])
        return list(zip(got, given, strict=True))


def size(tensors: Sequence[Tensor]) -> int:
    return sum(32 * tensor.numel() for tensor in tensors if tensor.is_floating_point())


def gap(nodes: Nodes, client: int) -> tuple[int, int]:
    return int(nodes.client_cut_layer[client]), int(nodes.client_second_cut[client])


def assert_equal(ledger: Ledger, nodes: Nodes) -> None:
    found = Ledger(nodes)
    for own, expected in zip(found.own, ledger.own, strict=True):
        assert own.keys() == expected.keys()
        for unit in own:
            for a, b in zip(own[unit], expected[unit], strict=True):
                torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-14)
    for unit, expected_values in ledger.server.items():
        for a, b in zip(found.server[unit], expected_values, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-14)


@given(STEPS)
@settings(max_examples=40, deadline=None)
def test_units_go_to_the_server_as_means_and_back_as_copies(steps: list[tuple[tuple[int, int], list[int]]]) -> None:
    """Between moves rounds are trained. What moves is what the clock charges."""
    u = get("u-shaped")
    nodes = Nodes(network(KIND), 3, training(4, momentum=0.9), u.segments, 3)
    prefix = np.cumsum([0, *(size(held([unit])) for unit in nodes.server.units)])[:UNITS].astype(float)
    nodes.move_cut(1, [0], SHARES, 2)
    assert [gap(nodes, i) for i in range(3)] == [(1, 2)] * 3  # Everybody knows the initial weights.
    trained = [0, 1, 2]
    for seed, ((cut, second), who) in enumerate(steps):
        assert u.train(nodes, round_batch(SHARES, 4, 0, seed, trained))
        gaps, ledger = [gap(nodes, i) for i in range(3)], Ledger(nodes)
        moved = ledger.move(cut, second, who, gaps)
        nodes.move_cut(cut, who, SHARES, second)
        assert_equal(ledger, nodes)
        for i in who:
            assert gap(nodes, i) == (cut, second)
            assert move_bits(gaps[i][0], cut, gaps[i][1], second, prefix) == moved[i]
        at_server = [p for unit in nodes.server.units[cut:second] for p in unit.parameters()]
        assert all(a is b for a, b in zip(nodes.server.parameters, at_server, strict=True))
        trained = who


def test_momentum_of_units_that_stay_is_kept() -> None:
    nodes = Nodes(network(KIND), 3, training(4, momentum=0.9), get("u-shaped").segments, 2)
    nodes.move_cut(1, range(3), SHARES)
    assert get("u-shaped").train(nodes, round_batch(SHARES, 4, 0, 0))
    tail = nodes.tails[0]
    last = next(iter(tail.units[-1].parameters()))
    before = tail.optimizer.state[last]["momentum_buffer"].clone()
    nodes.move_cut(1, range(3), SHARES, 3)
    assert torch.equal(tail.optimizer.state[last]["momentum_buffer"], before)
    assert before.abs().sum() > 0
    nodes.move_cut(1, range(3), SHARES, 2)
    first = next(iter(tail.units[0].parameters()))
    assert tail.optimizer.state[first]["momentum_buffer"].abs().sum() == 0


def plain_answers(nodes: Nodes, images: Tensor) -> Tensor:
    """[C, samples] classes that head, server and tail of each client answer, as one network in evaluation mode."""
    found = []
    for client in range(3):
        cut, second = gap(nodes, client)
        second = second or UNITS
        units = [*nodes.clients[client].units, *nodes.server.units[cut:second], *nodes.tails[client].units]
        with torch.no_grad():
            found.append(nn.Sequential(*units).eval()(images).argmax(-1))
    return torch.stack(found)


@pytest.mark.parametrize("kind", ["norm", "cnn"])
def test_accuracy_is_that_of_head_server_and_tail(kind: str) -> None:
    """Before the first round, behind it, and of a client that has not followed both cuts."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(60, 1, 8, 8, generator=generator, dtype=torch.float64)
    labels = torch.randint(10, (60,), generator=generator)
    evaluator = Evaluator(images, labels, 10)
    nodes = Nodes(network(kind), 3, training(4), get("u-shaped").segments, 3)
    seen = []
    for seed, (cut, second, who) in enumerate([(0, 0, []), (1, 3, [0, 1, 2]), (2, 3, [0, 1]), (1, 2, [1])]):
        if who:
            nodes.move_cut(cut, who, SHARES, second)
            assert get("u-shaped").train(nodes, round_batch(SHARES, 4, 0, seed, who))
        expected = (plain_answers(nodes, images) == labels).double().mean(1).numpy()
        np.testing.assert_array_equal(evaluator.client_accuracy(nodes), expected)
        seen.append(tuple(gap(nodes, i) for i in range(3)))
    assert seen[-1] == ((1, 3), (1, 2), (1, 3))


def test_accuracy_is_measured_behind_the_codec_at_both_cuts() -> None:
    generator = torch.Generator().manual_seed(0)
    images, labels = torch.randn(60, 1, 8, 8, generator=generator), torch.randint(10, (60,), generator=generator)
    nodes = Nodes(network("cnn").float(), 3, training(4), get("u-shaped").segments, 3)
    nodes.move_cut(1, range(3), SHARES)
    for tail in nodes.tails:
        tail.units[-1].bias.data.zero_()  # So that rows differ in what is answered.
    nodes.codecs = [codec("uniform-2"), codec("none"), codec("top-k:0.05")]
    correct = Evaluator(images, labels, 10).correct(nodes).sum(1)
    answers = []
    for coder, head, tail in zip(nodes.codecs, nodes.clients, nodes.tails, strict=True):
        x = images
        with torch.no_grad():
            for units in (head.units, nodes.server.units[1:3]):
                x = nn.Sequential(*units).eval()(x)
                x = coder.decode(coder.encode(x).payload, x.shape).smashed
            answers.append(nn.Sequential(*tail.units)(x).argmax(-1))
    np.testing.assert_array_equal(correct, [(answer == labels).sum() for answer in answers])
    assert not torch.equal(answers[0], answers[1])
    assert not torch.equal(answers[2], answers[1])
