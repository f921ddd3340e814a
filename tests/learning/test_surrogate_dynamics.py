"""The dynamics of learning: a step by hand, limit cases, and the rules of moving cuts."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from splitgym.frameworks import aggregated_rows
from splitgym.frameworks.nodes import Nodes
from splitgym.learning.surrogate.accuracy_model import fill_recall
from splitgym.learning.surrogate.dynamics import Evaluation, play_rounds
from splitgym.learning.surrogate.parameters import Parameters
from splitgym.learning.surrogate.worlds import Scratch, Worlds, settle
from splitgym.models import build as build_network
from splitgym.scenario import Training

CUTS = 3


def parameters(**changed) -> Parameters:
    """Without chance, but for what is changed."""
    numbers = {
        "initial_rate": 0.5,
        "take_off": 1.0,
        "server_speed": np.array([0.3, 0.2, 0.1]),
        "client_speed": np.array([0.1, 0.2, 0.3]),
        "client_share": np.array([0.2, 0.4, 0.8]),
        "label_bias_speed": 0.05,
        "kept_by_server": np.array([0.5, 0.5, 0.5]),
        "kept_by_client": 0.3,
        "kept_by_number": 0.5,
        "kept_by_evenness": 1.0,
        "few_client_penalty": 1.0,
        "skew": 0.5,
        "confusion": 0.2,
        "drift": 0.3,
        "returning": 0.25,
        "decay": 0.01,
        "ceiling": 0.95,
        "sharpness": 2.0,
        "softness": 0.5,
        "class_ease": np.ones(3),
        **dict.fromkeys(("run_effect", "class_effect", "class_noise", "persistence", "loss_noise"), 0.0),
    }
    return Parameters(**{**numbers, **changed}).at_cuts(CUTS)


def worlds(*class_counts, numbers: Parameters | None = None) -> Worlds:
    """A world for each [C, K] of counts, all of the same shape."""
    clients, classes = np.shape(class_counts[0])
    made = Worlds.empty(len(class_counts), clients, classes)
    for n, counts in enumerate(class_counts):
        settle(made, n, np.array(counts), len(counts), (numbers or parameters()).kept_by_evenness)
    return made


def play(made: Worlds, cut, selected, phi=0.0, normals=None, numbers: Parameters | None = None, samples=1000):
    """One round; scalars count for all worlds, a cut layer for all clients unless there are [N, C]."""
    runs, clients, classes = made.class_share.shape
    cut = np.asarray(cut, np.int64)
    play_rounds(
        made,
        np.broadcast_to(cut if cut.ndim == 2 else cut[..., None], (runs, clients)).copy(),
        np.broadcast_to(np.asarray(selected, bool), (runs, clients)).copy(),
        np.broadcast_to(aggregated_rows(phi, 16) / 16, runs).copy(),
        np.zeros((runs, classes + 2 * clients)) if normals is None else normals,
        numbers or parameters(),
        Evaluation(np.full(classes, 1 / classes), samples, 1),
        Scratch.empty(clients, classes),
    )


def of_clients(array, clients):
    """[C, K] of an array of the dynamics, [K, L]."""
    return array.T[:clients]


def recall_of(made: Worlds, numbers: Parameters):
    runs, clients, classes = made.class_share.shape
    recall = np.zeros((runs, clients, classes))
    fill_recall(made, numbers, np.full(classes, 1 / classes), recall, Scratch.empty(clients, classes))
    return recall


def arrays(made: Worlds):
    """All by name, those of the round before, too."""
    now, before = made._asdict(), made.before._asdict()
    del now["before"]
    return now | {f"before {name}": array for name, array in before.items()}


def test_first_step_by_hand():
    """Two clients of 30 and 10 samples; all networks guess, so every error is 2/3."""
    made = worlds([[10, 10, 10], [10, 0, 0]])
    play(made, 2, [True, True])
    p, guess = parameters(), 1 / 3
    part = np.array([0.75, 0.25])
    share = np.array([[1 / 3] * 3, [1, 0, 0]])
    error = share * (1 - guess)
    # Half of a class's errors answer in favour of each other class.
    in_favour = (error.sum(1, keepdims=True) - error) / 2
    mass = part @ share
    diversity = (1 / (3 * (mass**2).sum())) ** 0.5
    pace = 3 * 0.5

    def limited(step):
        return step / (1 + np.abs(step))

    speed = pace * 0.2 / (1 + (part**2).sum())
    np.testing.assert_allclose(made.skill[0], limited(speed * part @ (error * diversity - 0.2 * in_favour)), rtol=1e-9)
    own_skill, label_bias = of_clients(made.own_skill[0], 2), of_clients(made.label_bias[0], 2)
    np.testing.assert_allclose(own_skill, limited(pace * 0.2 * error), rtol=1e-9)
    np.testing.assert_allclose(label_bias, limited(pace * 0.05 * (error - in_favour)), rtol=1e-9, atol=1e-15)
    np.testing.assert_allclose(made.client_loss[0], math.log(3), rtol=1e-9)
    known = np.maximum(0.4 * own_skill + 0.6 * made.skill[0], 0)
    sharpness = p.sharpness / np.sqrt(p.softness + known.mean(1, keepdims=True))
    weight = np.exp(sharpness * label_bias)
    right = weight * np.exp(sharpness * known)
    expected = 0.95 * right / (right + weight.sum(1, keepdims=True) - weight)
    np.testing.assert_allclose(recall_of(made, p)[0], expected, rtol=2e-3)
    np.testing.assert_allclose(made.client_accuracy[0], expected.mean(1), atol=1e-3)
    np.testing.assert_allclose(made.accuracy[0], part @ made.client_accuracy[0])


def test_balanced_accuracy_is_accuracy_where_all_classes_are_tested_alike():
    """Also where networks know next to nothing of ten classes."""
    made = worlds([[10] * 10] * 2)
    play(made, 2, [True, False], numbers=parameters(class_ease=np.ones(10), server_speed=np.zeros(3)))
    assert made.accuracy[0] < 0.2
    np.testing.assert_allclose(made.balanced_accuracy, made.accuracy)


def test_nobody_learns_without_participants():
    made = worlds([[10, 5, 3], [1, 9, 9]])
    for _ in range(5):
        play(made, 1, [True, True])
    before = {name: array.copy() for name, array in arrays(made).items()}
    play(made, 3, [False, False])
    changed = [name for name, array in arrays(made).items() if not np.array_equal(array, before[name])]
    assert [name for name in changed if "before" not in name] == ["rounds", "trained"]


def test_more_of_a_class_teaches_it_more():
    made = worlds([[10, 10, 20], [10, 10, 20]], [[10, 15, 15], [10, 15, 15]])
    play(made, 1, [True, True])
    assert made.skill[0, 2] > made.skill[1, 2] > made.skill[1, 0]


def test_aggregation_slows_learning_but_not_of_one_client_alone():
    counts = [[10, 10, 10], [10, 10, 10]]
    made = worlds(counts, counts)
    play(made, 1, [True, True], phi=[0.0, 1.0])
    assert np.all(made.skill[1] < made.skill[0])
    assert np.all(of_clients(made.own_skill[1], 2) < of_clients(made.own_skill[0], 2))
    alone = worlds(counts, counts)
    play(alone, 1, [True, False], phi=[0.0, 1.0])
    np.testing.assert_array_equal(alone.skill[0], alone.skill[1])


def test_the_server_takes_over_what_one_of_four_clients_knows():
    still = parameters(server_speed=np.zeros(3), client_speed=np.zeros(3), label_bias_speed=0.0, decay=0.0, drift=0.0)
    made = worlds([[10, 10, 10]] * 4)
    play(made, 1, [True] * 4, numbers=still)
    play(made, 3, [True, False, False, False], numbers=still)
    made.own_skill[0, :, 0], before = [1.0, 2.0, 3.0], made.skill[0].copy()
    play(made, 1, [True] * 4, numbers=still)
    # Units behind the first cut are 0.8 of the network; 0.6 of it stood on client 0.
    np.testing.assert_allclose(made.skill[0], 0.25 * before + 0.75 * np.array([1.0, 2.0, 3.0]))


def test_who_stays_away_falls_behind_and_returns():
    made = worlds([[10, 10, 10], [10, 10, 10]])
    for _ in range(10):
        play(made, 1, [True, False])
    away = made.behind[0, 1]
    assert away > made.behind[0, 0] == 0
    assert made.client_accuracy[0, 1] < made.client_accuracy[0, 0]
    play(made, 1, [True, True])
    np.testing.assert_allclose(made.behind[0, 1], 0.75 * away)


def test_who_is_away_falls_behind_by_the_mean_step_of_the_server():
    numbers = parameters(decay=0.0)
    made = worlds([[10, 10, 20], [10, 15, 15]])
    play(made, 1, [True, True], numbers=numbers)
    before = made.skill[0].copy()
    play(made, 1, [True, False], numbers=numbers)
    np.testing.assert_allclose(made.behind[0, :2], [0.0, 0.3 * np.abs(made.skill[0] - before).mean()])


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=20)
def test_a_world_does_not_hear_of_the_others(seed):
    rng, numbers = np.random.default_rng(seed), parameters(class_noise=0.5, persistence=0.8, loss_noise=0.3)
    clients = int(rng.integers(1, 18))
    counts = rng.integers(1, 20, (5, clients, 3))
    many, one = worlds(*counts), worlds(counts[3])
    for _ in range(12):
        cut, phi = rng.integers(1, CUTS + 1, 5), rng.random(5)
        selected, normals = rng.random((5, clients)) < 0.5, rng.standard_normal((5, 3 + 2 * clients))
        play(many, cut, selected, phi, normals, numbers)
        play(one, cut[3:4], selected[3:4], phi[3:4], normals[3:4], numbers)
    for name, array in arrays(one).items():
        np.testing.assert_array_equal(array[0], arrays(many)[name][3], err_msg=name)


def test_a_client_that_is_absent_from_the_next_episode_has_no_data():
    made = worlds([[10, 5, 3], [1, 9, 9]])
    settle(made, 0, np.array([[10, 5, 3], [0, 0, 0]]), 1, 1.0)
    assert not made.class_share[0, 1].any()
    assert made.data_share[0].tolist() == [1.0, 0.0]


@pytest.mark.parametrize("cuts", [1, 4], ids=["common cuts", "cuts of their own"])
@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=20)
def test_copies_are_valid_as_with_real_parties(cuts, seed):
    rng = np.random.default_rng(seed)
    network = build_network("cnn", (1, 8, 8), 3, torch.Generator().manual_seed(0))
    nodes, made = Nodes(network, 4, Training()), worlds(rng.integers(1, 20, (4, 3)))
    for _ in range(15):
        cut, selected = np.broadcast_to(rng.integers(1, CUTS + 1, cuts), 4), rng.random(4) < 0.4
        if selected.any():
            nodes.move_cut(cut, tuple(np.flatnonzero(selected)), made.data_share[0])
        play(made, cut[None], selected)
        np.testing.assert_array_equal(made.client_cut_layer[0], nodes.client_cut_layer)
        assert made.cut_layer[0] == nodes.cut_layer


def test_the_server_takes_over_the_participants_mean_and_hands_it_on():
    made = worlds([[10, 10, 10], [30, 30, 30]])
    still = parameters(server_speed=np.zeros(3), client_speed=np.zeros(3), decay=0.0)
    play(made, 3, [True, True], numbers=still)
    made.skill[0], made.own_skill[0, :, 0], made.own_skill[0, :, 1] = 1.0, 2.0, 4.0
    play(made, 2, [True, True], numbers=still)
    # 0.6 of the network is behind cut layer 2, of which the server had 0.2.
    np.testing.assert_allclose(made.skill[0], (0.2 * 1.0 + 0.4 * 3.5) / 0.6)
    play(made, 3, [False, True], numbers=still)
    np.testing.assert_allclose(made.own_skill[0, :, 0], 2.0)
    np.testing.assert_allclose(made.own_skill[0, :, 1], (0.4 * 4.0 + 0.4 * made.skill[0]) / 0.8)


def test_the_server_mixes_what_one_client_gives_up_with_what_it_trains_for_another():
    made = worlds([[10, 10, 10], [30, 30, 30]])
    still = parameters(server_speed=np.zeros(3), client_speed=np.zeros(3), decay=0.0)
    play(made, 3, [True, True], numbers=still)
    made.skill[0], made.own_skill[0, :, 0], made.own_skill[0, :, 1] = 1.0, 2.0, 4.0
    play(made, [[2, 3]], [True, False], numbers=still)
    # Nobody but the first client gives its third unit, 0.4 of the network, up; the server had 0.2 of it.
    np.testing.assert_allclose(made.skill[0], (0.2 * 1.0 + 0.4 * 2.0) / 0.6)
    before = made.skill[0, 0]
    play(made, [[2, 2]], [True, True], numbers=still)
    # The server has trained it since with a quarter of the data.
    np.testing.assert_allclose(made.skill[0], (0.2 * before + 0.4 * (0.25 * before + 0.75 * 4.0)) / 0.6)
    assert made.client_cut_layer[0].tolist() == [2, 2]


def test_skills_of_a_real_network_whose_units_count_as_the_model_says():
    """Weights that are all the same number stand for skill; the server's are as alike as its one skill."""
    rng = np.random.default_rng(3)
    still = parameters(server_speed=np.zeros(3), client_speed=np.zeros(3), decay=0.0)
    network = build_network("cnn", (1, 8, 8), 3, torch.Generator().manual_seed(0))
    nodes, made = Nodes(network, 3, Training()), worlds(rng.integers(1, 20, (3, 3)))
    start = rng.integers(1, CUTS + 1, (1, 3))
    nodes.move_cut(start[0], range(3), made.data_share[0])
    play(made, start, True, numbers=still)
    made.skill[0], made.own_skill[0, :, :3] = 0.0, rng.random(3)
    with torch.no_grad():
        for client, value in zip(nodes.clients, made.own_skill[0, 0], strict=False):
            for unit in client.units:
                for weight in unit.parameters():
                    weight.fill_(float(value))
        for unit in nodes.server.units:
            for weight in unit.parameters():
                weight.zero_()
    ends, who = np.array([[1, 2, 1]]), [0, 2]
    nodes.move_cut(ends[0], who, made.data_share[0])
    play(made, ends, [True, False, True], numbers=still)
    of_unit = np.array([float(next(unit.parameters()).flatten()[0].detach()) for unit in nodes.server.units])
    # Units hold 0.2, 0.2, 0.4 and 0.2 of the network; the first stays at the clients.
    np.testing.assert_allclose(made.skill[0, 0], of_unit[1:] @ np.array([0.2, 0.4, 0.2]) / 0.8, rtol=1e-6)


