"""bf16: nearly the numbers of fp32, always the same ones, weights in fp32; refused where it would be imitated."""

import copy
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from drawn import drawn
from fetching import fetch_and_return
from small_learners import assert_equal_outcomes, assert_same, memories, play, scenario, weights
from torch import Tensor, nn

from splitgym.frameworks import get, names
from splitgym.frameworks.nodes import Nodes
from splitgym.frameworks.round_batch import RoundBatch
from splitgym.learning import Learner
from splitgym.models import CuttableNetwork, build
from splitgym.scenario import Scenario, ScenarioError

needs_bf16 = pytest.mark.skipif(
    not getattr(torch.cpu, "_is_avx512_bf16_supported", bool)(), reason="this processor has no bf16 arithmetic"
)
SHARES = (0.5, 0.2, 0.3)
READINGS = [*((name, "virtual") for name in names()), ("epsl", "inject"), ("epsl-pt", "inject")]


def network(kind: str) -> CuttableNetwork:
    if kind != "norm":
        return build(kind, (1, 8, 8), 10, torch.Generator().manual_seed(0))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return CuttableNetwork(
            {
                "one": nn.Sequential(nn.Conv2d(1, 8, 3, stride=2), nn.BatchNorm2d(8), nn.ReLU(inplace=True)),
                "two": nn.Sequential(nn.Conv2d(8, 16, 2), nn.BatchNorm2d(16), nn.ReLU(inplace=True), nn.Flatten()),
                "head": nn.Linear(64, 10),
            }
        )


def settings(**fields: object) -> Scenario:
    rates = {"client_learning_rate": 0.1, "server_learning_rate": 0.1, "momentum": 0.0, "batch_size": 32}
    return scenario(training={**rates, **fields})


def a_round(framework: str, kind: str, m: int, **fields: object) -> tuple[Tensor, Tensor, Nodes]:
    """Losses, all steps that weights made, joined, and the nodes."""
    chosen, training = get(framework), settings(**fields).training
    made = Nodes(copy.deepcopy(network(kind)), 3, training, chosen.segments, 2 if chosen.cuts_twice else None)
    made.move_cut(1, range(3), np.array(SHARES))
    fetch_and_return(made, range(3), 1)
    before = [p.detach().clone() for p in all_weights(made)]
    generator = torch.Generator().manual_seed(2)
    rows = 32 * chosen.steps(training)
    task = RoundBatch(
        participants=(0, 1, 2),
        weights=torch.tensor(SHARES),
        images=torch.rand(3, rows, 1, 8, 8, generator=generator),
        labels=torch.randint(10, (3, rows), generator=generator),
        aggregated_rows=m,
        losses=torch.zeros(3),
        slots={"sl": ((0,), (1,), (2,)), "cpsl": ((0, 2), (1,))}.get(framework),
        steps=chosen.steps(training),
    )
    assert chosen.train(made, task)
    steps = [after.detach() - b for after, b in zip(all_weights(made), before, strict=True)]
    return task.losses, torch.cat([step.flatten() for step in steps]), made


def all_weights(made: Nodes) -> Sequence[nn.Parameter]:
    own = made.clients if made.own_units or made.fetches else []
    units = [*made.server.units, *(unit for client in own for unit in client.units)]
    return [p for unit in units for p in unit.parameters()]


@needs_bf16
@pytest.mark.parametrize("kind", ["cnn", "mlp", "norm"])
@pytest.mark.parametrize(("framework", "reading"), READINGS)
def test_losses_and_steps_are_nearly_those_of_fp32(framework: str, kind: str, reading: str) -> None:
    m = {"epsl": 16, "epsl-pt": 32, "psl-drop": 16}.get(framework, 0)
    (exact, steps, _), (losses, rough, made) = (
        a_round(framework, kind, m, precision=precision, aggregation_reading=reading) for precision in ("fp32", "bf16")
    )
    torch.testing.assert_close(losses, exact, rtol=1e-2, atol=0)
    assert not torch.equal(losses, exact), "computed in fp32"
    assert torch.nn.functional.cosine_similarity(steps, rough, dim=0) > 0.99
    torch.testing.assert_close(rough.norm(), steps.norm(), rtol=0.05, atol=0)
    assert losses.dtype is torch.float32
    for unit in made.server.units:
        assert all(value.dtype in {torch.float32, torch.int64} for value in unit.state_dict().values())


@needs_bf16
@pytest.mark.parametrize("framework", ["psl", "epsl", "cpsl"])
def test_with_batch_statistics_per_client_too(framework: str) -> None:
    m = 16 * (framework == "epsl")
    (exact, steps, _), (losses, rough, _) = (
        a_round(framework, "norm", m, precision=precision, batch_statistics="per-client")
        for precision in ("fp32", "bf16")
    )
    torch.testing.assert_close(losses, exact, rtol=1e-2, atol=0)
    assert torch.nn.functional.cosine_similarity(steps, rough, dim=0) > 0.99


@needs_bf16
@pytest.mark.parametrize(("framework", "model"), drawn(11, names(), ["mlp", "cnn"]))
def test_the_same_seed_repeats_everything_to_the_bit(framework: str, model: str) -> None:
    one, two = (
        Learner(scenario(task={"model": model}, training={"precision": "bf16"}), framework, 1, "cpu") for _ in range(2)
    )
    for first, second in zip(play(one, range(3)), play(two, range(3)), strict=True):
        assert_equal_outcomes(first, second)
        assert first.trained
        assert first.finite
    assert_same(weights(one), weights(two))
    assert_same(memories(one), memories(two))
    assert all(value.dtype is torch.float32 for value in weights(one) + memories(one))


@needs_bf16
@pytest.mark.parametrize("framework", names())
def test_what_is_sent_is_charged_as_in_fp32(framework: str) -> None:
    bits = []
    for precision in ("fp32", "bf16"):
        learner = Learner(scenario(training={"precision": precision}), framework, 1, "cpu")
        bits.append([learner.traffic_bits for _ in play(learner, range(3))])
    assert bits[0] == bits[1]


def test_a_processor_that_could_only_imitate_it_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False, raising=False)
    with pytest.raises(ScenarioError, match=r"training\.precision = 'bf16'.*cpu.*allowed: 'fp32'"):
        Learner(scenario(training={"precision": "bf16"}), "epsl", 0, "cpu")
    Learner(scenario(training={"precision": "fp32"}), "epsl", 0, "cpu")


def test_it_is_welcome_where_it_is_real(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True, raising=False)
    learner = Learner(scenario(training={"precision": "bf16"}), "psl", 0, "cpu")
    assert play(learner, [0])[0].trained
