"""Bits that the nodes really handed over are those that the framework's phases charge."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from drawn import drawn
from fetching import fetch_and_return
from small_learners import CLIENTS, SCHEDULE, allowed, decision, possible, scenario
from synchronous import SYNCHRONOUS

from splitgym.envs.world import World
from splitgym.frameworks import PlanGrid, Program, Workload, aggregated_rows, get, names
from splitgym.frameworks.nodes import Nodes
from splitgym.frameworks.round_batch import RoundBatch
from splitgym.frameworks.segments import Weights
from splitgym.learning import Learner
from splitgym.models import CuttableNetwork, build, profile
from splitgym.scenario import Scenario
from splitgym.types import Decision

CHARGED = ("uplink", "unicast", "broadcast", "backhaul")

READINGS = [*((name, "virtual") for name in names()), ("epsl", "inject"), ("epsl-pt", "inject")]


def charged(
    framework: str, settings: Scenario, network: CuttableNetwork, cut: int, m: int, participants: int, slots: int
) -> dict[str, int]:
    """Bits by the program: a client's own phases once for each, common ones once in every slot."""
    chosen, plans = get(framework), PlanGrid(len(network) - 1, settings.training.batch_size + 1)
    second = chosen.second_cut(settings, len(network))
    if chosen.has_tail:
        plans = PlanGrid(second - 1, tails=True)
    workload = Workload.of(profile(network, (1, 8, 8)), settings, plans, second)
    program, plan = Program.compile(chosen.phases(workload), workload, chosen.access), plans.index(cut, m)
    work, more = program.work[plan], program.per_participant[plan]
    bits = {}
    for name in CHARGED:
        mine = program.resource == program.resources.names.index(name)
        times = slots if name == "broadcast" else participants
        bits[name] = float(times * work[mine].sum() + participants * more[mine].sum())
    return {name: round(value) for name, value in bits.items() if value > 0}


def slots_of(framework: str, selected: Sequence[int], cluster: Sequence[int]) -> int:
    return {"sl": len(selected), "cpsl": len({cluster[i] for i in selected})}.get(framework, min(len(selected), 1))


@pytest.mark.parametrize("model", ["mlp", "cnn"])
@pytest.mark.parametrize(("framework", "reading"), READINGS)
def test_a_round_hands_over_what_its_phases_charge(framework: str, model: str, reading: str) -> None:
    settings = scenario(task={"model": model}, training={"aggregation_reading": reading, "switch_round": 3})
    learner = Learner(settings, framework, 0, "cpu")
    seen = set()
    for selected, wanted, choice, cluster in SCHEDULE:
        cut = possible(framework, wanted)
        for phi in (choice, 1 / 8):
            ratio = allowed(learner, phi)
            learner.round(decision(selected, cut, ratio, cluster))
            slots, m = slots_of(framework, selected, cluster), int(aggregated_rows(ratio, 8))
            expected = charged(framework, settings, build(model, (1, 8, 8), 10), cut, m, len(selected), slots)
            assert learner.traffic_bits == expected, (selected, cut, ratio)
            seen.add(tuple(expected.values()))
    assert len(seen) > 3 or framework in {"centralised", "fl", "u-shaped"}