def test_clients_learn_at_the_speed_of_their_own_cut():
    """Two clients with the same data: each step is that of a world in which all have its cut layer."""
    counts, numbers = [[10, 10, 10], [10, 10, 10]], parameters(take_off=0.0)
    mixed, shallow, deep = worlds(counts), worlds(counts), worlds(counts)
    for made, cuts in ((mixed, [[1, 3]]), (shallow, 1), (deep, 3)):
        play(made, cuts, True, numbers=numbers)
    np.testing.assert_array_equal(mixed.own_skill[0, :, 0], shallow.own_skill[0, :, 0])
    np.testing.assert_array_equal(mixed.own_skill[0, :, 1], deep.own_skill[0, :, 1])
    assert np.all((mixed.skill < shallow.skill) & (mixed.skill > deep.skill))


def test_draws_lie_around_what_is_expected():
    numbers = parameters(class_noise=0.3, persistence=0.5, loss_noise=0.3)
    counts, rng = [[20, 10, 5], [5, 10, 20]], np.random.default_rng(1)
    expected, drawn = worlds(counts), worlds(*[counts] * 400)
    for _ in range(30):
        play(expected, 1, [True, True], numbers=parameters())
        play(drawn, 1, [True, True], normals=rng.standard_normal((400, 3 + 4)), numbers=numbers, samples=100)
    assert drawn.accuracy.mean() == pytest.approx(expected.accuracy[0], abs=0.015)
    assert drawn.client_loss.mean() == pytest.approx(expected.client_loss.mean(), rel=0.1)
    assert 0.005 < drawn.accuracy.std() < 0.1
