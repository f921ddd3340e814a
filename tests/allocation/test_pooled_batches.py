"""Global sampling: batch sizes drawn from the pooled data without replacement, against the law that it stands for."""

from dataclasses import replace
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_cells import cell

from splitgym import schedulers
from splitgym.allocation import pooled_batch_sizes
from splitgym.allocation.selection.rules import SELECTIONS
from splitgym.frameworks import get
from splitgym.schedulers.allocations import ALLOCATIONS
from splitgym.types import RoundState


def pooled(samples: Any, left: Any, smallest: int = 1, largest: int = 1000, **arrays: Any) -> RoundState:
    """A state of clients with so many samples, in all and left."""
    _, state = cell(0, len(samples), len(samples), framework="psl", **arrays)
    grid = replace(
        state.system.program.plans, smallest_batch=smallest, batches=largest - smallest + 1, batch_by_client=True
    )
    system = replace(state.system, program=replace(state.system.program, plans=grid))
    return replace(state, system=system, samples=np.array(samples), samples_left=np.array(left))


def draws(state: RoundState, rows: int, count: int, selected: Any = None) -> np.ndarray:
    rng, everybody = np.random.default_rng(0), np.ones(len(state.samples), bool)
    which = everybody if selected is None else np.array(selected, bool)
    return np.array([pooled_batch_sizes(state, which, rows, rng) for _ in range(count)])


def test_the_mean_is_the_share_of_the_data_left_and_the_spread_that_without_replacement() -> None:
    left, rows, count = np.array([300, 60, 0, 140]), 50, 20_000
    sizes = draws(pooled([300, 200, 40, 140], left), rows, count)
    assert (sizes.sum(1) == rows).all()
    share = left / left.sum()
    variance = rows * share * (1 - share) * (left.sum() - rows) / (left.sum() - 1)
    deviation = np.sqrt(variance / count)
    assert (np.abs(sizes.mean(0) - rows * share) <= 4 * deviation).all()
    np.testing.assert_allclose(sizes.var(0), variance, rtol=0.05)
    # Multinomial draws would spread 10 % more.
    assert (rows * share * (1 - share) > 1.1 * variance)[[0, 1, 3]].all()


def test_what_is_left_is_drawn_before_anybody_begins_again() -> None:
    state = pooled([10, 20, 5], [3, 0, 2])
    sizes = draws(state, 11, 3000)
    assert (sizes.sum(1) == 11).all()
    assert (sizes >= [3, 0, 2]).all()
    # The six others come from all data.
    np.testing.assert_allclose(sizes.mean(0), [3, 0, 2] + 6 * np.array([10, 20, 5]) / 35, rtol=0.03)
    np.testing.assert_array_equal(draws(state, 5, 1), [[3, 0, 2]])
    np.testing.assert_array_equal(draws(state, 40, 1), [[13, 20, 7]])


def test_arguments_that_do_not_fit_are_refused() -> None:
    state, rng, two = pooled([9, 9], [9, 9], smallest=2), np.random.default_rng(0), np.ones(2, bool)
    for rows in (3, -2, 2.0, True, None):
        with pytest.raises(ValueError, match=rf"global_batch = {rows}, allowed: a multiple of 2, at least 0"):
            pooled_batch_sizes(state, two, rows, rng)
    with pytest.raises(ValueError, match="none of the clients' own"):
        pooled_batch_sizes(cell(0, 2, 2, framework="psl")[1], two, 4, rng)


