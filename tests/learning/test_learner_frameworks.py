"""The learner with every framework: which phi it lets pass, whose losses it reports, what it prescribes."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from drawn import drawn
from small_learners import (
    CLIENTS,
    SCHEDULE,
    allowed,
    assert_same,
    decision,
    memories,
    play,
    possible,
    scenario,
    weights,
)

from splitgym.frameworks import get, names
from splitgym.frameworks.nodes import Nodes
from splitgym.frameworks.round_batch import RoundBatch
from splitgym.frameworks.segments import Weights
from splitgym.learning import Learner
from splitgym.scenario import Scenario

FREE = ("epsl", "psl-drop")
NEVER = ("centralised", "fl", "sl", "sfl-v1", "sfl-v2", "psl", "cpsl", "hierarchical", "u-shaped")


def exercises_of(framework: str, settings: Scenario) -> list[RoundBatch]:
    """What a learner gives the framework to train on, round by round of the schedule."""
    seen: list[RoundBatch] = []

    def train(nodes: Nodes, round_batch: RoundBatch) -> bool:
        seen.append(round_batch)
        return get(framework).train(nodes, round_batch)

    play(Learner(settings, replace(get(framework), train=train), 0, "cpu"), range(len(SCHEDULE)))
    return seen


@pytest.mark.parametrize("framework", names())
def test_every_client_gets_its_mini_batches_in_its_slot(framework: str) -> None:
    """Only fl trains several steps, only sl and cpsl take slots: by index, or by number of the cluster."""
    whole, *others = (exercises_of(framework, scenario(training={"local_steps": steps})) for steps in (3, 1))
    rows = {"fl": 24}.get(framework, 8)
    rounds = [step for step in SCHEDULE if step[0]]
    assert len(whole) == len(rounds)
    for round_batch, (selected, _, _, cluster) in zip(whole, rounds, strict=True):
        assert round_batch.participants == tuple(selected)
        assert round_batch.images.shape == (len(selected), rows, 1, 8, 8)
        assert round_batch.labels.shape == (len(selected), rows)
        positions = range(len(selected))
        clusters = sorted({cluster[i] for i in selected})
        slots = {
            "sl": tuple((k,) for k in positions),
            "cpsl": tuple(tuple(k for k in positions if cluster[selected[k]] == each) for each in clusters),
        }
        assert round_batch.slots == slots.get(framework)
    first = others[0][0]
    torch.testing.assert_close(first.images, whole[0].images[:, :8], rtol=0, atol=0)


def assert_refused(learner: Learner, phi: float, message: str) -> None:
    before, outcome = weights(learner), learner.outcome
    with pytest.raises(ValueError, match=message):
        learner.round(decision(phi=phi))
    assert_same(weights(learner), before)
    assert learner.outcome is outcome
    assert learner.nodes.cut_layer in {0, len(learner.nodes.server.units)}


@pytest.mark.parametrize(("framework", "phi"), drawn(14, NEVER, [0.01, 0.5, 1.0, math.nan, -0.1]))
def test_frameworks_without_aggregation_take_only_zero(framework: str, phi: float) -> None:
    learner = Learner(scenario(), framework, 0, "cpu")
    assert_refused(learner, phi, rf"^Decision\.aggregation_ratio = {phi}, allowed(: 0\.\.1| with this framework: 0)$")
    assert learner.round(decision(phi=0.0)).trained


@pytest.mark.parametrize("phi", [-0.1, 1.01, math.nan])
def test_epsl_takes_any_share(phi: float) -> None:
    learner = Learner(scenario(), "epsl", 0, "cpu")
    assert_refused(learner, phi, rf"^Decision\.aggregation_ratio = {phi}, allowed: 0\.\.1$")
    for ratio in (0.0, 0.3, 1.0, np.float64(0.5)):
        assert learner.round(decision(phi=ratio)).trained


@pytest.mark.parametrize("phi", [0.76, 7 / 8, 1.0])
def test_two_rows_must_be_left_to_train_on(phi: float) -> None:
    learner = Learner(scenario(), "psl-drop", 0, "cpu")
    assert_refused(learner, phi, rf"^Decision\.aggregation_ratio = {phi}, allowed with this framework: 0\.\.0\.75$")
    for ratio in (0.0, 0.3, 0.75):
        assert learner.round(decision(phi=ratio)).trained


@pytest.mark.parametrize(("rows", "highest"), [(3, 1 / 3), (7, 5 / 7), (10, 0.8), (25, 23 / 25)])
def test_the_highest_share_to_leave_out_is_itself_allowed(rows: int, highest: float) -> None:
    learner = Learner(scenario(training={"batch_size": rows}), "psl-drop", 0, "cpu")
    assert learner.round(decision(phi=highest)).trained

    with pytest.raises(ValueError, match="aggregation_ratio"):
        learner.round(decision(phi=highest + 1 / rows))


def test_the_phased_schedule_takes_only_what_it_prescribes() -> None:
    learner = Learner(scenario(training={"switch_round": 2}), "epsl-pt", 0, "cpu")
    for phi in (0.0, 0.99, math.nan):
        assert_refused(
            learner, phi, rf"aggregation_ratio = {phi}, allowed(: 0\.\.1| in this round of the framework: 1)$"
        )
    assert learner.round(decision((), phi=1.0)).prescribed_ratio == 1, "a round without clients does not count"
    assert learner.round(decision(phi=1.0)).prescribed_ratio == 1
    assert learner.round(decision(phi=1.0)).prescribed_ratio == 0
    for phi in (1.0, 0.5):
        with pytest.raises(ValueError, match=rf"aggregation_ratio = {phi}, allowed in this round of the framework: 0$"):
            learner.round(decision(phi=phi))
    assert learner.round(decision(phi=0.0)).trained


@pytest.mark.parametrize("framework", [*FREE, *NEVER])
def test_where_nothing_is_prescribed_the_ratio_is_not_a_number(framework: str) -> None:
    learner = Learner(scenario(), framework, 0, "cpu")
    assert math.isnan(learner.prescribed_ratio)
    assert math.isnan(play(learner, [0])[0].prescribed_ratio)


@pytest.mark.parametrize("fields", [{"switch_round": 3}, {"plateau_rounds": 1}], ids=str)
def test_the_phased_schedule_is_epsl_at_phi_one_and_then_psl_to_the_bit(fields: dict[str, object]) -> None:
    rates = {"client_learning_rate": 0.3, "server_learning_rate": 0.3}
    settings = scenario(training={**rates, **fields})
    phased, other = Learner(settings, "epsl-pt", 2, "cpu"), Learner(settings, "epsl", 2, "cpu")
    phis = []
    for selected, cut, _, _ in SCHEDULE * 2:
        phis.append(phased.prescribed_ratio)
        one = phased.round(decision(selected, cut, phis[-1]))
        two = other.round(decision(selected, cut, phis[-1]))
        assert one.loss == two.loss
        np.testing.assert_array_equal(one.client_accuracy, two.client_accuracy)
    assert phis == sorted(phis, reverse=True)
    assert set(phis) == {0.0, 1.0}
    assert_same(weights(phased), weights(other))
    assert_same(memories(phased), memories(other))


def test_a_switch_before_the_first_round_makes_it_psl() -> None:
    settings = scenario(training={"switch_round": 0})
    phased, psl = Learner(settings, "epsl-pt", 2, "cpu"), Learner(settings, "psl", 2, "cpu")
    for one, two in zip(play(phased, range(4)), play(psl, range(4)), strict=True):
        assert one.loss == two.loss
    assert_same(weights(phased), weights(psl))


@pytest.mark.parametrize("framework", names())
def test_outcomes_speak_of_those_who_took_part(framework: str) -> None:
    learner = Learner(scenario(), framework, 0, "cpu")
    known = learner.outcome.client_loss
    assert known == pytest.approx([math.log(10)] * CLIENTS)
    for selected, cut, phi, cluster in SCHEDULE:
        outcome = learner.round(decision(selected, possible(framework, cut), allowed(learner, phi), cluster))
        who = list(selected)
        others = np.setdiff1d(np.arange(CLIENTS), who)
        np.testing.assert_array_equal(outcome.client_loss[others], known[others])
        assert outcome.trained == bool(who)
        assert outcome.finite
        if who:
            share = learner.data_share[who] / learner.data_share[who].sum()
            assert outcome.loss == pytest.approx(share @ outcome.client_loss[who], rel=1e-5)
            assert not np.any(outcome.client_loss[who] == known[who])
        known = outcome.client_loss


@pytest.mark.parametrize("framework", names())
def test_only_clients_with_units_of_their_own_are_behind_a_cut(framework: str) -> None:
    learner = Learner(scenario(), framework, 0, "cpu")
    own = learner.framework.segments[0].weights is Weights.OWN
    outcomes = play(learner, range(3))
    cuts = [outcome.cut_layer for outcome in outcomes]
    deeper = possible(framework, 2)
    assert cuts == ([0, 0, 0] if framework in {"fl", "centralised"} else [1, deeper, deeper])
    expected = [[1] * CLIENTS, [1, deeper, 1, deeper, deeper], [deeper] * CLIENTS] if own else [[0] * CLIENTS] * 3
    assert [outcome.client_cut_layer.tolist() for outcome in outcomes] == expected


@pytest.mark.parametrize("framework", names())
def test_every_framework_learns_the_digits_it_trains_on(framework: str) -> None:
    rates = {"client_learning_rate": 0.1, "server_learning_rate": 0.1, "momentum": 0.5}
    fields = {**rates, "switch_round": 10, "local_steps": 1}
    learner = Learner(scenario(training=fields, task={"partition": "iid"}), framework, 0, "cpu")
    for _ in range(60):
        outcome = learner.round(decision(cut=1, phi=allowed(learner, 0.25)))
    assert outcome.loss < 0.25 * math.log(10)
    assert outcome.accuracy > 0.6


@pytest.mark.parametrize("framework", names())
def test_a_round_that_is_not_finite_says_so_and_the_next_one_trains(framework: str) -> None:
    """One pixel of one client's data is not a number; it is in its mini-batches now and then."""
    learner = Learner(scenario(task={"partition": "iid"}), framework, 0, "cpu")
    bad = int(learner._orders[CLIENTS - 1].draw(200)[-1])
    learner._images[bad, 0, 3, 3] = torch.nan
    seen = []
    for _ in range(14):
        before, last = weights(learner), learner.outcome
        if learner.nodes.cut_layer == 0 and learner.nodes.own_units:
            learner.nodes.move_cut(1, range(CLIENTS), learner.data_share)
            before = weights(learner)
        outcome = learner.round(decision(phi=allowed(learner, 0.5)))
        seen.append(outcome.finite)
        assert outcome.trained == outcome.finite
        if not outcome.finite:
            assert_same(weights(learner), before)
            assert outcome.loss == last.loss
            np.testing.assert_array_equal(outcome.client_loss, last.client_loss)
    assert False in seen
    assert True in seen[seen.index(False) :]
    assert all(torch.isfinite(value).all() for value in weights(learner))
