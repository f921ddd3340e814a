"""Labels balanced by generated smashed data: statistics, counts, gradients, and nothing where nothing is missing."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from small_nodes import assert_close, assert_same, everything, held, nodes, round_batch, training
from torch import Tensor

from splitgym.frameworks import get
from splitgym.frameworks.class_gaussians import ClassGaussians
from splitgym.frameworks.label_balance import balanced_pass, missing_labels
from splitgym.frameworks.nodes import Nodes
from splitgym.frameworks.round_batch import RoundBatch
from splitgym.frameworks.server_pass import server_pass
from splitgym.scenario import Training

CLASSES = 10
EQUAL = (0.25, 0.25, 0.25, 0.25)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def update(seed: int = 0, rows: int = 10, **fields: object) -> RoundBatch:
    """Of four clients, with Gaussians of its own."""
    made = round_batch(EQUAL, rows, 0, seed)
    return replace(made, chance=generator(seed), gaussians=ClassGaussians(CLASSES), **fields)


def memories_of(made: Nodes) -> list[Tensor]:
    """All that optimisers remember."""
    states = (node.optimizer.state_dict()["state"] for node in made.everybody())
    return [value.clone() for state in states for _, own in sorted(state.items()) for value in own.values()]


def settings(rows: int = 10, **fields: object) -> Training:
    return training(rows, momentum=0.9, **fields)


def test_means_and_variances_are_those_of_all_rows_weighted_by_their_updates() -> None:
    gaussians, rows, labels, weights = ClassGaussians(4), [], [], []
    rng = np.random.default_rng(0)
    for number in range(1, 6):
        # Class 3 never comes, class 2 only in the third update.
        labels.append(rng.integers(0, 3 if number == 3 else 2, 12))
        rows.append(rng.normal(size=(12, 2, 3)) + labels[-1][:, None, None] * number)
        weights.append(np.full(12, number))
        gaussians.update(1, torch.from_numpy(rows[-1]), torch.from_numpy(labels[-1]))
    of_all = [np.concatenate(each) for each in (rows, labels, weights)]
    for label in range(3):
        own, weight = of_all[0][of_all[1] == label], of_all[2][of_all[1] == label]
        mean = np.average(own, axis=0, weights=weight)
        variance = np.average((own - mean) ** 2, axis=0, weights=weight)
        found = gaussians.moments(1, label)
        np.testing.assert_allclose(found[0], mean, rtol=1e-9)
        np.testing.assert_allclose(found[1], variance, rtol=1e-9)
    assert gaussians.moments(1, 3) is None
    assert gaussians.moments(2, 0) is None
    assert gaussians.known(1).tolist() == [True, True, True, False]


def test_what_is_drawn_has_these_means_and_variances() -> None:
    gaussians = ClassGaussians(2)
    rows = torch.randn(64, 3, generator=generator()) * torch.tensor([0.1, 1.0, 3.0]) + torch.tensor([5.0, 0.0, -2.0])
    gaussians.update(1, rows, torch.zeros(64, dtype=torch.int64))
    drawn = gaussians.draw(1, torch.zeros(20_000, dtype=torch.int64), generator(1))
    mean, variance = gaussians.moments(1, 0)
    torch.testing.assert_close(drawn.mean(0), mean, rtol=0.05, atol=0.05)
    torch.testing.assert_close(drawn.var(0), variance, rtol=0.05, atol=0)
    assert torch.equal(drawn, gaussians.draw(1, torch.zeros(20_000, dtype=torch.int64), generator(1)))
    assert not torch.equal(drawn, gaussians.draw(1, torch.zeros(20_000, dtype=torch.int64), generator(2)))


@pytest.mark.parametrize("seed", range(8))
def test_known_classes_become_equally_frequent(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, rng.integers(1, CLASSES + 1), rng.integers(1, 40))
    known = rng.random(CLASSES) < 0.5
    known[labels] = True
    missing = missing_labels(torch.from_numpy(labels), torch.from_numpy(known)).numpy()
    counts = np.bincount(np.concatenate([labels, missing]), minlength=CLASSES)
    assert set(counts[known]) == {np.bincount(labels).max()}
    assert not counts[~known].any()


def test_with_all_classes_equally_frequent_nothing_is_generated_nor_drawn() -> None:
    """Four rounds with every class once at every client: the same weights, statistics and momentum, to the bit."""
    states = []
    for balances in (False, True):
        made = nodes("norm", EQUAL, settings(), 2, "async-psl")
        gaussians = ClassGaussians(CLASSES) if balances else None
        for seed in range(4):
            labels = torch.stack([torch.randperm(CLASSES, generator=generator(seed * 4 + i)) for i in range(4)])
            one = replace(update(seed), labels=labels, gaussians=gaussians)
            before = one.chance.get_state()
            assert get("async-psl").train(made, one)
            assert torch.equal(one.chance.get_state(), before)
        assert gaussians is None or gaussians.generated == 0
        states.append([*everything(made), *memories_of(made)])
    assert_same(*states)


def constant_by_class(labels: Tensor, smashed: Tensor) -> Tensor:
    """Smashed data that are the same for all rows of a class, so that generated ones are known beforehand."""
    of_class = torch.randn(CLASSES, *smashed.shape[2:], generator=generator(9), dtype=smashed.dtype)
    return of_class[labels]


@pytest.mark.parametrize("rows", [3, 10])
def test_the_server_learns_from_the_mean_over_real_and_generated_rows(rows: int) -> None:
    """Class 7 is only known from the update before; pieces of 3 or of 10 rows do not matter."""
    made = nodes("linear", EQUAL, settings(rows), 1, "async-psl")
    shape = torch.zeros(4, rows, 7, dtype=torch.float64)
    gaussians, labels = ClassGaussians(CLASSES), torch.arange(4 * rows).reshape(4, rows) % 4
    earlier = torch.full((1,), 7)
    gaussians.update(1, constant_by_class(earlier, shape), earlier)
    one = replace(update(1, rows), labels=labels, gaussians=gaussians)
    smashed = constant_by_class(labels, shape)
    found = balanced_pass(made, smashed, one)
    counts = torch.bincount(labels.flatten(), minlength=CLASSES)
    missing = [(k, int(counts.max() - counts[k])) for k in (0, 1, 2, 3, 7)]
    generated = torch.tensor([k for k, count in missing for _ in range(count)], dtype=torch.int64)
    assert gaussians.generated == len(generated) >= rows
    everyone = torch.cat([labels.flatten(), generated])
    logits = made.server.logits(constant_by_class(everyone, shape), 1)
    expected = torch.autograd.grad(F.cross_entropy(logits, everyone), made.server.parameters)
    assert_close(found.of_server, expected)


def test_clients_get_the_gradients_that_they_would_get_without() -> None:
    made = nodes("norm", EQUAL, settings(), 2, "async-psl")
    smashed = torch.randn(4, 10, 4, dtype=torch.float64, generator=generator(3))
    statistics = held(made.server.units)
    plain = server_pass(made, smashed, replace(update(2), gaussians=None))
    moved = held(made.server.units)
    for unit, saved in zip(
        made.server.units, nodes("norm", EQUAL, settings(), 2, "async-psl").server.units, strict=True
    ):
        unit.load_state_dict(saved.state_dict())
    assert_same(held(made.server.units), statistics)
    one = update(2)
    found = balanced_pass(made, smashed, one)
    assert one.gaussians.generated > 0
    assert torch.equal(found.own, plain.own)
    # Batch norm's running statistics are those of the clients' rows alone.
    assert_same(held(made.server.units), moved)
    assert not torch.equal(found.of_server[0], plain.of_server[0])
    assert all(unit.training for unit in made.server.units)


def test_what_is_not_finite_is_not_remembered() -> None:
    made, one = nodes("norm", EQUAL, settings(), 2, "async-psl"), update()
    before = everything(made)
    one.images[2, 1, 0, 3, 4] = torch.nan
    assert get("async-psl").train(made, one) is False
    assert_same(everything(made), before)
    assert (one.gaussians.generated, one.gaussians.known(2).any().item()) == (0, False)


def test_moments_of_half_precision_are_in_single() -> None:
    """In bf16 one of a thousand rows would not move a mean any more."""
    gaussians, labels = ClassGaussians(2), torch.zeros(8, dtype=torch.int64)
    for _ in range(300):
        gaussians.update(1, torch.ones(8, 3, dtype=torch.bfloat16), labels)
    for _ in range(300):
        gaussians.update(1, torch.full((8, 3), 2.0, dtype=torch.bfloat16), labels)
    first, second = (sum(range(begin, begin + 300)) for begin in (1, 301))
    mean, _ = gaussians.moments(1, 0)
    torch.testing.assert_close(mean, torch.full((3,), (first + 2 * second) / (first + second)), rtol=1e-4, atol=0)


def test_each_cut_has_its_own_and_a_saved_state_goes_on() -> None:
    gaussians, other = ClassGaussians(3), ClassGaussians(3)
    labels = torch.tensor([0, 1, 1])
    gaussians.update(1, torch.randn(3, 5, generator=generator(1)), labels)
    gaussians.update(2, torch.randn(3, 2, 2, generator=generator(2)), labels)
    other.load_state_dict(gaussians.state_dict())
    gaussians.update(2, torch.ones(3, 2, 2), labels)
    assert not torch.equal(gaussians.moments(2, 1)[0], other.moments(2, 1)[0])
    other.update(2, torch.ones(3, 2, 2), labels)
    for cut in (1, 2):
        for one, two in zip(gaussians.moments(cut, 1), other.moments(cut, 1), strict=True):
            assert torch.equal(one, two)
