"""Learning rates over the rounds: PyTorch's one-cycle schedule, and that all optimisers follow it."""

import pytest
import torch
from small_learners import SCHEDULE, allowed, decision, play, scenario, weights

from splitgym.frameworks import names
from splitgym.learning import Learner
from splitgym.learning.rates import rate_factor
from splitgym.scenario import Training


def torch_rates(rounds: int, highest: float) -> list[float]:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0, momentum=0.9)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, highest, total_steps=rounds, cycle_momentum=False)
    rates = []
    for _ in range(rounds):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if len(rates) < rounds:
            schedule.step()
    assert optimizer.param_groups[0]["momentum"] == 0.9
    return rates


@pytest.mark.parametrize("rounds", [1, 2, 3, 4, 7, 10, 33, 100, 600])
def test_one_cycle_is_that_of_torch_step_by_step(rounds: int) -> None:
    training = Training(learning_rate_schedule="one-cycle", schedule_rounds=rounds)
    factors = [0.3 * rate_factor(training, number) for number in range(1, rounds + 1)]
    assert factors == pytest.approx(torch_rates(rounds, 0.3), rel=1e-9, abs=1e-12)


def test_after_the_cycle_the_rate_stays_at_its_last() -> None:
    training = Training(learning_rate_schedule="one-cycle", schedule_rounds=20)
    last = rate_factor(training, 20)
    assert last == pytest.approx(1 / 25 / 1e4)
    assert [rate_factor(training, number) for number in (21, 22, 1000)] == [last] * 3


def test_a_constant_rate_is_constant() -> None:
    training = Training(schedule_rounds=5)
    assert [rate_factor(training, number) for number in (1, 3, 5, 50)] == [1.0] * 4


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("framework", names())
def test_every_optimiser_of_every_party_follows_the_cycle(framework: str, optimizer: str) -> None:
    """Whether it takes part or not, also after the cut has moved; a round without clients counts like any other."""
    fields = {"learning_rate_schedule": "one-cycle", "schedule_rounds": 9, "optimizer": optimizer}
    learner = Learner(scenario(training=fields), framework, 0, "cpu")
    expected = torch_rates(9, 1.0)
    expected += [expected[-1]] * 3
    made = learner.nodes
    for number, factor in enumerate(expected):
        play(learner, [number])
        if not SCHEDULE[number % len(SCHEDULE)][0]:
            continue
        for node in made.everybody():
            base = 0.05 if node in (*made.clients, *made.tails) else 0.03
            (group,) = node.optimizer.param_groups
            assert group["lr"] == pytest.approx(factor * base, rel=1e-9)
            assert group.get("momentum", 0.9) == 0.9
            assert [id(p) for p in group["params"]] == [id(p) for p in node.parameters]


@pytest.mark.parametrize("framework", names())
def test_a_step_is_as_long_as_the_rate_says(framework: str) -> None:
    """First round of one cycle, one client, no momentum: a 25th of the step at the full rate."""
    steps = []
    for schedule in ("constant", "one-cycle"):
        fields = {"learning_rate_schedule": schedule, "momentum": 0.0, "local_steps": 1}
        learner = Learner(scenario(training=fields), framework, 0, "cpu")
        learner.nodes.move_cut(1, (2,), learner.data_share)
        before = weights(learner)
        assert learner.round(decision((2,), phi=allowed(learner, 0.5))).trained
        steps.append([after - b for after, b in zip(weights(learner), before, strict=True)])
    moved = 0
    for full, short in zip(*steps, strict=True):
        torch.testing.assert_close(short * 25, full, rtol=1e-3, atol=1e-5)
        moved += bool(full.abs().max() > 1e-4)
    assert moved >= 5