@pytest.mark.parametrize(("framework", "cut"), drawn(18, names(), [1, 2, 3]))
def test_a_model_that_moves_takes_its_running_statistics_along(framework: str, cut: int) -> None:
    """Network with batch norm: its counters of batches stay at home."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = CuttableNetwork(
            {
                "one": torch.nn.Sequential(torch.nn.Conv2d(1, 3, 3, stride=2), torch.nn.BatchNorm2d(3)),
                "two": torch.nn.Sequential(torch.nn.Conv2d(3, 4, 2), torch.nn.BatchNorm2d(4), torch.nn.Flatten()),
                "three": torch.nn.Sequential(torch.nn.Linear(16, 6), torch.nn.BatchNorm1d(6)),
                "head": torch.nn.Linear(6, 10),
            }
        )
    settings, chosen = scenario(), get(framework)
    share = np.full(CLIENTS, 1 / CLIENTS)
    if chosen.has_tail:
        cut = min(cut, 2)
    made = Nodes(network, CLIENTS, settings.training, chosen.segments, chosen.second_cut(settings, 4))
    who, rows = (0, 2, 3), 8 * chosen.steps(settings.training)
    made.move_cut(cut, who, share)
    slots = {"sl": ((0,), (1,), (2,)), "cpsl": ((0, 2), (1,))}.get(framework)
    m = {"epsl": 3, "psl-drop": 3, "epsl-pt": 8}.get(framework, 0)
    task = RoundBatch(
        who, torch.full((3,), 1 / 3), torch.randn(3, rows, 1, 8, 8), torch.zeros(3, rows, dtype=torch.int64), m,
        torch.zeros(3), slots, steps=chosen.steps(settings.training),
    )  # fmt: skip
    models = fetch_and_return(made, who, cut)
    assert chosen.train(made, task)
    bands = 1 if slots is None else len(slots)
    assert task.traffic.bits + models.bits == charged(framework, settings, network, cut, m, 3, bands)


@pytest.mark.parametrize("framework", names())
def test_a_round_that_teaches_nothing_hands_over_nothing(framework: str) -> None:
    """Nobody took part, or the loss was not finite."""
    learner = Learner(scenario(), framework, 0, "cpu")
    assert learner.traffic_bits == {}
    phi = allowed(learner, 0.5)
    learner.round(decision((), phi=phi))
    assert learner.traffic_bits == {}
    learner.round(decision(phi=phi))
    assert (learner.traffic_bits == {}) == (framework == "centralised")
    with torch.no_grad():
        for node in learner.nodes.tails or [learner.nodes.server]:
            node.units[-1].bias.fill_(torch.nan)
    outcome = learner.round(decision(phi=phi))
    assert (outcome.finite, outcome.trained) == (False, False)
    assert learner.traffic_bits == {}


@pytest.mark.parametrize("framework", SYNCHRONOUS)
def test_a_world_charges_what_its_learner_handed_over(framework: str) -> None:
    """In a cell where everybody finishes; what a cut that moves costs comes on top."""
    settings = scenario(
        radio={"subchannels": CLIENTS}, training={"switch_round": 3}, episode={"round_timeout_s": 1e6, "max_rounds": 99}
    )
    world = World(settings, get(framework), device="cpu")
    world.reset([np.random.default_rng(0)], [0])
    prefix = np.cumsum([0, *profile(build("mlp", (1, 8, 8), 10), (1, 8, 8)).model_bits])
    moved = []
    for selected, wanted, choice, cluster in SCHEDULE:
        cut = possible(framework, wanted)
        for phi in (choice, 1 / 8):
            (learner,) = world._learner.learners
            held, ratio = world.state.client_cut_layer[0].copy(), allowed(learner, phi)
            one = decision(selected, cut, ratio, cluster)
            played = world.play(
                Decision(cut, np.arange(CLIENTS), np.full(CLIENTS, 1e-7), one.selected, ratio, one.cluster).batch()
            )
            np.testing.assert_array_equal(played.cost.participants[0], one.selected)
            assert played.outcome.trained == bool(selected)
            handed_over = sum(learner.traffic_bits.values())
            assert played.cost.traffic_bits[0] - played.cost.migration_bits[0] == pytest.approx(handed_over, rel=1e-9)
            moving = sum(abs(prefix[cut] - prefix[held[i]]) for i in selected if held[i] > 0)
            assert played.cost.migration_bits[0] == pytest.approx(moving, rel=1e-9)
            moved.append(moving)
    assert any(moved) == (get(framework).segments[0].weights is Weights.OWN and framework != "u-shaped")