@given(
    samples=st.lists(st.integers(1, 50), min_size=1, max_size=5),
    smallest=st.integers(1, 3),
    more=st.integers(0, 20),
    blocks=st.integers(1, 40),
    data=st.data(),
)
def test_sizes_sum_to_the_global_batch_within_the_limits(
    samples: list[int], smallest: int, more: int, blocks: int, data: st.DataObject
) -> None:
    left = [data.draw(st.integers(0, count)) for count in samples]
    selected = data.draw(st.lists(st.booleans(), min_size=len(samples), max_size=len(samples)))
    available = np.array(data.draw(st.lists(st.booleans(), min_size=len(samples), max_size=len(samples))))
    largest, rows = smallest + more, blocks * smallest
    state = pooled(samples, left, smallest, largest, available=available)
    (sizes,) = draws(state, rows, 1, selected)
    clients = np.array(selected) & available
    assert sizes.sum() == min(rows, clients.sum() * (largest // smallest * smallest))
    assert not sizes[~clients].any()
    assert ((sizes == 0) | ((sizes >= smallest) & (sizes <= largest))).all()


def test_who_would_have_more_than_the_largest_has_that_and_the_others_the_rest() -> None:
    sizes = draws(pooled([900, 50, 50], [900, 50, 50], largest=20), 50, 500)
    assert (sizes[:, 0] == 20).all()
    assert (sizes.sum(1) == 50).all()
    np.testing.assert_allclose(sizes[:, 1:].mean(0), 15, rtol=0.03)


OWN = {"batch_sizes": (1, 40), "batch_size": "by-client"}


def made(framework: str = "psl", sizes: Any = (1, 40), own: str = "by-client", **sections: Any) -> Any:
    given = {
        "clients": {"count": 4},
        "radio": {"subchannels": 5},
        "task": {"train_samples": 120, "evaluation_samples": 30, "partition": "dirichlet"},
        "training": {"batch_size": 6},
        "episode": {"max_rounds": 1000, "time_budget_s": 1e6, "target_accuracy": 1.0, "round_timeout_s": 1e4},
        "plan": {"batch_sizes": sizes, "batch_size": own, "clock": "decided"},
        **sections,
    }
    arguments = {"scenario": "toy", "framework": framework, "action": "schedule", "disable_env_checker": True}
    return gym.make("SplitLearning-v0", **arguments, **given).unwrapped


def test_a_pass_through_the_pooled_data_uses_every_sample_once() -> None:
    env = made()
    env.reset(seed=3)
    agent, samples = schedulers.make("gpsl", env), env.state.samples
    total, drawn = int(samples.sum()), np.zeros(4, int)
    for _ in range(total // 24):
        decision = agent.decide(env.state)
        assert decision.batch_size.sum() == 24
        assert np.array_equal(decision.selected, decision.batch_size > 0)
        drawn += decision.batch_size
        assert (drawn <= samples).all()
        *_, info = env.play(decision)
        np.testing.assert_array_equal(info["participants"], decision.selected)
        np.testing.assert_array_equal(env.state.samples_left, samples - drawn)
    # The round that goes over the end takes all that is left.
    left = samples - drawn
    assert (agent.decide(env.state).batch_size >= left).all()


@pytest.mark.parametrize("selection", sorted(SELECTIONS))
@pytest.mark.parametrize("framework", ["psl", "epsl", "cpsl", "sl", "fl"])
def test_it_goes_with_every_selection(framework: str, selection: str) -> None:
    env = made(framework)
    env.reset(seed=0)
    agent = schedulers.make("gpsl", env, selection=selection, global_batch=30)
    for _ in range(2):
        decision = agent.decide(env.state)
        decision.check(env.state)
        assert decision.batch_size.sum() == min(30, 40 * decision.selected.sum())
        assert (decision.batch_size[~decision.selected] == 0).all()
        assert decision.aggregation_ratio == 0
        *_, info = env.play(decision)
        assert info["participants"].any()


@pytest.mark.parametrize("allocation", sorted(ALLOCATIONS))
def test_it_goes_with_every_allocation_and_slack_clocks(allocation: str) -> None:
    env = made("epsl", training={"batch_size": 6, "aggregation_ratio": 0.5})
    env.reset(seed=0)
    for clock in ("full", "slack"):
        agent = schedulers.make("gpsl", env, allocation=allocation, clock=clock)
        decision = agent.decide(env.state)
        decision.check(env.state)
        assert decision.batch_size.sum() == 24
        *_, info = env.play(decision)
        np.testing.assert_array_equal(info["participants"], decision.selected)
        np.testing.assert_array_equal(info["batch_size"][decision.selected], decision.batch_size[decision.selected])


def test_the_same_seed_draws_the_same_sizes() -> None:
    runs = []
    for seed in (0, 0, 1):
        env = made()
        env.reset(seed=7)
        env.action_space.seed(seed)
        agent = schedulers.make("gpsl", env)
        played = []
        for _ in range(4):
            decision = agent.decide(env.state)
            played.append([*decision.batch_size, env.play(decision)[-1]["loss"]])
        runs.append(np.array(played))
    np.testing.assert_array_equal(runs[0], runs[1])
    assert (runs[0][:, :4] != runs[2][:, :4]).any()


def test_what_it_needs_is_said() -> None:
    needs = "batch_size = 'gpsl' needs batch sizes of the clients' own and rounds"
    for env in (made(own="common"), made(sizes=()), made("async-psl", plan=OWN)):
        with pytest.raises(ValueError, match=needs):
            schedulers.make("gpsl", env)
    env = made(sizes=(3, 40))
    for options, message in [
        ({"global_batch": 25}, r"global_batch = 25, allowed: 3..160, a multiple of 3"),
        ({"global_batch": 0}, r"global_batch = 0, allowed: 3..160"),
        ({"global_batch": 162}, r"global_batch = 162, allowed: 3..160"),
        ({"global_batch": 24.0}, r"global_batch = 24.0, allowed"),
        ({"batch_size": 6}, r"has no option 'batch_size'"),
    ]:
        with pytest.raises(ValueError, match=message):
            schedulers.make("gpsl", env, **options)
    with pytest.raises(ValueError, match=r"global_batch = 24, allowed: None, or with batch_size = 'gpsl'"):
        schedulers.make("greedy", env, global_batch=24)
    with pytest.raises(ValueError, match=r"batch_size = 41, allowed: 3..40, gpsl"):
        schedulers.make("greedy", env, batch_size=41)
    assert get("async-psl").batches_by_client
