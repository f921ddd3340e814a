"""Learners of split federated learning with a fed server that is elsewhere, or averages in some rounds only."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from small_learners import (
    CLIENTS,
    SCHEDULE,
    assert_equal_outcomes,
    assert_same,
    decision,
    memories,
    play,
    scenario,
    weights,
)

from splitgym.envs.world import World
from splitgym.frameworks import get
from splitgym.learning import Learner
from splitgym.types import Decision, RoundOutcome

SFL = pytest.mark.parametrize("framework", ["sfl-v1", "sfl-v2"])


def play_held(learner: Learner, steps: Sequence[int]) -> list[RoundOutcome]:
    """Rounds of the schedule whose cut layer stays between means."""
    outcomes = []
    for step in steps:
        selected, cut, _, _ = SCHEDULE[step]
        held = int(learner.outcome.client_cut_layer.max())
        outcomes.append(learner.round(decision(selected, held or cut)))
    return outcomes


def of_client(learner: Learner, i: int) -> torch.nn.Sequential:
    """The network that client i trains, put together."""
    first = learner.nodes.clients[i].units
    return torch.nn.Sequential(*first, *learner.nodes.server_of(i).units[len(first) :])


@SFL
def test_where_the_fed_server_is_changes_no_weight(framework: str) -> None:
    here, there = (Learner(scenario(fed_server={"node": node}), framework, 3, "cpu") for node in ("server", "cloud"))
    for one, other in zip(play(here, range(7)), play(there, range(7)), strict=True):
        assert_equal_outcomes(one, other)
    assert_same(weights(here), weights(there))
    assert_same(memories(here), memories(there))


@SFL
@pytest.mark.parametrize("interval", [1, 2, 3, 100])
def test_bits_on_the_backhaul_are_those_of_the_models(framework: str, interval: int) -> None:
    """Down once in the round after a mean, up for each client in the round of a mean; and so with what is charged."""
    settings = scenario(
        radio={"subchannels": CLIENTS},
        fed_server={"node": "cloud", "interval_rounds": interval},
        episode={"round_timeout_s": 1e6, "time_budget_s": 1e6},
    )
    world = World(settings, get(framework), device="cpu")
    world.reset([np.random.default_rng(0)], [0])
    (learner,) = world._learner.learners
    fetch = True
    for number, (selected, wanted, _, _) in enumerate(SCHEDULE, start=1):
        cut = int(learner.nodes.client_cut_layer.max()) or wanted
        part = learner.nodes.server.units[:cut]
        model = 32 * sum(tensor.numel() for unit in part for tensor in unit.state_dict().values())
        one = decision(selected, cut)
        played = world.play(Decision(cut, np.arange(CLIENTS), np.full(CLIENTS, 1e-7), one.selected, 0.0).batch())
        mean = number % interval == 0 and bool(selected)
        down = model if fetch and selected else 0
        assert learner.traffic_bits.get("broadcast", 0) == down
        assert learner.traffic_bits.get("backhaul", 0) == down + (len(selected) * model if mean else 0)
        handed_over = sum(learner.traffic_bits.values())
        assert played.cost.traffic_bits[0] - played.cost.migration_bits[0] == pytest.approx(handed_over, rel=1e-9)
        if selected:
            fetch = mean
        assert played.outcome.client_cut_layer.any() == (not fetch)


@SFL
def test_accuracy_is_that_of_each_clients_own_network(framework: str) -> None:
    learner = Learner(scenario(fed_server={"interval_rounds": 3}), framework, 0, "cpu")
    images, labels = learner.evaluator._images, learner.evaluator._labels
    differ = set()
    for number in range(6):
        outcome = play_held(learner, [number])[0]
        for i in range(CLIENTS):
            found = of_client(learner, i).eval()(images).argmax(1)
            assert outcome.client_accuracy[i] == pytest.approx((found == labels).double().mean().item())
        differ.add((number, len(set(outcome.client_accuracy.tolist())) > 1))
    # In the fifth round nobody takes part.
    assert {(0, True), (2, False), (3, True)} <= differ


@SFL
def test_a_round_of_the_mean_without_clients_averages_nothing(framework: str) -> None:
    learner = Learner(scenario(fed_server={"interval_rounds": 2}), framework, 0, "cpu")
    learner.round(decision())
    before = weights(learner)
    assert learner.round(decision(())).client_cut_layer.tolist() == [1] * CLIENTS
    assert_same(weights(learner), before)
    assert learner.round(decision()).client_cut_layer.tolist() == [1] * CLIENTS
    assert learner.round(decision((0, 3))).client_cut_layer.tolist() == [0] * CLIENTS


@SFL
@pytest.mark.parametrize("saved_after", [2, 3])
def test_a_learner_goes_on_from_what_was_saved(framework: str, saved_after: int) -> None:
    one, other = (Learner(scenario(fed_server={"interval_rounds": 3}), framework, 0, "cpu") for _ in range(2))
    play_held(one, range(saved_after))
    other.load_state_dict(one.state_dict())
    for a, b in zip(play_held(one, range(3, 7)), play_held(other, range(3, 7)), strict=True):
        assert_equal_outcomes(a, b)
    for i in range(CLIENTS):
        assert_same(list(of_client(one, i).state_dict().values()), list(of_client(other, i).state_dict().values()))


@SFL
def test_it_learns_between_means(framework: str) -> None:
    rates = {"client_learning_rate": 0.1, "server_learning_rate": 0.1, "momentum": 0.5}
    settings = scenario(training=rates, task={"partition": "iid"}, fed_server={"interval_rounds": 5})
    learner = Learner(settings, framework, 0, "cpu")
    for _ in range(60):
        outcome = learner.round(decision())
    assert outcome.accuracy > 0.6


@SFL
def test_clients_with_few_bits_average_what_they_have(framework: str) -> None:
    """Parts are numbers of 8 bits when they are sent; the mean is measured as it is."""
    settings = scenario(plan={"precisions": [8]}, fed_server={"interval_rounds": 2})
    learner = Learner(settings, framework, 0, "cpu")
    learner.round(decision())
    learner.round(decision())
    assert "uplink" in learner.traffic_bits
    assert all(torch.isfinite(value).all() for value in weights(learner))


@SFL
def test_clients_have_one_cut_layer_between_means(framework: str) -> None:
    learner = Learner(scenario(fed_server={"interval_rounds": 2}), framework, 0, "cpu")
    with pytest.raises(ValueError, match=r"^Decision\.cut_layer = .*, allowed: one for all$"):
        learner.round(replace(decision(), cut_layer=np.array([1, 2, 1, 1, 1])))


@SFL
def test_the_cut_layer_stays_between_means(framework: str) -> None:
    learner = Learner(scenario(fed_server={"interval_rounds": 2}), framework, 0, "cpu")
    learner.round(decision(cut=2))
    with pytest.raises(ValueError, match=r"^Decision\.cut_layer = 1, allowed: 2 until parts are averaged$"):
        learner.round(decision(cut=1))
    learner.round(decision(cut=2))
    assert learner.round(decision(cut=1)).client_cut_layer.tolist() == [1] * CLIENTS
